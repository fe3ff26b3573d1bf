"""What a suite from a file is called, and which of its tiers are asked."""

import json
from pathlib import Path

import pytest

from rl.suites.files import SuiteError
from rl.suites.named import is_file, suites_in
from tests.rl.suites.rows import GSM8K, MATH


@pytest.fixture
def math(tmp_path: Path) -> Path:
    file = tmp_path / "contest.jsonl"
    rows = [MATH | {"problem": f"What is {i}?", "level": f"Level {1 + i % 2}"} for i in range(6)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def quiet(total: int, done: int) -> None:
    pass


@pytest.mark.parametrize("name", ["a.jsonl", "~/b/c.parquet", "d.csv", "a.jsonl/5", "hf:openai/gsm8k:main:test"])
def test_a_file_is_told_from_a_family_by_its_name(name: str) -> None:
    assert is_file(name)


@pytest.mark.parametrize("name", ["", "arithmetic", "arithmetic/4", "all", "a.txt"])
def test_a_family_is_no_file(name: str) -> None:
    assert not is_file(name)


def test_a_suite_is_called_as_its_file_and_has_its_levels_as_tiers(math: Path) -> None:
    suites = suites_in(str(math), 100, 1, quiet)
    assert [(suite.family, suite.tier, len(suite.tasks)) for suite in suites] == [("contest", 1, 3), ("contest", 2, 3)]
    assert {task.family for suite in suites for task in suite.tasks} == {"contest"}
    assert suites_in(f"{math}/2", 100, 1, quiet) == suites[1:]
    with pytest.raises(SuiteError, match=r"has no tier 7; it has 1, 2"):
        suites_in(f"{math}/7", 100, 1, quiet)


def test_a_second_file_of_the_same_name_is_called_by_its_path(math: Path) -> None:
    [first, _] = suites_in(str(math), 100, 1, quiet, {"contest"})
    assert first.family == str(math)


def test_a_data_set_in_a_folder_is_asked_like_one_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "gsm8k" / "main").mkdir(parents=True)
    (tmp_path / "gsm8k" / "main" / "test-00000-of-00001.jsonl").write_text(json.dumps(GSM8K))
    [suite] = suites_in(f"hf:{tmp_path / 'gsm8k'}:main:test", 100, 1, quiet)
    assert (suite.family, suite.tier, suite.tasks[0].gold) == ("gsm8k:main", 0, "1,017")
