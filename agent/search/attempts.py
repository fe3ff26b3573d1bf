"""Strategies over whole attempts: how many to make, and whose answer to give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.search.posterior import leader_stays
from agent.search.strategy import By, Candidate, Choice, Count, Grow, Share, attempts, best, majority, weighted

CHOOSE: Mapping[By, Callable[[Sequence[Candidate]], Choice]] = {
    "majority": majority,
    "weighted": weighted,
    "best": best,
}


@dataclass(frozen=True, slots=True)
class Single:
    """One attempt; with the bridge "close", one that does not think before it answers."""

    bridge: str = ""
    name: str = "single"
    stopping_rule: str = "fixed n=1"

    def grow(self, candidates: Sequence[Candidate]) -> list[Grow]:
        return [] if candidates else [Grow(bridge=self.bridge)]

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return Choice(candidates[0].path, "the only attempt")


@dataclass(frozen=True, slots=True)
class FixedN:
    """``n`` attempts at once. Which of them is chosen is for those who inherit it to say."""

    n: Count

    @property
    def stopping_rule(self) -> str:
        return f"fixed n={self.n}"

    def grow(self, candidates: Sequence[Candidate]) -> list[Grow]:
        return attempts(self.n - len(candidates))


@dataclass(frozen=True, slots=True)
class MajorityVote(FixedN):
    """The answer that most attempts agree on (self-consistency, Wang et al. 2022)."""

    name: str = "majority"

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return majority(candidates)

    def settled(self, candidates: Sequence[Candidate], under_way: int) -> bool:
        """Whether the attempts that are still under way cannot change the answer."""
        votes = [count for _, count in Counter(c.answer for c in candidates if c.answered).most_common(2)]
        return bool(votes) and votes[0] > (votes[1] if len(votes) > 1 else 0) + under_way


@dataclass(frozen=True, slots=True)
class WeightedVote(FixedN):
    """The answer whose attempts have the highest sum of verifier scores (weighted self-consistency)."""

    name: str = "weighted"

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return weighted(candidates)


@dataclass(frozen=True, slots=True)
class BestOfN(FixedN):
    """The attempt with the highest verifier score."""

    name: str = "best_of_n"

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return best(candidates)


@dataclass(frozen=True, slots=True)
class AdaptiveBestOfN:
    """Best-of-N in waves that stops when more attempts would hardly change the leading answer.

    The level is compared with the posterior probability that the leading answer still leads the second one when all
    ``n`` attempts are made (``posterior``).
    """

    n: Count  # most attempts
    wave: Count = 2
    level: Share = 0.95
    by: By = "best"
    name: str = "adaptive_best_of_n"

    @property
    def stopping_rule(self) -> str:
        return f"posterior>={self.level} wave={self.wave} n<={self.n}"

    def grow(self, candidates: Sequence[Candidate]) -> list[Grow]:
        return [] if self.enough(candidates) else attempts(min(self.n - len(candidates), self.wave))

    def enough(self, candidates: Sequence[Candidate]) -> bool:
        """Whether the attempts that are left would hardly change the answer."""
        votes = [count for _, count in Counter(c.answer for c in candidates if c.answered).most_common(2)]
        left = self.n - len(candidates)
        return bool(votes) and leader_stays(votes[0], votes[1] if len(votes) > 1 else 0, left) >= self.level

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        choice = CHOOSE[self.by](candidates)
        early = len(candidates) < self.n and self.enough(candidates)
        return replace(choice, reason=choice.reason + (f"; {self.n} would hardly change it" if early else ""))

    def whole(self) -> FixedN:
        """The same without stopping early."""
        return {"majority": MajorityVote, "weighted": WeightedVote, "best": BestOfN}[self.by](self.n)
