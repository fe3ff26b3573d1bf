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


def test_money_is_counted_at_the_prices_of_prompts_and_of_the_rest() -> None:
    priced = Budget(tokens=10**6, cost=0.01, prompt_price=1.0, sampled_price=10.0)
    assert priced.price(2000, 300) == 0.005
    assert Meter(priced, tokens=999).sampling_over() is None
    assert Meter(priced, tokens=999, prompt_tokens=10).sampling_over() == "0.01 in money"


def test_what_is_not_said_follows_from_the_models_context_and_the_attempts() -> None:
    assert Budget().within(4096, attempts=1) == Budget(sample_tokens=1024, tokens=40_960, tool_calls=100)
    assert Budget().within(4096, attempts=64) == Budget(sample_tokens=1024, tokens=64 * 4096, tool_calls=512)
    said = Budget(sample_tokens=5, tokens=7, tool_calls=9)
    assert said.within(4096, attempts=64) == said


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
