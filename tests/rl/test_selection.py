"""Which runs are learned from: what is asked for, and what may be."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agent.records import Ending, Feedback, Node, PolicyVersion, Run, Sample, SamplingParams
from agent.records import Path as Place
from agent.store import RunFilter, Store
from rl.selection import Wanted, chosen, learnable
from rl.tasks.task import Task

VERSION = PolicyVersion("m")


def run_of(run_id: str, attempts: int = 2, seed: int = 0, **more: object) -> Run:
    """Attempts of two tokens each, drawn with the seeds from ``seed`` on."""
    nodes = []
    for i in range(attempts):
        sample = Sample((1, 2), (10 + i, 3), (-0.1, -0.2), "stop", VERSION, SamplingParams(seed=100 * seed + i))
        nodes.append(Node((i,), sample, Ending.ANSWER, text=f"Answer: {i}"))
    run = Run(run_id, f"What is {run_id}?", run_id, "high", "best_of_n", {}, "", seed, VERSION, f"2026-01-{run_id}")
    return replace(run, nodes=tuple(nodes), status="finished", **more)  # type: ignore[arg-type] - fields by name


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "log.sqlite") as store:
        yield store


def add(log: Store, *runs: Run) -> None:
    for run in runs:
        log.begin(run)
        for node in run.nodes:
            log.add_node(run.run_id, node)
        log.finish(run)


async def rewards(run: Run) -> Mapping[Place, float | None]:
    return {node.path: float(node.path[0]) for node in run.nodes}


def ids(log: Store, wanted: Wanted) -> list[str]:
    return [run.run_id for run in chosen(log, wanted)[0]]


def test_runs_are_filtered_by_what_they_are(log: Store) -> None:
    add(
        log,
        run_of("01", effort="low"),
        run_of("02", metadata={"tags": ["kitchen", "home"]}),
        run_of("03", metadata={"task_id": "strings/4/train/1/0"}, thread_id="x"),
    )
    assert ids(log, Wanted()) == ["01", "02", "03"]
    assert ids(log, Wanted(efforts=["high"])) == ["02", "03"]
    assert ids(log, Wanted(tags=["home"])) == ["02"]
    assert ids(log, Wanted(families=["strings"])) == ids(log, Wanted(families=["units", "strings/4"])) == ["03"]
    assert ids(log, Wanted(families=["strings/3"])) == []
    assert ids(log, Wanted(families=["units"], task_ids=["strings/4/train/1/0"])) == ["03"]
    assert ids(log, Wanted(RunFilter(thread_id="x"))) == ["03"]
    assert chosen(log, Wanted(run_ids=["01"]))[1] == {}  # nobody asked for the others
    assert ids(log, Wanted(RunFilter(since="2026-01-02", before="2026-01-03"))) == ["02"]


def test_runs_that_are_named_come_in_that_order_whenever_they_were_begun(log: Store) -> None:
    add(log, run_of("01"), run_of("02"), run_of("03"))
    assert ids(log, Wanted(run_ids=["03", "01", "unknown", "03"])) == ["03", "01"]


def test_what_people_said_counts_on_average(log: Store) -> None:
    add(log, run_of("01"), run_of("02"), run_of("03"))
    for run_id, value in (("01", 1.0), ("01", -0.5), ("02", -1.0), ("03", None)):
        log.add_feedback(Feedback(run_id, value))
    assert ids(log, Wanted(feedback=0.25)) == ["01"]
    assert ids(log, Wanted(feedback=-1.0)) == ["01", "02"]


@pytest.mark.parametrize("said", ["no", "No", False])
def test_a_run_that_says_no_keeps_its_whole_thread_out_even_of_another_time(log: Store, said: object) -> None:
    add(log, run_of("01", thread_id="x", metadata={"train": said}), run_of("02", thread_id="x"), run_of("03"))
    kept, left_out = chosen(log, Wanted(RunFilter(since="2026-01-02")))
    assert [run.run_id for run in kept] == ["03"]
    assert left_out == {"somebody said: train no": 1}


def test_held_out_questions_are_never_learned_from(log: Store) -> None:
    names = ("strings/4/held_out/1/0", "handwritten/3", "strings/4/train/1/0", "strings/4/held_out/1/0~names")
    add(log, *(run_of(f"0{i}", metadata={"task_id": name}) for i, name in enumerate(names, 1)))
    kept, left_out = chosen(log, Wanted())
    assert [run.run_id for run in kept] == ["03"]
    assert left_out == {"its task is held out": 3}


def test_runs_without_an_end_are_not(log: Store) -> None:
    add(log, run_of("01"), replace(run_of("02"), status="failed"), replace(run_of("03"), status="cancelled"))
    log.begin(replace(run_of("04"), status="running"))
    assert ids(log, Wanted()) == ["01", "03"]  # of a cancelled one what had ended can be compared


async def test_a_question_that_stands_in_a_held_out_one_is_left_out_whatever_it_is_called(log: Store) -> None:
    question = "If a train leaves at nine and drives for two hours, when does it arrive in the town of Ost?"
    add(log, run_of("01", question=question.upper()), run_of("02"))
    held_out = Task("mine/1", "mine", 0, f"Please tell me. {question}", "11", ())
    found = await learnable(log, Wanted(), rewards, [held_out])
    assert [group.run_id for group in found.groups] == ["02"]
    assert found.left_out == {"its question stands in a held-out task": 1}


async def test_of_two_runs_that_drew_the_same_tokens_the_larger_one_teaches(log: Store) -> None:
    add(log, run_of("01", 2, seed=7), run_of("02", 4, seed=7), run_of("03", 3, seed=7), run_of("04", 2, seed=8))
    found = await learnable(log, Wanted(), rewards)
    assert [(group.run_id, len(group.members)) for group in found.groups] == [("02", 4), ("04", 2)]
    assert found.left_out == {"drawn in another run, token for token": 5}


async def test_every_run_is_told(log: Store) -> None:
    add(log, run_of("01"), run_of("02"))
    told: list[tuple[int, int]] = []
    await learnable(log, Wanted(), rewards, tell=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
