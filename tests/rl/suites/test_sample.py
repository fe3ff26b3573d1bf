"""Which of a file's questions are asked."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rl.suites.files import SuiteError
from rl.suites.sample import sampled
from rl.tasks.task import Task
from tests.rl.suites.rows import MATH, OWN


def written(file: Path, rows: Sequence[Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def numbered(count: int) -> list[dict[str, Any]]:
    return [OWN | {"question": f"What is {i} + {i}?", "gold": str(2 * i)} for i in range(count)]


def sample(file: Path, questions: int, seed: int = 1) -> dict[int, list[Task]]:
    return sampled([file], questions, seed, lambda total, done: None)


def test_a_sample_is_drawn_by_its_seed_and_not_the_first_lines(tmp_path: Path) -> None:
    file = written(tmp_path / "own.jsonl", numbered(200))
    [drawn] = sample(file, 20).values()
    assert sample(file, 20) == {0: drawn}
    assert len({task.task_id for task in drawn}) == 20
    assert any(int(task.gold) >= 200 for task in drawn)
    assert {t.task_id for t in drawn} != {t.task_id for t in sample(file, 20, seed=2)[0]}


def test_a_larger_sample_begins_with_the_smaller_one(tmp_path: Path) -> None:
    file = written(tmp_path / "own.jsonl", numbered(200))
    assert sample(file, 50)[0][:20] == sample(file, 20)[0]
    assert len(sample(file, 1000)[0]) == 200


def test_an_edited_file_keeps_the_tasks_of_the_lines_that_stay(tmp_path: Path) -> None:
    before = sample(written(tmp_path / "own.jsonl", numbered(50)), 100)[0]
    moved = [OWN, *reversed(numbered(50)[1:])]
    after = sample(written(tmp_path / "own.jsonl", moved), 100)[0]
    assert len({t.task_id for t in before} & {t.task_id for t in after}) == 49


@pytest.mark.parametrize("questions", [1, 3, 10, 100])
def test_a_row_that_stands_there_twice_is_asked_once(questions: int, tmp_path: Path) -> None:
    once, twice = numbered(10), numbered(10) * 3
    drawn = sample(written(tmp_path / "twice.jsonl", twice), questions)
    assert drawn == sample(written(tmp_path / "once.jsonl", once), questions)


def test_each_level_has_a_sample_of_its_own(tmp_path: Path) -> None:
    rows = [MATH | {"problem": f"What is {i}?", "level": f"Level {1 + i % 3}"} for i in range(30)]
    drawn = sample(written(tmp_path / "math.jsonl", rows), 4)
    assert [(tier, len(tasks)) for tier, tasks in drawn.items()] == [(1, 4), (2, 4), (3, 4)]
    assert all(task.tier == tier for tier, tasks in drawn.items() for task in tasks)


def test_lines_that_fit_no_format_are_named_in_one_sentence(tmp_path: Path) -> None:
    file = written(tmp_path / "own.jsonl", [OWN, {"text": "x"}, OWN, *[[]] * 7])
    with pytest.raises(SuiteError) as refused:
        sample(file, 3)
    assert str(refused.value) == (
        f"{file}:2 fits no format (its keys: text); own.jsonl:4, own.jsonl:5, own.jsonl:6, own.jsonl:7 and 3 more "
        "cannot be asked either; docs/evaluation.md has the formats: mend such lines, or remove them."
    )


def test_an_empty_file_holds_no_questions(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="holds no questions"):
        sample(written(tmp_path / "own.jsonl", []), 3)
