"""String puzzles: last and first letters spelled out in the thought; counting and reversing with the python tool.

A letter puzzle of tier t has 2 t words; the puzzles for a program are in tiers 1 and 2.
"""

from __future__ import annotations

from rl.tasks.task import Draw, Task, call, direct
from rl.tasks.words import COMMON, NAMES, invented

TIERS = range(1, 5)

LAST = [
    'Take the last letters of the words in "{t}" and concatenate them.', 'Concatenate the last letters of "{t}".',
    'What do the last letters of the words in "{t}" spell?', 'Join the last letter of each word in "{t}".',
    'Put together the last letters of these words: {t}.', 'Write the last letter of every word in "{t}" without spaces.',
    'What string do you get from the last letters of {t}?', 'Take the final letter of each word in "{t}" and join them.',
]  # fmt: skip
FIRST = [
    'Take the first letters of the words in "{t}" and concatenate them.', 'Concatenate the first letters of "{t}".',
    'What do the first letters of the words in "{t}" spell?', 'Join the first letter of each word in "{t}".',
    'Put together the first letters of these words: {t}.', 'Write the first letter of every word in "{t}" without spaces.',
    'What string do you get from the first letters of {t}?', 'Take the initial letter of each word in "{t}" and join them.',
]  # fmt: skip
COUNT = [
    'How many times does the letter "{l}" occur in "{w}"?', "How many {l}'s are in {w}?", 'Count the letter {l} in the word "{w}".',
    'How often does {l} appear in {w}?', 'What is the number of {l} letters in "{w}"?', 'Count how many times {l} is in {w}.',
    'In the word {w}, how many times do you see the letter {l}?', 'How many letters {l} does the word {w} contain?',
]  # fmt: skip
REVERSE = [
    'Reverse the word "{w}".', "Write {w} backwards.", 'Spell "{w}" in reverse.', "What is {w} written backwards?",
    "Turn the word {w} around.", 'What do you get when you reverse "{w}"?', "Reverse the letters of {w}.", 'Give me "{w}" from back to front.',
]  # fmt: skip
LENGTH = [
    'How many letters does the word "{w}" have?', "How long is the word {w}?", "Count the letters of {w}.", "What is the number of letters in {w}?",
    'How many characters are in "{w}"?', "Tell me the length of the word {w}.", "How many letters are there in {w}?", "Give the length of {w}.",
]  # fmt: skip


def generate(draw: Draw, tier: int, task_id: str) -> Task:
    if tier <= 2 and draw.chance(0.4):
        return by_program(draw, tier, task_id)
    words = [word(draw) for _ in range(2 * tier)]
    last = draw.chance(0.6)
    at = -1 if last else 0
    gold = "".join(w[at] for w in words).lower()
    question = draw.pick(LAST if last else FIRST).format(t=" ".join(words))
    thought = "\n".join(f"{w}: {w[at].lower()}" for w in words)
    step = direct(thought, f"The letters are {', '.join(gold)}.", gold)
    return Task(task_id, "strings", tier, question, gold, (step,))


def word(draw: Draw) -> str:
    if draw.chance(0.4):
        return draw.pick(NAMES)
    if draw.chance(0.5):
        return draw.pick(COMMON)
    return invented(draw) if draw.chance(0.3) else invented(draw).capitalize()


def by_program(draw: Draw, tier: int, task_id: str) -> Task:
    w = draw.pick(COMMON) if draw.chance(0.5) else invented(draw, 2, 4)
    kind = draw.any(["count", "reverse", "length"])
    if kind == "count":
        letter = draw.any(sorted(set(w)))
        question, code, gold = (
            draw.pick(COUNT).format(l=letter, w=w),
            f'print("{w}".count("{letter}"))',
            str(w.count(letter)),
        )
    elif kind == "reverse":
        question, code, gold = draw.pick(REVERSE).format(w=w), f'print("{w}"[::-1])', w[::-1]
    else:
        question, code, gold = draw.pick(LENGTH).format(w=w), f'print(len("{w}"))', str(len(w))
    steps = (
        call("A program can tell.", "python", ("code", code), gold),
        direct(f"It printed {gold}.", f"The answer is {gold}.", gold),
    )
    return Task(task_id, "strings", tier, question, gold, steps)
