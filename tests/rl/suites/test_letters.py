"""Which letter an answer chooses."""

import pytest

from rl.suites.letters import letter_of

CHOICES = ("Venus", "Earth", "Mercury", "Mercury")


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B)", "B.", "**B**", "B) Earth", "B: Earth", "Earth", r"\text{B}"])
def test_a_letter_is_read_however_it_is_written(answer: str) -> None:
    assert letter_of(answer, CHOICES) == "B"


@pytest.mark.parametrize("answer", ["", "A cat", "I think so", "Mercury", "Pluto", "BC"])
def test_anything_else_is_no_letter(answer: str) -> None:
    assert letter_of(answer, CHOICES) is None
