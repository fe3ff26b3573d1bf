"""The log as commands show it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from agent.store import Store
from tests.agent.logs import RUN
from tests.tui.commands import CONTROL, ponder
from tests.tui.conftest import HOSTILE
from tui.log import verdict_text
from verifiers.verdict import Verdict

SAMPLE = {"prompt_token_ids": [1, 2, 7, 8, 9], "token_ids": [7, 8], "logprobs": [-0.5, -0.25], "temperature": 0.7}


def shown(*arguments: str, folder: Path) -> Any:
    """The one JSON document that a command prints."""
    done = ponder(*arguments, "--json", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def names(folder: Path, *arguments: str) -> list[str]:
    return [run["run_id"] for run in shown("log", "list", *arguments, folder=folder)["runs"]]


def test_an_empty_log_lists_nothing(tmp_path: Path) -> None:
    assert names(tmp_path) == []


def test_runs_are_listed_newest_first(log: Path, tmp_path: Path) -> None:
    assert names(tmp_path) == ["newest", "new", "old"]
    assert names(tmp_path, "--limit", "1") == ["newest"]
    assert names(tmp_path, "--thread", "a") == ["old"]


def test_the_questions_of_an_evaluation_are_listed_when_they_are_asked_for(log: Path, tmp_path: Path) -> None:
    with Store.open(log) as store:
        store.begin(
            replace(RUN, run_id="task", started_at="2026-11-09", metadata={"task_id": "arithmetic/1/held_out/0/0"})
        )
    assert "task" not in names(tmp_path)
    assert names(tmp_path, "--all", "--limit", "1") == ["task"]


def test_a_run_is_shown_with_the_prompt_that_it_was_made_under(log: Path, tmp_path: Path) -> None:
    with Store.open(log) as store:
        store.begin(replace(RUN, run_id="told", settings={"prompt": "few_shot@0123abcd"}))
    assert ", prompt few_shot@0123abcd\n" in ponder("log", "show", "told", folder=tmp_path).stdout
    assert ", prompt" not in ponder("log", "show", "new", folder=tmp_path).stdout, "of before prompts had names"


def test_every_sample_is_shown_with_its_tokens_and_temperature(log: Path, tmp_path: Path) -> None:
    run = shown("log", "show", "new", folder=tmp_path)
    assert (run["run_id"], run["answer"], run["feedback"]) == ("new", f"Answer: {HOSTILE}", [])
    samples = [node["sample"] for node in run["nodes"]]
    assert len(samples) == 2
    assert SAMPLE.items() <= samples[1].items()
    assert all(sample["temperature"] == sample["params"]["temperature"] for sample in samples)


@pytest.mark.parametrize("arguments", [("list",), ("show", "new")], ids=" ".join)
def test_what_tools_and_models_wrote_is_shown_without_control_characters(
    log: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = ponder("log", *arguments, folder=tmp_path)
    assert done.returncode == 0
    assert "How many" in done.stdout
    assert not CONTROL.search(done.stdout.replace("\n", ""))
    assert "\u202e" not in done.stdout


def test_a_run_is_shown_as_its_tree(log: Path, tmp_path: Path) -> None:
    lines = ponder("log", "show", "new", folder=tmp_path).stdout.splitlines()
    assert any("0 tool_call, 2 tokens" in line and line.startswith("*") for line in lines)
    assert any("0.0 answer, 2 tokens" in line for line in lines)
    assert any("python: printed" in line for line in lines)
    assert any("format 1.00" in line for line in lines)


def test_what_a_verifier_said_is_shown_with_its_reason_and_no_score_is_no_zero() -> None:
    found = 'For "330 metres" [1] has "It is 330 metres tall."'
    assert verdict_text(Verdict("grounding", 1.0, f"{found}\n")) == f"grounding 1.00  {found}"
    assert verdict_text(Verdict("judge", None, "It ended.")) == "judge no score  It ended."
    assert verdict_text(Verdict("format", 0.0)) == "format 0.00"


def test_samples_are_exported_as_lines_and_as_parquet(log: Path, tmp_path: Path) -> None:
    for name in ("s.jsonl", "s.parquet"):
        assert ponder("log", "export", name, folder=tmp_path).stdout == f"6 samples written to {name}\n"
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [row["run_id"] for row in rows] == parquet.read_table(tmp_path / "s.parquet")["run_id"].to_pylist()
    assert {row["temperature"] for row in rows} == {0.7}
    ponder("log", "export", "s.jsonl", "--since", "2026-03-02", folder=tmp_path)
    assert {json.loads(line)["run_id"] for line in (tmp_path / "s.jsonl").read_text().splitlines()} == {"newest"}


@pytest.mark.parametrize(
    ("arguments", "says", "left"),
    [
        (("new",), "1 run deleted", ["newest", "old"]),
        (("--thread", "b"), "2 runs deleted", ["old"]),
        (("--before", "2026-03-02"), "2 runs deleted", ["newest"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_runs_are_deleted_by_name_thread_and_age(
    log: Path, tmp_path: Path, arguments: tuple[str, ...], says: str, left: list[str]
) -> None:
    assert ponder("log", "delete", *arguments, folder=tmp_path).stdout == f"{says}\n"
    assert names(tmp_path) == left


def test_a_log_of_a_newer_version_is_left_alone(log: Path, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(log) as database:
        database.execute("PRAGMA user_version = 9999")
    before = log.read_bytes()
    done = ponder("log", "list", folder=tmp_path)
    assert done.returncode == 3
    assert "newer" in done.stderr
    assert log.read_bytes() == before
