"""What leaves the log: one run as JSON, and samples as rows for other trainers."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from agent.errors import ExportError
from agent.export import COLUMNS, export, run_to_json
from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams
from agent.store import RunFilter, Store
from tools.tool import ToolResult
from verifiers.verdict import Verdict

POLICY = PolicyVersion("mini", version="v1")


def sample(prompt: tuple[int, ...], seed: int) -> Sample:
    return Sample(prompt, (7, 8), (-0.5, -0.25), "stop", POLICY, SamplingParams(temperature=0.7, seed=seed))


CALL = Node((0,), sample((1, 2), 5), Ending.TOOL_CALL, tool_results=(ToolResult("calculator", {}, "75"),))
ANSWER = Node((0, 0), sample((1, 2, 7, 8, 9), 6), Ending.ANSWER, text="75", verdicts=(Verdict("exact", 1.0),))
LOSER = Node((1,), sample((1, 2), 6), Ending.CANCELLED)
RUN = Run("run-1", "Pens?", "t", "low", "single", {}, "fixed n=2", 1, POLICY, "2026-11-01")
DONE = replace(RUN, status="finished", nodes=(CALL, ANSWER, LOSER), chosen=(0, 0), answer="75", metadata={"task": 3})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "log.sqlite3") as store:
        store.begin(RUN)
        for node in DONE.nodes:
            store.add_node(RUN.run_id, node)
        store.finish(DONE)
        yield store


def test_a_run_as_json_has_the_records_names(store: Store) -> None:
    run = json.loads(json.dumps(run_to_json(store.run("run-1")), allow_nan=False))
    assert (run["run_id"], run["answer"], run["chosen"]) == ("run-1", "75", [0, 0])
    assert run["nodes"][1]["path"] == [0, 0]
    drawn = run["nodes"][1]["sample"]
    assert drawn["prompt_token_ids"] == [1, 2, 7, 8, 9]
    assert (drawn["token_ids"], drawn["logprobs"], drawn["params"]["temperature"]) == ([7, 8], [-0.5, -0.25], 0.7)


def test_the_usage_of_a_run_says_how_fast_the_chosen_attempt_came() -> None:
    def timed(node: Node, first: float, total: float) -> Node:
        return replace(node, sample=replace(node.sample, first_token_seconds=first, total_seconds=total))

    nodes = (timed(CALL, 0.5, 1.0), timed(ANSWER, 0.1, 1.5), timed(LOSER, 0.2, 9.0))
    usage = run_to_json(replace(DONE, nodes=nodes))["usage"]
    assert (usage["first_token_seconds"], usage["tokens_per_second"]) == (0.5, 4 / 2.5)
    nothing = run_to_json(RUN)["usage"]
    assert (nothing["first_token_seconds"], nothing["tokens_per_second"]) == (None, None)


def test_a_number_that_json_has_no_word_for_is_null() -> None:
    broken = replace(CALL, sample=replace(CALL.sample, logprobs=(-math.inf, math.nan)))
    assert run_to_json(replace(RUN, nodes=(broken,)))["nodes"][0]["sample"]["logprobs"] == [None, None]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_every_sample_is_a_row(store: Store, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"samples.{ending}"
    assert export(store, file) == 3
    rows = parquet.read_table(file).to_pylist() if ending == "parquet" else [*map(json.loads, file.open())]
    assert [list(row) for row in rows] == [list(COLUMNS)] * 3
    call, answer, loser = rows
    assert (answer["prompt_ids"], answer["completion_ids"], answer["logprobs"]) == (
        [1, 2, 7, 8, 9],
        [7, 8],
        [-0.5, -0.25],
    )
    assert (answer["temperature"], answer["seed"], answer["version"]) == (0.7, 6, "v1")
    assert [row["path"] for row in rows] == ["0", "0.0", "1"]
    assert [row["chosen"] for row in rows] == [True, True, False]
    assert call["group"] == loser["group"] != answer["group"]
    assert json.loads(call["tool_results"])[0]["output"] == "75"
    assert json.loads(answer["verdicts"])[0]["score"] == 1.0


def test_a_draw_that_was_made_again_under_its_seed_is_one_row(store: Store, tmp_path: Path) -> None:
    again = replace(DONE, run_id="run-2", started_at="2026-11-02")
    store.begin(again)
    for node in (CALL, replace(LOSER, sample=replace(LOSER.sample, token_ids=(7, 9)))):
        store.add_node(again.run_id, node)
    store.finish(again)
    assert export(store, tmp_path / "samples.jsonl") == 4, "the call is known, the other came out differently"


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_an_export_of_nothing_is_a_file_without_rows(store: Store, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"samples.{ending}"
    assert export(store, file, RunFilter(status="failed")) == 0
    assert file.exists()


def test_an_ending_that_is_not_known_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"neither \.parquet nor \.jsonl"):
        export(store, tmp_path / "samples.csv")


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left(store: Store, tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").mkdir()
    with pytest.raises(ExportError, match="cannot be written: Is a directory"):
        export(store, tmp_path / "samples.jsonl")
    assert not list(tmp_path.glob("*.part"))
