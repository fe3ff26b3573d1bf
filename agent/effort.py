"""Effort is what a caller sees: the same weights with a different budget."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.budget import Budget
from agent.search.attempts import AdaptiveBestOfN, Single
from agent.search.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is spent on a question, and how."""

    name: str
    strategy: Strategy
    temperature: float  # above 0, so that every sample can be trained on
    budget: Budget = field(default_factory=Budget)


EFFORTS = {
    "low": Effort("low", Single(), temperature=0.3),
    "medium": Effort("medium", AdaptiveBestOfN(n=4, level=0.85), temperature=0.8),
    "high": Effort("high", AdaptiveBestOfN(n=8, level=0.99), temperature=1.0),
}
