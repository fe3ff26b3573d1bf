"""Strategies that go on with one attempt: it is criticised and revised, or its thought is made longer or shorter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from agent.search.bridges import CLOSE, CRITIQUE, REVISE, WAIT
from agent.search.strategy import Candidate, Choice, Count, Grow


@dataclass(frozen=True, slots=True)
class SelfRefine:
    """The model criticises its answer and gives another, ``rounds`` times (Madaan et al. 2023). The last one counts."""

    rounds: Count = 1
    name: str = "self_refine"

    @property
    def stopping_rule(self) -> str:
        return f"fixed rounds={self.rounds}"

    def grow(self, candidates: Sequence[Candidate]) -> list[Grow]:
        if not candidates:
            return [Grow()]
        last = max(candidates, key=lambda c: len(c.path))
        if len(candidates) > 2 * self.rounds or not last.answered:
            return []
        return [Grow(last.path, bridge=REVISE if last.bridge == CRITIQUE else CRITIQUE)]

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        answers = [c for c in candidates if c.answered and c.bridge != CRITIQUE]
        if not answers:
            return Choice(candidates[0].path, "no attempt came to an answer")
        last = max(answers, key=lambda c: len(c.path))
        revised = sum(c.bridge == REVISE for c in answers)
        return Choice(last.path, f"revised {revised} times" if revised else "it was not revised")


@dataclass(frozen=True, slots=True)
class BudgetForcing:
    """The first thought is cut after ``most`` tokens, or made to go on ``extend`` times where it would have ended.

    Muennighoff et al. 2025, "s1: Simple test-time scaling".
    """

    extend: Annotated[int, Field(ge=0, le=100)] = 1
    most: Count | None = None
    name: str = "budget_forcing"

    @property
    def stopping_rule(self) -> str:
        return f"fixed extend={self.extend} most={self.most}"

    def grow(self, candidates: Sequence[Candidate]) -> list[Grow]:
        if not candidates:
            return [Grow(to="thought", tokens=self.most)]
        last = max(candidates, key=lambda c: len(c.path))
        if not last.open:
            return []
        if len(candidates) <= self.extend:
            return [Grow(last.path, to="thought", bridge=WAIT, tokens=self.most)]
        return [Grow(last.path, bridge=CLOSE)]

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return Choice(max(candidates, key=lambda c: len(c.path)).path, "the only attempt")
