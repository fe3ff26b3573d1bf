"""Effort is what a caller sees: the same weights with a different budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.budget import Budget
from agent.search.attempts import AdaptiveBestOfN, Single
from agent.search.auto import Auto
from agent.search.strategy import Strategy

EffortName = Literal["low", "medium", "high", "max", "auto"]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is spent on a question, and how."""

    name: str
    strategy: Strategy
    temperature: float  # above 0, so that every sample can be trained on
    budget: Budget = field(default_factory=Budget)


# One attempt is best near the mode; a vote needs attempts that differ, and at 1.0 they differ too much (docs/log.md).
# Whatever makes several draws at one temperature, so that the attempts of less effort are the first ones of more.
EFFORTS: dict[str, Effort] = {
    "low": Effort("low", Single(), temperature=0.3),
    "medium": Effort("medium", AdaptiveBestOfN(n=4, level=0.85), temperature=0.6),
    "high": Effort("high", AdaptiveBestOfN(n=8, level=0.99), temperature=0.6),
    "max": Effort("max", AdaptiveBestOfN(n=16, level=0.98), temperature=0.6),
    "auto": Effort("auto", Auto(), temperature=0.6),
}


def chosen_by(effort: Effort, weights: Mapping[str, float]) -> Effort:
    """As verifiers of these weights choose best: with a reward model, an effort's votes are weighted by the score.

    Process rewards lift a vote, and mislead where they choose alone (docs/results.md). A strategy that was written out
    stays.
    """
    strategy = effort.strategy
    learned = not weights.keys().isdisjoint(("process_reward", "outcome_reward"))
    if learned and effort.name in EFFORTS and isinstance(strategy, AdaptiveBestOfN | Auto):
        return replace(effort, strategy=replace(strategy, by="weighted"))
    return effort
