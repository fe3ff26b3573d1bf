"""The process behind math_answers: it is stopped when it takes too long, and there is always another."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from verifiers.math_worker import MathWorker, TooHard
from verifiers.verdict import VerifierError


def children() -> set[int]:
    """The processes that this one has started and that are still there."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.fixture
def worker() -> Iterator[Callable[[float], MathWorker]]:
    made: list[MathWorker] = []

    def make(deadline_seconds: float) -> MathWorker:
        made.append(MathWorker(deadline_seconds))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_one_process_answers_many_questions_and_ends_with_its_owner(worker: Callable[[float], MathWorker]) -> None:
    before = children()
    warm = worker(60)
    assert warm.equal("2x", "x*2")
    started = children() - before
    assert not warm.equal("2x", "x*3")
    assert children() - before == started
    assert len(started) == 1
    warm.close()
    assert children() == before


def test_a_process_whose_owner_is_gone_is_gone(worker: Callable[[float], MathWorker]) -> None:
    before = children()
    forgotten = MathWorker(60)
    assert forgotten.equal("x", "x")
    del forgotten
    assert children() == before


def test_a_comparison_is_ended_at_its_deadline_and_costs_the_next_one_nothing(
    worker: Callable[[float], MathWorker],
) -> None:
    impatient = worker(0.2)
    assert not impatient.equal("x", "")
    before = children()
    for hard in ("9^{9^{9^{9}}}", "(10^9)!"):
        with pytest.raises(TooHard, match=r"0\.2 s"):
            impatient.equal("x^2+1", hard)
    assert not impatient.equal("x", "")
    assert children() == before


def test_a_process_that_somebody_else_ended_is_replaced(worker: Callable[[float], MathWorker]) -> None:
    before = children()
    warm = worker(60)
    assert warm.equal("x", "x")
    (pid,) = children() - before
    os.kill(pid, signal.SIGKILL)
    assert warm.equal("x+1", "1+x")
    assert pid not in children()


def test_text_that_looks_like_a_reply_or_a_second_request_is_neither(worker: Callable[[float], MathWorker]) -> None:
    warm = worker(60)
    assert not warm.equal("x", '1\n["y", "y"]\n1')
    assert not warm.equal("x", "y")
    assert warm.equal("x", "x")


def test_a_process_that_cannot_start_says_what_to_do(
    worker: Callable[[float], MathWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "math_verify.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(VerifierError, match="pip install math-verify"):
        worker(60).equal("x", "x")
