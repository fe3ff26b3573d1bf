"""The questions that people wrote."""

import re

import pytest

from rl.grade import is_right
from rl.tasks import everyday, lookup, programs, stories, strings, units
from rl.tasks.handwritten import SAYS, tasks
from rl.tasks.smalltalk import DECLINE, GREETING
from rl.tasks.suite import FAMILIES, mixture
from tests.rl.recorded import wordings


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


def test_most_have_a_form_that_no_generator_makes() -> None:
    """Taken widely: anything may stand where a wording has a place. What coincides, coincides by itself."""
    modules = (stories, everyday, lookup, programs, strings, units)
    sentences = {s for module in modules for bank in wordings(module) for pattern in bank for s in pattern}
    forms = [re.compile(re.sub(r"\\\{\w+\\\}", "(.+)", re.escape(s)), re.IGNORECASE) for s in sentences if len(s) > 20]
    asked = [task.question for task in tasks()]
    assert len(forms) > 5000
    assert sum(any(form.fullmatch(question) for form in forms) for question in asked) <= 12


def test_a_gold_answer_with_its_unit_or_sign_is_right_and_another_is_not() -> None:
    change = next(task for task in tasks() if "." in task.gold)
    assert is_right(change, f"You have ${change.gold} left.\n\nAnswer: ${change.gold}")
    assert not is_right(change, f"You have ${change.gold} left.\n\nAnswer: 1{change.gold}")
    assert not is_right(change, f"You have ${change.gold} left.")


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (DECLINE, "declined"),
        ("I can\u2019t do that, sorry.", "declined"),
        ("I'm unable to say.", "declined"),
        (GREETING, "greeted"),
        ("Hi there!", "greeted"),
        ("You can't go wrong with it.", ""),
        ("France won it.\n\nAnswer: France", ""),
        ("", ""),
    ],
)
def test_to_decline_and_to_greet_are_right_where_they_are_called_for(answer: str, gold: str) -> None:
    for task in tasks():
        if task.gold in SAYS:
            assert is_right(task, answer) == (task.gold == gold), task.question
