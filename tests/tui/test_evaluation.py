"""Which suites are asked, and how results are shown. The measuring itself is ``rl.evaluate``."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.search.steps import Beam
from rl.results import Outcome, Result
from rl.tasks.suite import FAMILIES
from tests.tui.commands import one_sentence, ponder
from tui.evaluation import Plan, prompts_named, suites_asked, suites_named, table, ways_named, ways_to_perturb

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


@pytest.mark.parametrize("name", ["", "nosuch", "lookup,", "all,lookup"])
def test_a_suite_that_there_is_not_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(SettingsError, match=r"take one of all, hard, sums, arithmetic, .*, handwritten"):
        suites_named(name)


@pytest.mark.parametrize(("name", "tiers"), [("lookup/9", "1, 2, 3"), ("handwritten/1", "0")])
def test_a_tier_that_there_is_not_is_refused_with_those_there_are(name: str, tiers: str) -> None:
    with pytest.raises(SettingsError, match=rf"has no tier \d; it has {tiers}\."):
        suites_named(name)


def row(strategy: str, *right: bool, tier: int = 2, tokens: float = 100.0) -> Result:
    outcomes = tuple(Outcome(f"lookup/{tier}/{i}", float(each), tokens, 0.25) for i, each in enumerate(right))
    return Result("lookup", tier, "low", strategy, outcomes)


def test_results_are_a_markdown_table() -> None:
    rows = [row("single", True, False), row("single", False, False, tier=3)]
    header, rule, first, second = table(rows).splitlines()
    assert len({line.count("|") for line in (header, rule, first, second)}) == 1
    assert first == "| lookup | 2 | low | single | 2 | 0.500 (0.095 to 0.905) | 100 | 200 | 0.50 |"
    assert second.endswith("| 100 | - | - |")


def test_rows_are_compared_question_by_question() -> None:
    rows = [row("single", *[False] * 20), row("majority@4", *[True] * 10 + [False] * 10, tokens=400.0)]
    _, _, first, second = table(rows, against="single").splitlines()
    assert first.endswith("| - | - | - |")
    assert second.endswith("| +50.0 (+22.7 to +68.2) | 0.002 | 4.00 |")
    with pytest.raises(SettingsError, match="No row is called 'beam'; take one of single, majority@4"):
        table(rows, against="beam")


def test_two_prompts_are_compared_question_by_question_each_way_of_answering_with_itself() -> None:
    rows = [
        replace(row(strategy, *right), prompt=prompt)
        for prompt, right in (("plain", [False] * 20), ("few_shot", [True] * 10 + [False] * 10))
        for strategy in ("single", "majority@4")
    ]
    header, _, *lines = table(rows, against="plain").splitlines()
    assert header.startswith("| suite | tier | prompt | effort |")
    assert [line.split(" | ")[2] for line in lines] == ["plain", "plain", "few_shot", "few_shot"]
    assert all(line.endswith("| - | - | - |") for line in lines[:2])
    assert all("| +50.0 (+22.7 to +68.2) |" in line for line in lines[2:])
    assert "| +0.0 (" in table(rows, against="single").splitlines()[3], "within each prompt"
    with pytest.raises(SettingsError, match="take one of plain, few_shot, single, majority@4"):
        table(rows, against="zero_shot")


def test_prompts_that_a_table_could_not_tell_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("You are mine.")
    assert [prompt.name for prompt in prompts_named("few_shot,plain")] == ["few_shot", "plain"]
    assert prompts_named(None) == []
    with pytest.raises(SettingsError, match="the same name"):
        prompts_named(f"plain,{tmp_path}/plain.txt")


def test_a_perturbed_suite_stands_beside_the_original_one() -> None:
    rows = [replace(row("single", *[True] * 20), perturbed="original")]
    rows += [replace(row("single", *[True] * 10 + [False] * 10), perturbed="numbers")]
    header, _, _, second = table(rows, against="original").splitlines()
    assert "| perturbed | effort |" in header
    assert "| numbers | low | single | 20 | 0.500 (" in second
    assert "| -50.0 (-68.2 to -22.7) | " in second


def test_ways_to_perturb_are_named_by_commas() -> None:
    assert ways_to_perturb("order,numbers") == ["numbers", "order"]
    assert ways_to_perturb(None) == []
    with pytest.raises(SettingsError, match="by 'colours'; take one or several of numbers, names, order"):
        ways_to_perturb("names,colours")


def test_a_strategy_is_written_with_its_parameters() -> None:
    [effort, way] = ways_named("low", ["beam:beams=2,diverse=true,by=best"], 0.5)
    assert (effort.name, way.name, way.temperature) == ("low", "beam:beams=2,diverse=true,by=best", 0.5)
    assert way.strategy == Beam(beams=2, diverse=True, by="best")


@pytest.mark.parametrize(
    ("spec", "says"), [("majority", "n: field required; write it like"), ("dowsing:n=8", "no strategy")]
)
def test_a_strategy_that_cannot_be_is_refused(spec: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        ways_named("", [spec], None)


def test_a_pool_that_an_effort_might_use_up_is_refused_before_it_is_drawn() -> None:
    ways = ways_named("medium,auto", [], None)
    plan = Plan([], ways, ways_named("high", [], None)[0], 4, 1, 1, "held_out", 1, [], [])
    with pytest.raises(SettingsError, match="auto may make 8 attempts; take --pool 8 or more"):
        plan.refuse_small_pool()
    replace(plan, pool=8).refuse_small_pool()
    replace(plan, pool=0).refuse_small_pool()


def test_suites_are_those_of_families_and_files_each_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        rows = [{"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"} for i in range(9)]
        (tmp_path / folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    one, other = (str(tmp_path / folder / "sums.jsonl") for folder in ("a", "b"))
    found = suites_asked(f"lookup/2,{one},lookup,{other},{one}", 4, 1, "held_out")
    assert [(suite.family, suite.tier) for suite in found] == [
        ("lookup", 2), ("sums", 0), ("lookup", 1), ("lookup", 3), (other, 0),
    ]  # fmt: skip
    assert [len(suite.tasks) for suite in found] == [4] * 5
    with pytest.raises(SettingsError, match=r"or name a file \(\.jsonl"):
        suites_asked(f"{one},nosuch", 4, 1, "held_out")


@pytest.mark.timeout(300)
def test_a_file_is_asked_and_its_overlap_with_training_text_reported(model: str, tmp_path: Path) -> None:
    rows = [{"question": "What is 2 + 3?", "answer": "#### 5"}, {"question": "Name a | planet.", "gold": "Mars"}]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "training.txt").write_text("It was: name a planet!\n")
    asked = ("eval", "mine.jsonl", "--contamination", "training.txt", "--model", model)
    done = ponder(*asked, "--json", "--out", "found", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [(row["suite"], row["tier"], row["questions"]) for row in document["results"]] == [("mine", 0, 2)]
    found = document["contamination"]
    assert (found["questions"], found["overlapping"], found["share"]) == (2, 1, 0.5)
    assert found["worst"][0]["where"] == "training.txt:1"
    assert [(row["overlapping"]["questions"], row["clean"]["questions"]) for row in found["results"]] == [(1, 1)]
    assert json.loads((tmp_path / "found" / "contamination.json").read_text()) == found
    table = (tmp_path / "found" / "table.md").read_text()
    assert "1 of 2 questions (0.500) overlap with training.txt." in table
    assert "| 1.000 | training.txt:1 | Name a \\| planet. |" in table


def test_a_file_with_lines_of_no_format_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "Why?", "gold": "So."}\n{"text": "Once."}\n')
    done = ponder("eval", "mine.jsonl", folder=tmp_path)
    assert done.returncode == 2
    assert "mine.jsonl:2 fits no format (its keys: text)" in one_sentence(done)


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
