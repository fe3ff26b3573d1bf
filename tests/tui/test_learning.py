"""``ponder train star``, ``dpo``, ``reward`` and ``distill`` on a log with runs that can be learned from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.records import Ending, Feedback, Node, PolicyVersion, Run, Sample, SamplingParams
from agent.store import Store
from tests.tui.commands import TWO_PROCESSES, one_sentence, ponder

pytestmark = pytest.mark.timeout(400)
POLICY = PolicyVersion("tiny", version="v1")


@pytest.fixture
def groups(home: Path) -> Path:
    """A log of three questions with two attempts each: one has the form that is asked for, one ended too soon."""
    home.mkdir(exist_ok=True)
    add(home, *map(two_attempts, range(3)))
    return home


def add(home: Path, *runs: Run) -> None:
    with Store.open(home / "log.sqlite") as log:
        for run in runs:
            log.begin(run)
            for node in run.nodes:
                log.add_node(run.run_id, node)
            log.finish(run)


def two_attempts(number: int) -> Run:
    nodes = []
    for i, (text, ending) in enumerate([("Answer: 4", Ending.ANSWER), ("", Ending.BUDGET)]):
        drawn = SamplingParams(seed=10 * number + i)
        sample = Sample((1, 2, 30 + number), (40 + i, 50), (-0.5, -0.25), "stop", POLICY, drawn)
        nodes.append(Node((i,), sample, ending, text=text, thought="Two and two."))
    run = Run(
        f"r{number}", f"What is {number} and 2?", f"t{number}", "high", "best_of_n", {}, "fixed n=2", number, POLICY,
        f"2026-01-0{number + 1}T10:00:00+00:00", "finished",
    )  # fmt: skip
    return replace(run, nodes=tuple(nodes), chosen=(0,), answer="Answer: 4")


HOW = ("--reward", "format", "--batch", "2", "--at-once", "1", "--epochs", "1", "--threads", "1")


def test_winners_are_learned_and_what_was_not_is_said(model: str, groups: Path, tmp_path: Path) -> None:
    done = ponder("train", "star", "out", "--model", model, *HOW, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 winners, 2 steps.\n  left out: 3 times: its reward is below 0.5\nThe model is in ")
    assert done.stderr == ""
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"checkpoints", "metrics.jsonl", "model", "training.json", "training.png"}
    losses = [json.loads(line)["loss"] for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 2


def test_two_processes_under_accelerate_learn_what_one_does(model: str, groups: Path, tmp_path: Path) -> None:
    how = ("--model", model, *HOW, "--learning-rate", "0.001")
    said = ponder("train", "star", "one", *how, folder=tmp_path).stdout
    done = ponder("train", "star", "two", *how, folder=tmp_path, command=TWO_PROCESSES)
    assert done.returncode == 0, done.stderr
    assert done.stdout == said.replace("one/model", "two/model")
    files = (tmp_path / name / "metrics.jsonl" for name in ("one", "two"))
    one, two = ([json.loads(line) for line in file.read_text().splitlines()] for file in files)
    assert len(one) == len(two) == 2
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-5)  # the last step has a row less, or one twice
    assert two[0]["grad_norm"] == pytest.approx(one[0]["grad_norm"], rel=1e-4)


def test_a_log_without_winners_is_told_of(model: str, groups: Path, tmp_path: Path) -> None:
    done = ponder("train", "star", "out", "--model", model, *HOW, "--before", "2026-01-01", folder=tmp_path)
    assert done.returncode == 2
    assert "Nobody in the log has won (there is no such run)" in one_sentence(done)
    assert not (tmp_path / "out").exists()


def test_every_training_chooses_runs_by_the_same_options(model: str, groups: Path, tmp_path: Path) -> None:
    which = ("--since", "2026-01-02", "--effort", "high", "--thread", "t2", "--policy", "v1")
    none = ponder("train", "grpo", "out", "--model", model, "--reward", "format", *which, folder=tmp_path)
    assert none.returncode == 2
    assert "None of 1 groups was drawn by a policy like this one" in one_sentence(none)
    done = ponder("train", "star", "out", "--model", model, *HOW, *which, folder=tmp_path)
    assert done.stdout.startswith("1 winners, 1 steps.")


def test_pairs_are_learned_from_and_make_a_reward_model(model: str, groups: Path, tmp_path: Path) -> None:
    done = ponder("train", "dpo", "out", "--model", model, *HOW, folder=tmp_path)
    assert done.stdout.startswith("3 pairs, 2 steps.\nThe model is in out/model;"), done.stderr
    assert done.stderr == ""
    unfinished = ponder("train", "reward", "judge", "--model", model, *HOW, folder=tmp_path)
    assert unfinished.returncode == 2
    assert "no pair to learn from (3 times: one of them is no whole attempt with an answer)" in one_sentence(unfinished)
    run = two_attempts(7)
    add(groups, replace(run, nodes=(run.nodes[0], replace(run.nodes[1], ending=Ending.ANSWER, text="Answer: 9"))))
    with Store.open(groups / "log.sqlite") as log:
        log.add_feedback(Feedback("r7", preferred=(1,)))
    done = ponder("train", "reward", "judge", "--model", model, *HOW, folder=tmp_path)
    assert done.stdout.startswith("1 pairs, 1 steps; held out: none to judge it by.\n  left out: 3 times: ")
    assert done.stdout.endswith("Use it with: PONDER_OUTCOME_REWARD=judge/model ponder ask ...\n")
    assert done.stderr == ""
    assert isinstance(json.loads((tmp_path / "judge/model/config.json").read_text())["reward_center"], float)


def test_the_student_follows_a_teacher_on_its_own_samples(
    model: str, talkative: str, groups: Path, tmp_path: Path
) -> None:
    how = ("--batch", "2", "--epochs", "1", "--threads", "1")
    done = ponder("train", "distill", "out", "--model", model, "--teacher", talkative, *how, folder=tmp_path)
    assert done.stdout.startswith("6 samples of 3 runs, 2 steps; drawn by tiny@v1 (6).\nThe model is in "), done.stderr
    assert done.stderr == ""
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"checkpoint.pt", "metrics.jsonl", "model", "training.png"}
