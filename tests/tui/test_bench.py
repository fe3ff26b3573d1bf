"""``ponder bench``: what it says of what was measured, and of requests that failed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.policy.policy import PolicyError
from agent.records import PolicyVersion
from rl.load import Load
from tui import bench

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
