"""A person's own questions as a plain function: split, made again by their ids, and refused where they are none."""

from collections.abc import Callable
from typing import Any

import pytest

from agent.errors import SettingsError
from rl.grade import grade
from rl.judging import task_named
from rl.perturb import perturbed
from rl.suites.files import SuiteError
from rl.tasks.suite import FAMILIES, add_families, add_functions, generate
from rl.tasks.task import Task

HERE = __name__


def products(seed: int, index: int) -> tuple[str, int]:
    return f"What is {seed} * {index}?", seed * index


def sorts(seed: int, index: int) -> Task:
    return Task("", "", 7, f"Which is larger, {seed} or {index}?", f"{max(seed, index)}", (), checker="math")


def same(seed: int, index: int) -> tuple[str, str]:
    return "What is the capital of Peru?", "Lima"


@pytest.fixture(autouse=True)
def families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl.tasks.suite.FAMILIES", dict(FAMILIES))


def test_questions_are_split_by_their_text_and_made_again_by_their_ids() -> None:
    add_functions([f"{HERE}:products/0", "hf:owner/name:main", "strings"])
    name = f"{HERE}:products"
    train, held_out = ([generate(name, 0, split, 3, i) for i in range(200)] for split in ("train", "held_out"))
    assert not {task.question for task in train} & {task.question for task in held_out}
    assert len({task.question for task in train}) == 200
    assert sum(task.question == f"What is 3 * {i}?" for i, task in enumerate(train)) > 120
    assert [task_named(task.task_id) for task in train] == train
    assert train[5].task_id == f"{name}/0/train/3/5"
    assert perturbed(train[0], "numbers") is None


async def test_an_answer_is_graded_as_of_other_families_and_a_task_by_its_checker() -> None:
    add_families([f"{HERE}:products", f"{HERE}:sorts"])
    task = generate(f"{HERE}:products", 0, "train", 1, 5)
    assert await grade(task, [f"Answer: {task.gold}", "Answer: -1", None]) == [True, False, False]
    task = generate(f"{HERE}:sorts", 0, "train", 1, 5)
    assert (task.family, task.tier, task.task_id) == (f"{HERE}:sorts", 0, f"{HERE}:sorts/0/train/1/5")
    assert await grade(task, [rf"Answer: \frac{{{2 * int(task.gold)}}}{{2}}", "Answer: 0"]) == [True, False]


def test_a_function_that_nobody_named_is_not_called_because_a_log_says_so() -> None:
    assert task_named(f"{HERE}:products/0/train/3/5") is None


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda seed, index: seed / 0, r"\(3, 5\) raised ZeroDivisionError \(division by zero\); mend it"),
        (lambda seed, index: "What?", "let it return one"),
        (lambda seed, index: ("What?", None), "let it return one"),
        (lambda seed, index: (" ", "4"), "let it return one"),
        (lambda seed: ("What?", "4"), "raised TypeError"),
    ],
)
def test_what_gives_no_question_is_refused(
    made: Callable[..., Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{HERE}.products", made)
    add_families([f"{HERE}:products"])
    with pytest.raises(SuiteError, match=says):
        generate(f"{HERE}:products", 0, "train", 3, 5)


def test_a_function_of_one_question_has_none_for_one_of_the_splits() -> None:
    add_families([f"{HERE}:same"])
    assert generate(f"{HERE}:same", 0, "train", 3, 5).gold == "Lima"
    with pytest.raises(SuiteError, match="no question for held_out"):
        generate(f"{HERE}:same", 0, "held_out", 3, 5)


def test_what_is_neither_family_nor_function_is_a_setting_to_mend() -> None:
    with pytest.raises(SettingsError, match="no family and no function"):
        add_families([f"{HERE}:HERE"])
    with pytest.raises(SettingsError, match="cannot be loaded"):
        add_functions(["nosuch_module:questions"])
