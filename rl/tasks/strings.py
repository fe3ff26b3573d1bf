"""String puzzles: last and first letters spelled out in the thought; counting and reversing with the python tool.

A letter puzzle of tier t has 2 t words; the puzzles for a program are in tiers 1 and 2.
"""

from __future__ import annotations

from rl.tasks.task import Draw, Task, call, direct, phrased
from rl.tasks.words import COMMON, NAMES, invented

TIERS = range(1, 5)


def spelled_out(which: str) -> tuple[tuple[str, ...], ...]:
    return phrased(
        f'[Take|Write|Find] the {which} [letters|letter] of [the|all|each of these] words in "{{t}}" and [concatenate|join|combine] them[.|]',
        f'[Concatenate|Join|Combine|Put together|Stick together] the {which} letters of [the words in |]["{{t}}"|{{t}}][.|]',
        f'What do the {which} letters of [the words in |]["{{t}}"|{{t}}] [spell|give|make][?| together?]',
        f'[Concatenate|Join|Take|Write] the {which} letter of [each|every] word [in|of] ["{{t}}"|{{t}}][.|]',
        f'[Put together|Stick together|Join] the {which} letters of [these|the following|all these] words: {{t}}[.|]',
        f'[What|Which] [string|word] do [you|I] get from the {which} letters of [the words |]{{t}}?',
        f'Take the {which} letter of each of these words and [stick|put|join] them together: {{t}}[.|]',
    )  # fmt: skip


LAST = spelled_out("last")
FINAL = spelled_out("final")
FIRST = spelled_out("first")
COUNT = phrased(
    'How [many times|often] does [the letter |]["{l}"|{l}] [occur|appear|show up] in [the word |]["{w}"|{w}]?', "How many [{l}'s|letters {l}|{l}s] are [there |]in [the word |]{w}?",
    '[Count|Find] the [letter {l}|number of {l}] in [the word |]["{w}"|{w}][.|]', 'What is the number of {l} [letters |]in [the word |]["{w}"|{w}]?',
    "[Count|Tell me] how [many times|often] {l} is in [the word |]{w}.", "In the word {w}, how [many times|often] do [you see|you find|I see] [the letter |]{l}?",
)  # fmt: skip
REVERSE = phrased(
    '[Reverse|Turn around] [the word |the letters of |]["{w}"|{w}][.|]', '[Write|Spell] [the word |]["{w}"|{w}] [backwards|in reverse][.|]', "What is [the word |]{w} [written |spelled |]backwards?",
    'How do [you|I] [spell|write] ["{w}"|{w}] backwards?', 'What do [you|I] get when [you|I] [reverse|turn around] ["{w}"|{w}]?', '[Give me|Tell me] [the word |]["{w}"|{w}] [backwards|in reverse][.|]',
)  # fmt: skip
LENGTH = phrased(
    'How many [letters|characters] [does|has] [the word |]["{w}"|{w}] have?', "How long is [the word |]{w}[?| in letters?]", '[Count|Find] the [letters|characters] [of|in] ["{w}"|{w}][.|]',
    "What is the number of [letters|characters] [in|of] [the word |]{w}?", 'How many [letters|characters] are [there |]in ["{w}"|{w}]?', "[Tell me|Give|Find] the length of [the word |]{w}[.|]",
)  # fmt: skip


def generate(draw: Draw, tier: int, task_id: str) -> Task:
    if tier <= 2 and draw.chance(0.4):
        return by_program(draw, tier, task_id)
    words = [draw.event(lambda: word, lambda make: make(draw)) for _ in range(2 * tier)]
    last = draw.chance(0.6)
    at = -1 if last else 0
    gold = "".join(w[at] for w in words).lower()
    question = draw.phrase(draw.any([LAST, LAST, FINAL]) if last else FIRST).format(t=" ".join(words))
    thought = "\n".join(f"{w}: {w[at].lower()}" for w in words)
    step = direct(thought, f"The letters are {', '.join(gold)}.", gold)
    return Task(task_id, "strings", tier, question, gold, (step,))


def word(draw: Draw) -> str:
    return draw.name(lambda: any_word(draw))


def any_word(draw: Draw) -> str:
    if draw.chance(0.3):
        return draw.pick(NAMES)
    if draw.chance(0.5):
        return draw.pick(COMMON)
    return invented(draw) if draw.chance(0.3) else invented(draw).capitalize()


def by_program(draw: Draw, tier: int, task_id: str) -> Task:
    w = draw.name(lambda: draw.pick(COMMON) if draw.chance(0.5) else invented(draw, 2, 4))
    kind = draw.any(["count", "reverse", "length"])
    if kind == "count":
        letter = draw.any(sorted(set(w)))
        question, code, gold = (
            draw.phrase(COUNT).format(l=letter, w=w),
            f'print("{w}".count("{letter}"))',
            str(w.count(letter)),
        )
    elif kind == "reverse":
        question, code, gold = draw.phrase(REVERSE).format(w=w), f'print("{w}"[::-1])', w[::-1]
    else:
        question, code, gold = draw.phrase(LENGTH).format(w=w), f'print(len("{w}"))', str(len(w))
    steps = (
        call("A program can tell.", "python", ("code", code), gold),
        direct(f"It printed {gold}.", f"The answer is {gold}.", gold),
    )
    return Task(task_id, "strings", tier, question, gold, steps)
