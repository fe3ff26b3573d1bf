"""``ponder bench``: what it says of what was measured, of requests that failed, and of a judge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.policy.policy import PolicyError
from agent.records import PolicyVersion
from rl.judging import Judged
from rl.load import Load
from tui import bench
from verifiers.judge import Comparison

GOOD = Load(1, 2, 0, 8, 1.0, (0.1, 0.2, 0.3), (0.01, 0.02, 0.03))
BAD = Load(4, 2, 1, 4, 1.0, (0.1, 0.2, 0.3), (0.01, 0.02, 0.03), "No.")


def serve(monkeypatch: pytest.MonkeyPatch, *loads: Load) -> None:
    async def measured(*_: Any) -> tuple[PolicyVersion, list[Load]]:
        return PolicyVersion("qwen", "ponder-1", "1"), list(loads)

    monkeypatch.setattr(bench, "measured", measured)
    bench.serve("1,4", 2, 4, 1, None, "http://127.0.0.1:9/v1", None, True)


def test_what_was_measured_is_said_to_be_of_a_model_an_adapter_and_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(monkeypatch, GOOD)
    said = json.loads(capsys.readouterr().out)
    assert (said["model"], said["adapter"], said["server"]) == ("qwen", "ponder-1", "http://127.0.0.1:9/v1")
    assert said["loads"][0]["tokens_per_second"] == 8.0


def test_requests_that_failed_are_told_with_the_first_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PolicyError, match=r"^1 of 4 requests failed, the first with: No\.$"):
        serve(monkeypatch, GOOD, BAD)
    assert len(json.loads(capsys.readouterr().out)["loads"]) == 2


JUDGED = [
    Judged(Comparison(0, 1, ("first", "second"), (400, 600)), (9, 5), (True, False)),
    Judged(Comparison(0, 1, ("first", "first"), (400, 600)), (9, 5), None),
    Judged(Comparison(0, 1, ("first", None), (400, 600), "It ended."), (9, 5), None),
]


def judge(
    monkeypatch: pytest.MonkeyPatch, as_json: bool, out: Path | None = None, found: Sequence[Judged] = JUDGED
) -> None:
    async def judged(*_: Any) -> tuple[str, list[Judged]]:
        return "judge@1", list(found)

    monkeypatch.setattr(bench, "_judged", judged)
    bench.judge(10, None, 1, None, None, out, as_json)


def test_a_judge_is_reported_in_lines_with_intervals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(monkeypatch, as_json=False)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "judge@1: 3 pairs in both orders, 1 unreadable, 3,000 tokens"
    assert lines[0] == "  the first place won in both orders       0.500 (0.095 to 0.905) of 2"
    assert lines[-2] == "  the right one won, where one did         1.000 (0.207 to 1.000) of 1"
    assert lines[-1] == "It ended."


def test_a_judge_is_reported_as_json_and_its_comparisons_as_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    judge(monkeypatch, as_json=True, out=tmp_path / "compared.jsonl")
    said = json.loads(capsys.readouterr().out)
    assert said["judge"] == "judge@1"
    assert said["report"]["longer_won"]["share"] == 1.0
    lines = [json.loads(line) for line in (tmp_path / "compared.jsonl").read_text().splitlines()]
    assert [line["lengths"] for line in lines] == [[9, 5]] * 3
    assert lines[0]["comparison"]["places"] == ["first", "second"]


def test_a_model_none_of_whose_verdicts_can_be_read_cannot_judge(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(bench.CannotJudge, match=r"^judge@1 cannot judge: .* It ended; name another model with --judge"):
        judge(monkeypatch, as_json=False, found=JUDGED[2:])
    assert capsys.readouterr().out == ""
    assert bench.CannotJudge.exit_code == 1
