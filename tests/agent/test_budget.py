"""What a run may spend, and in which words a limit is named."""

import time

from agent.budget import Budget, Meter

BUDGET = Budget(tokens=100, tool_calls=3, seconds=600)


def test_a_fresh_meter_has_room_for_everything() -> None:
    meter = Meter(BUDGET)
    assert meter.exhausted() is None
    assert 599 < meter.seconds_left <= 600


def test_tokens_end_all_sampling() -> None:
    assert Meter(BUDGET, tokens=99).sampling_over() is None
    assert Meter(BUDGET, tokens=100).sampling_over() == "100 tokens"
    assert Meter(BUDGET, tokens=120).exhausted() == "100 tokens"


def test_seconds_count_from_before_a_resume() -> None:
    meter = Meter(BUDGET, seconds_before=600.5)
    assert meter.sampling_over() == meter.exhausted() == "600 seconds"
    assert meter.seconds_left == 0
    assert Meter(BUDGET, seconds_before=20, started=time.monotonic() - 10).seconds > 30


def test_tool_calls_end_further_attempts_but_not_the_one_that_may_still_answer() -> None:
    meter = Meter(BUDGET, tool_calls=2)
    assert meter.calling_over() is None
    assert meter.calling_over(more=2) == "3 tool calls"
    meter.tool_calls += 1
    assert meter.calling_over() == meter.exhausted() == "3 tool calls"
    assert meter.sampling_over() is None
