"""How much a run may spend. When something runs out, the best answer so far is given, and says so."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one run, all its candidates together; ``steps`` is of each candidate."""

    steps: int = 8  # model calls of one candidate
    sample_tokens: int = 1024  # sampled tokens of one model call
    tokens: int = 40_000  # sampled tokens of the run
    seconds: float = 600.0  # wall time of the run
    tool_calls: int = 100  # of the run


@dataclass(slots=True)
class Meter:
    """What a run has spent so far, and what that leaves. A resumed run starts from what its log holds."""

    budget: Budget
    tokens: int = 0
    tool_calls: int = 0
    seconds_before: float = 0.0  # spent by the process that was resumed
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.budget.seconds - self.seconds)

    def sample_limit(self) -> int:
        """Most tokens that the next model call may sample."""
        return min(self.budget.sample_tokens, self.budget.tokens - self.tokens)

    def exhausted(self, steps: int = 0) -> str | None:
        """Which limit has been reached, in words; None while there is room."""
        if steps >= self.budget.steps:
            return f"{self.budget.steps} steps"
        if self.tokens >= self.budget.tokens:
            return f"{self.budget.tokens} tokens"
        if self.tool_calls >= self.budget.tool_calls:
            return f"{self.budget.tool_calls} tool calls"
        if self.seconds_left <= 0:
            return f"{self.budget.seconds:g} seconds"
        return None
