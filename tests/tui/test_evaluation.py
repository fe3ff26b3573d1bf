"""Which suites are asked, and how results are shown. The measuring itself is ``rl.evaluate``."""

import json
from pathlib import Path

import pytest

from agent.errors import SettingsError
from rl.evaluate import Result
from rl.tasks.suite import FAMILIES
from tests.tui.commands import ponder
from tui.evaluation import suites_named, table

FIELDS = {"suite", "tier", "effort", "strategy", "questions", "accuracy", "interval"}
FIELDS |= {"tokens_per_question", "seconds_per_question"}


def test_a_family_is_all_its_tiers_and_a_tier_is_one() -> None:
    assert suites_named("lookup") == [("lookup", 1), ("lookup", 2), ("lookup", 3)]
    assert suites_named("lookup/2,units/1") == [("lookup", 2), ("units", 1)]
    assert suites_named("handwritten") == [("handwritten", 0)]


def test_all_is_every_family_that_generates() -> None:
    assert {family for family, _ in suites_named("all")} == set(FAMILIES)


def test_hard_is_a_choice_of_tiers_that_there_are() -> None:
    hard = suites_named("hard")
    assert ("arithmetic", 8) in hard
    assert set(hard) < set(suites_named("all"))


@pytest.mark.parametrize("name", ["", "nosuch", "lookup/9", "lookup,", "handwritten/1", "all,lookup"])
def test_a_suite_that_there_is_not_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(SettingsError, match=r"take one of sums, arithmetic, .*, handwritten"):
        suites_named(name)


def test_results_are_a_markdown_table() -> None:
    rows = [
        Result("lookup", 2, "low", "single", 50, 0.5, (0.37, 0.63), 100.0, 0.25, 0.5, 200.0),
        Result("lookup", 3, "low", "single", 50, 0.0, (0.0, 0.07), 100.0, 0.25, None, None),
    ]
    header, rule, first, second = table(rows).splitlines()
    assert len({line.count("|") for line in (header, rule, first, second)}) == 1
    assert first == "| lookup | 2 | low | single | 50 | 0.500 (0.370 to 0.630) | 100 | 200 | 0.50 |"
    assert second.endswith("| 100 | - | - |")


@pytest.mark.timeout(300)
def test_an_evaluation_prints_one_json_document(model: str, tmp_path: Path) -> None:
    done = ponder(
        "eval", "smalltalk", "--questions", "2", "--effort", "low", "--model", model, "--json", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["results"]
    assert set(row) >= FIELDS
    assert (row["suite"], row["tier"], row["effort"], row["strategy"], row["questions"]) == (
        "smalltalk", 1, "low", "single", 2,
    )  # fmt: skip
    low, high = row["interval"]
    assert 0 <= low <= row["accuracy"] <= high <= 1
    assert row["tokens_per_question"] > 0
