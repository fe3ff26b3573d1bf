"""How fast a policy answers under load: time to the first token, time of each other, tokens a second.

Requests are closed-loop: so many are always under way, the next begins when one ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agent.policy.policy import Policy, PolicyError
from agent.records import Sample, SamplingParams
from rl.tasks.suite import mixture

QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured with ``at_once`` requests under way. Seconds at the quantiles 0.5, 0.9 and 0.99."""

    at_once: int
    requests: int
    failed: int
    tokens: int
    seconds: float
    first_token: tuple[float, ...]
    each_token: tuple[float, ...]  # of every token but the first, the mean of a request
    first_error: str | None = None  # what the first request that failed said

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


def prompts(policy: Policy, system_prompt: str, count: int, seed: int) -> list[list[int]]:
    """Questions of the held-out mixture with one system prompt, as a day's work has them."""
    return [
        policy.renderer.start(
            [
                {"role": "system", "content": system_prompt},
                {"role": "user", "content": mixture(seed, index, "held_out").question},
            ]
        )
        for index in range(count)
    ]


async def measure(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    at_once: int,
    params: SamplingParams,
    tell: Callable[[], None] = lambda: None,
) -> Load:
    """Sample every prompt once. A request that fails is counted and not made again."""
    samples: list[Sample] = []
    errors: list[str] = []
    waiting: Iterator[Sequence[int]] = iter(prompts)

    async def work() -> None:
        for prompt in waiting:
            try:
                samples.extend([p async for p in policy.stream(prompt, params) if isinstance(p, Sample)])
            except PolicyError as error:
                errors.append(str(error))
            tell()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    seconds = time.perf_counter() - began
    each = [(s.total_seconds - s.first_token_seconds) / (len(s.token_ids) - 1) for s in samples if len(s.token_ids) > 1]
    return Load(
        at_once=at_once,
        requests=len(prompts),
        failed=len(errors),
        tokens=sum(len(sample.token_ids) for sample in samples),
        seconds=seconds,
        first_token=quantiles([sample.first_token_seconds for sample in samples]),
        each_token=quantiles(each),
        first_error=errors[0] if errors else None,
    )


def quantiles(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(np.quantile(values, q)) for q in QUANTILES) if values else (float("nan"),) * len(QUANTILES)
