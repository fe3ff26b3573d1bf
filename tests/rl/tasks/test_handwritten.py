"""The questions that people wrote."""

import pytest

from rl.grade import is_right
from rl.tasks.handwritten import tasks
from rl.tasks.smalltalk import DECLINE, GREETING
from rl.tasks.suite import FAMILIES, mixture


def test_there_are_sixty_each_with_a_gold_answer_and_no_demonstration() -> None:
    asked = tasks()
    assert len({task.question for task in asked}) == 60
    assert {(task.family, task.tier) for task in asked} == {("handwritten", 0)}
    assert [task.task_id for task in asked[:2]] == ["handwritten/0", "handwritten/1"]
    assert all(task.gold and not task.demonstration for task in asked)


def test_none_of_them_is_trained_on() -> None:
    assert "handwritten" not in FAMILIES
    asked = {task.question for task in tasks()}
    assert not asked & {mixture(0, index).question for index in range(500)}


def test_a_gold_answer_with_its_unit_or_sign_is_right_and_another_is_not() -> None:
    change = next(task for task in tasks() if task.gold == "31.75")
    assert is_right(change, "You have $31.75 left.\n\nAnswer: $31.75")
    assert not is_right(change, "You have $31.75 left.\n\nAnswer: 32.75")
    assert not is_right(change, "You have $31.75 left.")


@pytest.mark.parametrize(
    "answer", [DECLINE, GREETING, "I can\u2019t do that, sorry.", "Hi there!", "I'm unable to say."]
)
def test_what_is_beyond_it_is_right_where_it_is_declined_or_greeted(answer: str) -> None:
    for task in tasks():
        assert is_right(task, answer) == (task.gold == "declined"), task.question


@pytest.mark.parametrize("answer", ["France won it.\n\nAnswer: France", "Delhi, which is high.", ""])
def test_what_is_beyond_it_is_wrong_where_it_is_answered(answer: str) -> None:
    assert not any(is_right(task, answer) for task in tasks())
