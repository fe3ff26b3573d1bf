"""Load: every prompt is sampled once, so many at once, and the times are those of the samples."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import pytest

from agent.policy.policy import Delta, PolicyError
from agent.records import PolicyVersion, Sample, SamplingParams
from rl.load import Load, measure, quantiles

PARAMS = SamplingParams(max_tokens=4)


class Counting:
    """Answers [1, 2, 3] after a moment, fails at prompts that begin with 9, and counts who is under way."""

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.prompts: list[Sequence[int]] = []

    async def stream(self, prompt: Sequence[int], params: SamplingParams) -> AsyncGenerator[Delta | Sample, None]:
        self.prompts.append(prompt)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.01)
        self.under_way -= 1
        if prompt[0] == 9:
            raise PolicyError("No.")
        yield Delta(0, (1, 2, 3), (-1.0,) * 3)
        yield Sample(
            tuple(prompt), (1, 2, 3), (-1.0,) * 3, "stop", PolicyVersion("m"), params,
            first_token_seconds=0.2, total_seconds=0.4,
        )  # fmt: skip


async def measured(prompts: Sequence[Sequence[int]], at_once: int) -> tuple[Counting, Load]:
    policy = Counting()
    return policy, await measure(cast(Any, policy), prompts, at_once, PARAMS)


@pytest.mark.parametrize("at_once", [1, 4, 50])
async def test_so_many_requests_are_under_way_and_none_is_made_twice(at_once: int) -> None:
    prompts = [[i] for i in range(10, 30)]
    policy, load = await measured(prompts, at_once)
    assert policy.most == min(at_once, 20)
    assert sorted(map(list, policy.prompts)) == prompts
    assert (load.at_once, load.requests, load.failed, load.tokens) == (at_once, 20, 0, 60)
    assert load.tokens_per_second == load.tokens / load.seconds


async def test_the_first_token_and_the_others_are_timed_apart() -> None:
    _, load = await measured([[1]] * 5, 2)
    assert load.first_token == pytest.approx((0.2,) * 3)
    assert load.each_token == pytest.approx((0.1,) * 3)


async def test_a_request_that_fails_is_counted() -> None:
    _, load = await measured([[9], [1], [9]], 2)
    assert (load.failed, load.tokens, load.first_error) == (2, 3, "No.")
    _, none = await measured([[9]], 1)
    assert all(math.isnan(seconds) for seconds in none.first_token)


def test_quantiles_are_of_all_values() -> None:
    assert quantiles([float(i) for i in range(101)]) == (50.0, 90.0, 99.0)


def test_a_picture_is_written(tmp_path: Any) -> None:
    from tui.bench import draw

    loads = [Load(n, 8, 0, 80, 1.0, (0.1, 0.2, 0.3), (0.01, 0.02, 0.03)) for n in (1, 4)]
    draw(loads, "mini", tmp_path / "load.png")
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")
