"""Bare sums, worked out again from the question alone."""

import re
from fractions import Fraction

import pytest

from rl.tasks.suite import generate
from rl.tasks.sums import HIGHEST, SIGNS, TIERS
from rl.tasks.task import Split, Task
from rl.tasks.words import NUMBER_WORDS

SPLITS: tuple[Split, Split] = ("train", "held_out")
SPOKEN = {
    "and": "+", "plus": "+", "minus": "-", "less": "-", "times": "*", "multiplied": "*", "x": "*", "divided": "/",
    "over": "/", "\N{MULTIPLICATION SIGN}": "*", "\N{DIVISION SIGN}": "/",
}  # fmt: skip


def tasks(tier: int) -> list[Task]:
    return [generate("sums", tier, split, 8, index) for split in SPLITS for index in range(150)]


def typed(question: str) -> str:
    """What a person would type into a calculator for the question."""
    numbers = {word: str(n) for n, word in enumerate(NUMBER_WORDS)}
    parts = re.findall(r"\d+|[a-z]+|[-+*/()\N{MULTIPLICATION SIGN}\N{DIVISION SIGN}]", question.lower())
    parts = [numbers.get(part, SPOKEN.get(part, part)) for part in parts]
    signs = "".join(part for part in parts if not part.isalpha())
    return signs.lstrip("+")  # "and" before the first number adds nothing


@pytest.mark.parametrize("tier", TIERS)
def test_the_gold_answer_is_what_the_question_says(tier: int) -> None:
    for task in tasks(tier):
        exact = re.sub(r"\d+", r"Fraction(\g<0>)", typed(task.question))
        assert eval(exact, {"Fraction": Fraction}) == Fraction(task.gold), task.question


@pytest.mark.parametrize("tier", TIERS)
def test_the_calculator_is_asked_for_the_sum_itself(tier: int) -> None:
    for task in tasks(tier):
        [(_, arguments)] = task.demonstration[0].calls
        assert arguments["expression"].replace(" ", "") == typed(task.question)
        assert task.gold in task.demonstration[-1].text


def test_every_sign_occurs_typed_without_spaces_and_in_words() -> None:
    questions = [task.question for task in tasks(1)]
    for ways in SIGNS.values():
        assert any(re.search(rf"\d{re.escape(ways[0].format(a='', b=''))}\d", question) for question in questions)
        assert any(ways[2].format(a="", b="") in question for question in questions)


def test_small_numbers_are_as_common_as_large_ones() -> None:
    largest = [max(map(int, re.findall(r"\d+", task.demonstration[0].calls[0][1]["expression"]))) for task in tasks(2)]
    assert 0.2 < sum(n <= HIGHEST[1] for n in largest) / len(largest) < 0.5
