"""Whether an answer is right."""

import pytest

from rl.grade import is_right
from rl.tasks.task import Task

PENS = Task("t", "arithmetic", 2, "How many pens does Tom have?", "1250", ())
DECLINED = Task("t", "smalltalk", 1, "Sing!", "declined", (), metadata={"says": "I can't do that"})


@pytest.mark.parametrize(
    "answer", ["Answer: 1250", "So.\n\nAnswer: 1,250 pens", "1\n\n**Answer: 1250.0**", r"\boxed{1250}"]
)
def test_equal_values_are_right_however_they_are_written(answer: str) -> None:
    assert is_right(PENS, answer)


@pytest.mark.parametrize("answer", [None, "", "1250", "Answer: 125", "Answer: 1250 cups", "Answer: 1250\nAnswer: 1"])
def test_anything_else_is_wrong(answer: str | None) -> None:
    assert not is_right(PENS, answer)


def test_a_sentence_that_is_wanted_may_stand_anywhere_in_any_case() -> None:
    assert is_right(DECLINED, "Sorry, i can't do that: I am small.")
    assert not is_right(DECLINED, "I can do that.")
    assert not is_right(DECLINED, "I can't do thatch.")
