"""Demonstrations with a mistake: right up to a step, wrong at it, and nothing after it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.tasks.check import checked_steps, demonstrated, essence
from rl.tasks.mistakes import flawed, misanswered, miscalled, texts
from rl.tasks.suite import generate


@given(st.integers(0, 10**6))
def test_everything_is_right_but_the_last_step_of_a_flawed_one(index: int) -> None:
    task, steps, labels = flawed(index, 0, "\n")
    wanted = demonstrated(task, "\n")
    assert wanted is not None
    same = [essence(step) == right for step, right in zip(steps, wanted, strict=False)]
    assert [float(each) for each in same] == list(labels)
    assert len(steps) == len(wanted) or not all(labels)
    assert all(labels[:-1])


def test_it_is_a_pure_function_of_the_training_split() -> None:
    made = [flawed(index, 3, "\n") for index in range(50)]
    assert made == [flawed(index, 3, "\n") for index in range(50)]
    assert all("/train/" in task.task_id for task, _, _ in made)
    assert len({task.task_id for task, _, _ in made}) == 50


def test_mistakes_come_at_every_step_and_some_demonstrations_have_none() -> None:
    made = [flawed(index, 0, "\n") for index in range(400)]
    flawless = sum(all(labels) for _, _, labels in made) / len(made)
    assert 0.2 < flawless < 0.45
    places = [len(steps) for _, steps, labels in made if not all(labels)]
    assert {1, 2, 3, 4, 5} <= set(places)


@pytest.mark.parametrize(("family", "tier"), [("arithmetic", 3), ("arithmetic", 8), ("strings", 1), ("strings", 4)])
def test_the_steps_of_a_demonstration_are_right(family: str, tier: int) -> None:
    tasks = [generate(family, tier, "train", 0, index) for index in range(20)]
    for task in (task for task in tasks if demonstrated(task, "\n")):
        verdicts = checked_steps(task, texts(task, "\n"), "\n")
        assert verdicts is not None
        assert all(verdicts)


@given(st.integers(0, 1000))
def test_another_answer_is_another(seed: int) -> None:
    draw = random.Random(seed)
    for step in ("The letters are a, b.\n\nAnswer: ab", "Tom has 75 pens.\n\nAnswer: 75"):
        wrong = misanswered(step, draw)
        assert wrong is None or "Answer: " in wrong


@given(st.integers(0, 1000))
def test_a_call_with_a_mistake_has_the_result_of_what_was_asked(seed: int) -> None:
    task = generate("arithmetic", 4, "train", 0, 1)
    step = next(step for step in texts(task, "\n") if step.startswith('{"name"'))
    wrong = miscalled(task, step, random.Random(seed))
    assert wrong is None or wrong.startswith('{"name": "calculator", "arguments": {"expression": "')
