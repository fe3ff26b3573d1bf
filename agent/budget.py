"""How much a run may spend. When something runs out, the best answer so far is given, and says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one run: ``steps`` is of each attempt, ``sample_tokens`` of each step, the others of all."""

    steps: int = 8  # model calls of one attempt
    sample_tokens: int = 0  # sampled tokens of one model call; 0: a quarter of the model's context
    tokens: int = 0  # of the run, sampled or read by verifiers; 0: the model's context for each attempt, 10 at least
    seconds: float = 600.0  # wall time of the run
    tool_calls: int = 0  # of the run; 0: 8 for each attempt, 100 at least
    cost: float | None = None  # money of the run, at these prices
    prompt_price: float = 0.0  # of a million tokens of prompts, each call's counted whole
    sampled_price: float = 0.0  # of a million of the others

    def within(self, context_length: int, attempts: int) -> Budget:
        """With the limits that follow from the model's context and from how many attempts may be made."""
        return replace(
            self,
            sample_tokens=self.sample_tokens or context_length // 4,
            tokens=self.tokens or max(10, attempts) * context_length,
            tool_calls=self.tool_calls or max(100, 8 * attempts),
        )

    def price(self, prompt_tokens: int, other_tokens: int) -> float:
        return (self.prompt_price * prompt_tokens + self.sampled_price * other_tokens) / 1e6


@dataclass(slots=True)
class Meter:
    """What a run has spent so far, and what that leaves. A resumed run starts from what its log holds."""

    budget: Budget
    tokens: int = 0  # sampled, or read by verifiers
    prompt_tokens: int = 0
    tool_calls: int = 0
    seconds_before: float = 0.0  # spent before the run was resumed
    started: float = field(default_factory=time.monotonic)
    waiting: int = 0  # calls that wait for a person
    waiting_since: float = 0.0

    @property
    def seconds(self) -> float:
        now = self.waiting_since if self.waiting else time.monotonic()
        return self.seconds_before + now - self.started

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Time does not count while a person is waited for."""
        self.waiting_since = self.waiting_since if self.waiting else time.monotonic()
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
            if not self.waiting:
                self.started += time.monotonic() - self.waiting_since

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.budget.seconds - self.seconds)

    def sampling_over(self) -> str | None:
        """The limit, in words, that allows no further token; None while there is room."""
        if self.tokens >= self.budget.tokens:
            return f"{self.budget.tokens} tokens"
        if self.budget.cost is not None and self.budget.price(self.prompt_tokens, self.tokens) >= self.budget.cost:
            return f"{self.budget.cost:g} in money"
        return f"{self.budget.seconds:g} seconds" if self.seconds_left <= 0 else None

    def calling_over(self, more: int = 1) -> str | None:
        """The limit, in words, that does not allow so many more tool calls; a model may still answer without them."""
        return f"{self.budget.tool_calls} tool calls" if self.tool_calls + more > self.budget.tool_calls else None

    def exhausted(self) -> str | None:
        """The limit, in words, that allows no further attempt."""
        return self.sampling_over() or self.calling_over()
