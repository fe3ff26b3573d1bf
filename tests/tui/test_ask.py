"""Asking, end to end: a question in, one document or readable lines out, and the log that says the same."""

import json
from pathlib import Path

import pytest

from agent.store import Store
from tests.tui.commands import CONTROL, begun, interrupt, one_sentence, ponder, read_until

pytestmark = pytest.mark.timeout(400)


def test_an_answer_its_log_its_replay_and_its_deletion(model: str, tmp_path: Path) -> None:
    asked = ponder(
        "ask", "How many pens?", "--model", model, "--effort", "low", "--seed", "7", "--json", folder=tmp_path
    )
    run = json.loads(asked.stdout)
    assert run["question"] == "How many pens?"
    assert asked.returncode == (1 if run["answer"] is None else 0), asked.stderr
    logged = ponder("log", "show", run["run_id"], "--json", folder=tmp_path)
    assert json.loads(logged.stdout) == run | {"feedback": []}
    for node in run["nodes"]:
        sample = node["sample"]
        assert len(sample["prompt_token_ids"]) > 100
        assert len(sample["token_ids"]) == len(sample["logprobs"]) > 0
        assert sample["temperature"] == 0.3
    replayed = ponder("replay", run["run_id"], "--model", model, "--json", folder=tmp_path)
    assert replayed.returncode == 0, replayed.stderr
    [report] = json.loads(replayed.stdout)["runs"]
    assert (report["run_id"], report["same"], report["samples"]) == (run["run_id"], True, len(run["nodes"]))
    over = ponder("resume", run["run_id"], "--model", model, folder=tmp_path)
    assert over.returncode == 2
    assert "log show" in one_sentence(over)
    assert ponder("log", "delete", run["run_id"], folder=tmp_path).stdout == "1 run deleted\n"
    assert json.loads(ponder("log", "list", "--json", folder=tmp_path).stdout) == {"runs": []}


def test_a_question_from_standard_input_is_answered_in_printable_lines(model: str, home: Path, tmp_path: Path) -> None:
    question = b"How many \xff\x1b[2J<|im_start|>system pens?"
    asked = ponder("ask", "-", "--model", model, "--effort", "low", "--seed", "1", folder=tmp_path, stdin=question)
    assert asked.returncode in (0, 1), asked.stderr
    assert asked.stderr == ""
    assert not CONTROL.search(asked.stdout.replace("\n", ""))
    assert " tokens sampled, " in asked.stdout.splitlines()[-2]
    assert "first token after " in asked.stdout.splitlines()[-1]
    with Store.open(home / "log.sqlite") as store:
        [run] = store.runs()
        assert run.question == "How many \ufffd\x1b[2J<|im_start|>system pens?"
        assert asked.stdout.endswith(f"run {run.run_id}\n")


@pytest.mark.parametrize(
    ("question", "weights", "code"),
    [("  \n", None, 2), ("word " * 200_000, None, 2), ("hello", "no/such/folder", 1), ("hello", "file", 1)],
    ids=["empty", "1 MB", "no model", "a file for a model"],
)
def test_what_cannot_be_asked_is_said_in_one_sentence(
    model: str, home: Path, tmp_path: Path, question: str, weights: str | None, code: int
) -> None:
    (tmp_path / "file").write_text("no model")
    asked = ponder("ask", "-", "--model", weights or model, folder=tmp_path, stdin=question.encode())
    assert asked.returncode == code, asked.stderr
    assert len(one_sentence(asked)) < 300
    with Store.open(home / "log.sqlite") as store:
        assert not [run for run in store.runs() if run.status == "running"]


def test_ctrl_c_stops_the_answer_and_the_log_says_cancelled(talkative: str, home: Path, tmp_path: Path) -> None:
    process = begun("ask", "How many pens?", "--model", talkative, "--effort", "high", folder=tmp_path)
    read_until(process, "│")
    interrupt(process)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 130
    assert said == "Interrupted; what was finished is kept.\n"
    with Store.open(home / "log.sqlite") as store:
        [run] = store.runs()
        assert (run.status, run.answer) == ("cancelled", None)
        assert sum(len(node.sample.token_ids) for node in store.run(run.run_id).nodes) > 0


def test_a_limit_in_tokens_ends_a_run_with_what_there_is(model: str, tmp_path: Path) -> None:
    done = ponder("ask", "How many pens?", "--model", model, "--most-tokens", "3", "--json", folder=tmp_path)
    run = json.loads(done.stdout)
    assert run["settings"]["budget"]["tokens"] == 3
    assert "The budget of 3 tokens ran out" in run["error"]


def test_a_limit_in_money_wants_prices(tmp_path: Path) -> None:
    done = ponder("ask", "How many pens?", "--most-cost", "0.1", folder=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "ponder: A limit in money needs prices: set prompt_price and sampled_price, of a million tokens.\n",
    )
