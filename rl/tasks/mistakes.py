"""Demonstrations that go wrong at a known step: what a process reward model learns telling right from wrong by.

A model's own mistakes are few and much alike; these are as many as one likes. Only of families whose demonstration is
as good as the only way (``check``). ``rl.prm`` mixes them with logged attempts.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence

from rl.tasks.check import demonstrated, essence
from rl.tasks.suite import FAMILIES, generate
from rl.tasks.task import Task
from tools.calculator import evaluate

CHECKED = {"arithmetic": 0.6, "strings": 0.4}  # shares of the families
FLAWLESS = 0.3  # of the demonstrations
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_OPERATOR = re.compile(r"(?<= )[-+*/](?= )|^[-+*/](?= )")


def flawed(index: int, seed: int, delimiter: str) -> tuple[Task, tuple[str, ...], tuple[float, ...]]:
    """The ``index``-th demonstration of the training split: its steps up to the first mistake, 1 for each that is right
    and 0 for the mistake. A pure function of its arguments.
    """
    draw = random.Random(f"mistakes/{seed}/{index}")
    while True:
        [family] = draw.choices(list(CHECKED), list(CHECKED.values()))
        task = generate(family, draw.choice(list(FAMILIES[family].TIERS)), "train", seed + 7_000, draw.randrange(10**9))
        wanted = demonstrated(task, delimiter)
        if wanted is not None:
            break
    steps = texts(task, delimiter)
    if draw.random() < FLAWLESS:
        return task, tuple(steps), (1.0,) * len(steps)
    for place in draw.sample(range(len(steps)), len(steps)):
        wrong = mistaken(task, steps, place, draw)
        if wrong is not None and essence(wrong) != wanted[place]:
            return task, (*steps[:place], wrong), (*[1.0] * place, 0.0)
    return task, tuple(steps), (1.0,) * len(steps)


def texts(task: Task, delimiter: str) -> list[str]:
    """The steps of the demonstration, as ``agent.graph.steps_of`` would give them of an attempt."""
    steps: list[str] = []
    for turn in task.demonstration:
        steps += [line.strip() for line in turn.thought.split(delimiter)]
        for (name, arguments), result in zip(turn.calls, turn.results, strict=True):
            steps.append(called(name, arguments, result))
        steps += [turn.text.strip()]
    return [step for step in steps if step]


def called(name: str, arguments: dict[str, str], result: str) -> str:
    return f"{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n{result}"


def mistaken(task: Task, steps: Sequence[str], place: int, draw: random.Random) -> str | None:
    """The step with a mistake in it; None where it has nothing to get wrong."""
    step = steps[place]
    if step.startswith('{"name"'):
        return miscalled(task, step, draw)
    label, colon, term = step.partition(": ")
    if place + 1 < len(steps) and colon and draw.random() < 0.15:
        return steps[place + 1] if ": " in steps[place + 1] else None  # this one was left out
    if "Answer: " in step:
        return misanswered(step, draw)
    if task.family == "strings" and colon:
        others = [letter for letter in label.lower() if letter.isalpha() and letter != term]
        return f"{label}: {draw.choice(others)}" if others else None
    changed = miswritten(term if colon else label, task.question, draw)
    return changed and (f"{label}: {changed}" if colon else changed)


def misanswered(step: str, draw: random.Random) -> str | None:
    """A last step with another answer, also where its sentence says it."""
    before, mark, answer = step.rpartition("Answer: ")
    if _NUMBER.search(answer):
        wrong = miswritten(answer, "", draw)
        return wrong and f"{before.replace(answer, wrong)}{mark}{wrong}"
    if len(answer) < 2:
        return None
    i = draw.randrange(len(answer) - 1)
    swapped = answer[:i] + answer[i + 1] + answer[i] + answer[i + 2 :]
    wrong = draw.choice([swapped, answer[:i] + answer[i + 1 :], answer[: i + 1] + answer[i:]])
    return f"{before}{mark}{wrong}"


def miscalled(task: Task, step: str, draw: random.Random) -> str | None:
    """A call of the calculator with another expression, and what it gives."""
    call = json.loads(step.partition("\n")[0])
    expression = call["arguments"].get("expression")
    wrong = expression and miswritten(expression, task.question, draw)
    try:
        return wrong and called(call["name"], {"expression": wrong}, str(evaluate(wrong)))
    except Exception:  # what was made of it may be no expression
        return None


def miswritten(term: str, question: str, draw: random.Random) -> str | None:
    """A term with another number or operator, or without its parentheses."""
    ways = []
    if numbers := list(_NUMBER.finditer(term)):
        match = draw.choice(numbers)
        ways.append(f"{term[: match.start()]}{another_number(match[0], question, draw)}{term[match.end() :]}")
    if operators := list(_OPERATOR.finditer(term)):
        match = draw.choice(operators)
        other = draw.choice([each for each in "+-*/" if each != match[0]])
        ways.append(f"{term[: match.start()]}{other}{term[match.end() :]}")
    if "(" in term:
        ways.append(term.replace("(", "").replace(")", ""))
    return draw.choice(ways) if ways else None


def another_number(number: str, question: str, draw: random.Random) -> str:
    """One of the question's, or the same with a digit changed, left out or doubled."""
    asked = [each for each in _NUMBER.findall(question) if each != number]
    i = draw.randrange(len(number))
    ways = [number[:i] + draw.choice("0123456789") + number[i + 1 :], number[: i + 1] + number[i:]]
    ways += [number[:i] + number[i + 1 :]] if len(number) > 1 else []
    ways += [draw.choice(asked)] * 2 if asked else []
    return draw.choice(ways)
