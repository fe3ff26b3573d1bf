"""Arithmetic word problems of 1 to 8 operations, solved with the calculator.

A story keeps one running quantity. Each operation adds a sentence to the story, a line to the thought and a term to the
expression. The tier is the number of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from rl.tasks.everyday import everyday
from rl.tasks.stories import (
    ASK_EXPRESSION,
    ASK_MONEY,
    ASK_NOW,
    ASK_SHARE,
    ASK_TOGETHER,
    BEGIN_GROUPS,
    BEGIN_PLAIN,
    BEGIN_TWO_KINDS,
    DISTRACTORS,
    DOUBLE,
    FEWER,
    GAIN,
    GAIN_GROUPS,
    HALF,
    LEADS,
    LOSE,
    LOSE_GROUPS,
    MORE,
    REMARKS,
    TIMES,
)
from rl.tasks.task import Draw, Step, Task, call, direct
from rl.tasks.words import COMMON, NUMBER_WORDS, colours, containers, is_he, person, things
from tools.calculator import evaluate
from tools.tool import ToolError

TIERS = range(1, 9)
LARGEST = 20_000  # stories stay in numbers that a person would write
STEPS_PER_CALL = 4  # longer problems are worked out in parts


@dataclass
class Story:
    """A word problem under construction."""

    name: str
    objects: str
    value: Fraction = Fraction(0)
    expression: str = ""  # of the part since the last carry
    loose: bool = False  # whether the expression needs parentheses before * or /
    people: set[str] = field(default_factory=set)  # everybody named so far
    lead: Callable[[], str] = lambda: ""  # what a sentence begins with, now and then
    compared: bool = False  # whether somebody else was measured against the first: then a question names whom it means
    operations: int = 0
    in_part: int = 0  # operations since the last carry
    sentences: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)  # whom each sentence is about
    lines: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def begin(self, sentence: str, line: str, expression: str, value: Fraction, operations: int) -> None:
        self.tell(sentence)
        self.lines.append(f"{line}: {expression}")
        self.expression, self.value, self.loose = expression, value, "+" in expression
        self.operations = self.in_part = operations

    def apply(self, sentence: str, line: str, operator: str, term: str, value: Fraction, operations: int = 1) -> None:
        """Extend the expression by ``operator term``; work the part so far out first where it has become long."""
        if self.in_part + operations > STEPS_PER_CALL:
            self.carry()
        left = f"({self.expression})" if self.loose and operator in "*/" else self.expression
        self.tell(sentence)
        self.lines.append(f"{line}: {operator} {term}")
        self.expression, self.value, self.loose = f"{left} {operator} {term}", value, operator in "+-"
        self.operations += operations
        self.in_part += operations

    def tell(self, sentence: str) -> None:
        self.sentences.append(led(self.lead(), sentence, self.people))
        self.subjects.append(self.name)

    def carry(self) -> None:
        self.steps.append(call("\n".join(self.lines), "calculator", ("expression", self.expression), plain(self.value)))
        self.lines = [f"so far: {plain(self.value)}"]
        self.expression, self.loose, self.in_part = plain(self.value), False, 0


def plain(value: Fraction) -> str:
    """How the calculator prints an integer or a finite decimal."""
    if value.denominator == 1:
        return str(value.numerator)
    text = f"{float(value):.10f}".rstrip("0")
    return text


def generate(draw: Draw, tier: int, task_id: str) -> Task:
    """A problem with exactly ``tier`` operations."""
    if tier <= 4 and draw.chance(0.08):
        return expression_task(draw, tier, task_id)
    if tier <= 2 and draw.chance(0.5):
        return everyday_task(draw, tier, task_id)
    while True:
        draw.draft()
        task = story_task(draw, tier, task_id)
        if task is not None:
            return task


def story_task(draw: Draw, tier: int, task_id: str) -> Task | None:
    """One attempt at a story; None where the drawn operations cannot end in exactly ``tier``."""
    name = person(draw)
    story = Story(name=name, objects=things(draw), people={name}, lead=lambda: lead(draw))
    begin(story, draw, tier)
    finish = draw.any(FINISHES) if story.operations < tier else ask_now
    while story.operations < tier - (finish is not ask_now):
        room = tier - (finish is not ask_now) - story.operations
        draw.event(lambda room=room: operation(draw, room), lambda operate: operate(story, draw))
    join(story, draw)
    if tier >= 2 and draw.chance(0.3):
        place = draw.random.randrange(1, len(story.sentences) + 1)
        story.sentences.insert(place, fill(draw.phrase(DISTRACTORS), story, draw, a=str(draw.number(3, 60))))
    if draw.chance(0.25):
        story.sentences.insert(draw.random.randrange(len(story.sentences) + 1), remark(story, draw))
    answer = finish(story, draw)
    if story.operations != tier or story.value < 0 or story.value > LARGEST:
        return None
    return finished(draw, story, tier, task_id, answer)


def operation(draw: Draw, room: int) -> Operation:
    return draw.any(TWO_OPERATIONS if room >= 2 and draw.chance(0.25) else ONE_OPERATION)


def join(story: Story, draw: Draw) -> None:
    """Make one sentence of neighbours here and there: "Tom has 12 pens. He sells 5." becomes "Tom has 12 pens and sells 5."."""
    told: list[str] = []
    about = ""
    for sentence, subject in zip(story.sentences, story.subjects, strict=True):
        first, _, rest = sentence.partition(" ")
        if told and first in ("He", "She", "Then", subject) and draw.chance(0.35):
            same = about == subject and told[-1].split()[0] in ("He", "She", subject) and first != "Then"
            told[-1] = told[-1][:-1] + (
                f" and {rest}" if same else f", and {first.lower() if first != subject else first} {rest}"
            )
        else:
            told.append(sentence)
        about = subject
    story.sentences = told


def finished(draw: Draw, story: Story, tier: int, task_id: str, answer: str) -> Task:
    thought, result = "\n".join(story.lines), plain(story.value)
    steps = [*story.steps]
    if draw.chance(0.04):
        steps.append(failed_call(draw, thought, story.expression))
        thought = "The tool failed. I try again."
    steps.append(call(thought, "calculator", ("expression", story.expression), result))
    steps.append(direct(f"The result is {result}.", answer.format(result=result), result))
    return Task(task_id, "arithmetic", tier, " ".join(story.sentences), result, tuple(steps))


def failed_call(draw: Draw, thought: str, expression: str) -> Step:
    """A call that fails: by a fault of the tool (nothing to unlearn) or by a slip that is shown but not learned."""
    if draw.chance(0.5):
        error = "Error: calculator took longer than 30 seconds and was stopped; ask for less."
        return call(thought, "calculator", ("expression", expression), error)
    slip = expression + " )"
    broken = call(thought, "calculator", ("expression", slip), worked_out(slip))
    return Step(broken.thought, calls=broken.calls, results=broken.results, learn=False)


def fill(wording: str, story: Story, draw: Draw, **values: str) -> str:
    """Put names and numbers into a wording; ``{M}`` becomes somebody new."""
    he = is_he(story.name)
    values = {"N": story.name, "o": story.objects, "P": "He" if he else "She", "p": "he" if he else "she"} | values
    if "{M}" in wording and "M" not in values:
        values["M"] = other(story, draw)
    sentence = wording.format(**values)
    return sentence[0].upper() + sentence[1:]


def lead(draw: Draw) -> str:
    """Now and then, words before a sentence that change nothing: what matters has no fixed place."""
    return draw.phrase(LEADS).format(w=draw.pick(COMMON)) if draw.chance(0.06) else ""


def led(lead: str, sentence: str, names: Container[str]) -> str:
    if not lead:
        return sentence
    first = sentence.split()[0].removesuffix("'s")
    return f"{lead} {sentence if first in names else sentence[0].lower() + sentence[1:]}"


def remark(story: Story, draw: Draw) -> str:
    """A sentence with no number in it."""
    w, x = draw.several(COMMON, 2)
    return fill(draw.phrase(REMARKS), story, draw, w=w, x=x)


def asking(story: Story, draw: Draw, patterns: Sequence[Sequence[str]]) -> str:
    """A question's wording that leaves no doubt about whose things are meant."""
    return draw.phrase([p for p in patterns if "{N}" in p[0]] if story.compared else patterns)


def other(story: Story, draw: Draw) -> str:
    """Somebody who is not in the story yet."""
    somebody = next(name for name in iter(lambda: person(draw), None) if name not in story.people)
    story.people.add(somebody)
    return somebody


def shown(draw: Draw, n: int) -> str:
    """A number as a person writes it: digits, now and then a word."""
    return NUMBER_WORDS[n] if n < len(NUMBER_WORDS) and draw.chance(0.25) else str(n)


def begin(story: Story, draw: Draw, tier: int) -> None:
    kind = draw.any(["plain", "groups", "groups", "two kinds"]) if tier > 1 or draw.chance(0.5) else "plain"
    if kind == "plain":
        a = draw.number(3, draw.any([20, 99, 99, 400]))
        story.begin(fill(draw.phrase(BEGIN_PLAIN), story, draw, a=shown(draw, a)), "at first", str(a), Fraction(a), 0)
    elif kind == "groups":
        a, b, container = draw.number(2, 15), draw.number(2, 30), containers(draw)
        sentence = fill(draw.phrase(BEGIN_GROUPS), story, draw, a=shown(draw, a), b=shown(draw, b), c=container)
        story.begin(sentence, f"{a} of {b}", f"{a} * {b}", Fraction(a * b), 1)
    else:
        a, b = draw.number(2, 60), draw.number(2, 60)
        x, y = colours(draw)
        sentence = fill(draw.phrase(BEGIN_TWO_KINDS), story, draw, a=shown(draw, a), b=shown(draw, b), x=x, y=y)
        story.begin(sentence, f"{a} and {b}", f"{a} + {b}", Fraction(a + b), 1)


def gain(story: Story, draw: Draw) -> None:
    a = draw.number(2, draw.any([12, 60, 150]))
    story.apply(fill(draw.phrase(GAIN), story, draw, a=shown(draw, a)), f"{a} more", "+", str(a), story.value + a)


def lose(story: Story, draw: Draw) -> None:
    if story.value < 8:
        return gain(story, draw)
    a = draw.number(2, min(int(story.value) - 2, 150))
    story.apply(
        fill(draw.phrase(LOSE), story, draw, a=shown(draw, a)).replace("  ", " "),
        f"{a} gone",
        "-",
        str(a),
        story.value - a,
    )


def gain_groups(story: Story, draw: Draw) -> None:
    a, b, c = draw.number(2, 9), draw.number(2, 20), containers(draw)
    sentence = fill(draw.phrase(GAIN_GROUPS), story, draw, a=shown(draw, a), b=shown(draw, b), c=c)
    story.apply(sentence, f"{a} of {b} more", "+", f"{a} * {b}", story.value + a * b, 2)


def lose_groups(story: Story, draw: Draw) -> None:
    a, b, c = draw.number(2, 9), draw.number(2, 12), containers(draw)
    if a * b >= story.value:
        return gain_groups(story, draw)
    sentence = fill(draw.phrase(LOSE_GROUPS), story, draw, a=shown(draw, a), b=shown(draw, b), c=c)
    story.apply(sentence, f"{a} times {b} gone", "-", f"{a} * {b}", story.value - a * b, 2)


def times(story: Story, draw: Draw) -> None:
    a = draw.number(2, 9)
    if story.value * a > LARGEST / 2:
        return lose(story, draw)
    wording, line = (
        (draw.phrase(TIMES), f"{a} times as many") if draw.chance(0.6) else (draw.phrase(DOUBLE), "twice as many")
    )
    a = a if "{a}" in wording else 2
    compare(story, draw, wording, line, "*", a, story.value * a)


def half(story: Story, draw: Draw) -> None:
    if story.value % 2 or story.value < 4:
        return gain(story, draw)
    story.apply(fill(draw.phrase(HALF), story, draw), "half", "/", "2", story.value / 2)


def more(story: Story, draw: Draw) -> None:
    a = draw.number(2, 60)
    compare(story, draw, draw.phrase(MORE), f"{a} more", "+", a, story.value + a)


def fewer(story: Story, draw: Draw) -> None:
    if story.value < 8:
        return more(story, draw)
    a = draw.number(2, min(int(story.value) - 2, 60))
    compare(story, draw, draw.phrase(FEWER), f"{a} fewer", "-", a, story.value - a)


def compare(story: Story, draw: Draw, wording: str, line: str, operator: str, a: int, value: Fraction) -> None:
    """Somebody else is measured against the one so far; where a name is given, the story goes on with that one."""
    somebody = other(story, draw)
    sentence = fill(wording, story, draw, a=shown(draw, a), M=somebody)
    if "{M}" in wording:
        story.compared = True
        line = f"{somebody} {line}"
        story.name = somebody
    story.apply(sentence, line, operator, str(a), value)


def ask_now(story: Story, draw: Draw) -> str:
    story.sentences.append(fill(asking(story, draw, ASK_NOW), story, draw))
    return f"{story.name} has {{result}} {story.objects}."


def ask_share(story: Story, draw: Draw) -> str:
    divisors = [n for n in range(2, 13) if story.value % n == 0 and n <= story.value]
    if not divisors or story.value < 4:
        return ask_together(story, draw)
    a = draw.numeric(lambda: draw.any(divisors), lambda a: a in divisors)
    draw.numbers.add(a)
    story.apply(
        fill(asking(story, draw, ASK_SHARE), story, draw, a=shown(draw, a)),
        f"shared by {a}",
        "/",
        str(a),
        story.value / a,
    )
    return f"Each gets {{result}} {story.objects}."


def ask_money(story: Story, draw: Draw) -> str:
    a = draw.number(2, 12)
    story.apply(
        fill(asking(story, draw, ASK_MONEY), story, draw, a=shown(draw, a)),
        f"{a} dollars each",
        "*",
        str(a),
        story.value * a,
    )
    return "That is {result} dollars."


def ask_together(story: Story, draw: Draw) -> str:
    a = draw.number(2, 99)
    somebody = other(story, draw)
    sentence = fill(asking(story, draw, ASK_TOGETHER), story, draw, a=shown(draw, a), M=somebody)
    story.apply(sentence, f"{somebody} {a}", "+", str(a), story.value + a)
    return f"Together they have {{result}} {story.objects}."


Operation = Callable[[Story, Draw], None]
ONE_OPERATION: list[Operation] = [gain, lose, lose, times, half, more, fewer]
TWO_OPERATIONS: list[Operation] = [gain_groups, lose_groups]
FINISHES: list[Callable[[Story, Draw], str]] = [ask_now, ask_now, ask_now, ask_share, ask_money, ask_together]


def expression_task(draw: Draw, tier: int, task_id: str) -> Task:
    """A bare expression with ``tier`` operators: the model copies it into the calculator."""
    draw.draft()
    terms = [str(draw.number(2, 99)) for _ in range(tier + 1)]
    expression = terms[0]
    for term in terms[1:]:
        if draw.chance(0.3) and " " in expression:
            expression = f"({expression})"
        expression = f"{expression} {draw.any('+-*+-*/')} {term}"
    result = worked_out(expression)
    if not result.lstrip("-").isdigit():
        return expression_task(draw, tier, task_id)
    question = draw.phrase(ASK_EXPRESSION).format(e=expression)
    steps = (
        call("An expression to work out.", "calculator", ("expression", expression), result),
        direct(f"The result is {result}.", f"{expression} = {result}", result),
    )
    return Task(task_id, "arithmetic", tier, question, result, steps)


def everyday_task(draw: Draw, tier: int, task_id: str) -> Task:
    draw.draft()
    question, expression, unit = everyday(draw, tier)
    result = worked_out(expression)
    if not result.replace(".", "", 1).isdigit():  # no finite decimal: not a number that a person would expect
        return everyday_task(draw, tier, task_id)
    steps = (
        call(f"Work out {expression}.", "calculator", ("expression", expression), result),
        direct(f"The result is {result}.", f"The answer is {result}{unit}.", result),
    )
    return Task(task_id, "arithmetic", tier, question, result, steps)


def worked_out(expression: str) -> str:
    """What the model reads when the calculator has been called: the result, or why there is none."""
    try:
        return evaluate(expression)
    except ToolError as error:
        return f"Error: {error}"
