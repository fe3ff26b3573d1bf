"""String puzzles, solved again from the question alone."""

import re

import pytest

from rl.tasks.strings import TIERS
from rl.tasks.suite import generate
from rl.tasks.task import Split, Task

SPLITS: tuple[Split, Split] = ("train", "held_out")


def tasks(tier: int) -> list[Task]:
    return [generate("strings", tier, split, 8, index) for split in SPLITS for index in range(80)]


def spelled_out(task: Task) -> list[str]:
    """The words of a letter puzzle, from its thought; none for a puzzle that a program solves."""
    return [] if task.demonstration[0].calls else re.findall(r"^(\w+): \w$", task.demonstration[0].thought, re.M)


@pytest.mark.parametrize("tier", TIERS)
def test_a_letter_puzzle_has_two_words_for_each_tier_and_its_letters(tier: int) -> None:
    puzzles = [(task, spelled) for task in tasks(tier) if (spelled := spelled_out(task))]
    assert len(puzzles) > 40
    for task, spelled in puzzles:
        assert len(spelled) == 2 * tier
        assert " ".join(spelled) in task.question
        at = -1 if re.search(r"\b(last|final)\b", task.question) else 0
        assert task.gold == "".join(word[at] for word in spelled).lower()


def test_puzzles_for_a_program_are_in_the_first_two_tiers() -> None:
    for tier in TIERS:
        assert any(not spelled_out(task) for task in tasks(tier)) == (tier <= 2)


def test_a_program_is_asked_about_a_word_of_the_question() -> None:
    for task in tasks(1):
        if not spelled_out(task):
            [[(name, arguments)]] = [step.calls for step in task.demonstration if step.calls]
            assert name == "python"
            [word] = re.findall(r'^print\((?:len\()?"(\w+)"', arguments["code"])
            assert re.search(rf"\b{word}\b", task.question)
            assert task.gold in {str(len(word)), word[::-1], *(str(word.count(letter)) for letter in word)}
