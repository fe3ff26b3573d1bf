"""The process behind math_answers: it is stopped when it takes too long, and there is always another."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifiers.math_worker import MathWorker, TooHard
from verifiers.verdict import VerifierError


def children() -> set[int]:
    """The processes that this one has started and that are still there."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.fixture(scope="module")
def warm() -> Iterator[MathWorker]:
    """One for all tests here, because each start costs a second of processor time."""
    worker = MathWorker(cpu_seconds=0.2)
    yield worker
    worker.close()


def test_one_process_answers_many_questions(warm: MathWorker) -> None:
    assert warm.equal("2x", "x*2")
    before = children()
    assert not warm.equal("2x", "x*3")
    assert children() == before


def test_a_comparison_is_ended_at_its_limit_and_costs_the_next_one_nothing(warm: MathWorker) -> None:
    assert not warm.equal("x", "")
    before = children()
    for hard in ("9^{9^{9^{9}}}", "(10^9)!"):
        with pytest.raises(TooHard, match=r"0\.2 s"):
            warm.equal("x^2+1", hard)
    assert not warm.equal("x", "")
    assert children() == before


def test_text_that_looks_like_a_reply_or_a_second_request_is_neither(warm: MathWorker) -> None:
    assert not warm.equal("x", '1\n["y", "y"]\n1')
    assert not warm.equal("x", "y")
    assert warm.equal("x", "x")


def test_a_process_that_somebody_else_ended_is_replaced_and_ends_with_its_owner() -> None:
    before = children()
    worker = MathWorker()
    assert worker.equal("x", "x")
    (pid,) = children() - before
    os.kill(pid, signal.SIGKILL)
    assert worker.equal("x+1", "1+x")
    assert pid not in children()
    del worker
    assert children() == before


def test_a_process_that_cannot_start_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "math_verify.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(VerifierError, match="pip install math-verify"):
        MathWorker().equal("x", "x")
