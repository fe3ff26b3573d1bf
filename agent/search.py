"""Search strategies: each a small object that looks at the candidates so far and says what to grow, and what to give.

A strategy decides; ``graph`` grows. All of them work on the same tree and none of them calls a model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol

from agent.errors import SettingsError
from agent.records import Ending, Path


@dataclass(frozen=True, slots=True)
class Candidate:
    """One finished attempt, as a strategy sees it."""

    path: Path  # of its leaf
    ending: Ending
    answer: str | None  # in canonical form: equal answers are equal strings; None where it gave none
    score: float | None  # the weighted reward of its verifiers

    @property
    def answered(self) -> bool:
        return self.ending is Ending.ANSWER and self.answer is not None


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate whose answer is given, and why."""

    path: Path
    reason: str


class Strategy(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def stopping_rule(self) -> str:
        """When growing stops, in words that name the parameters; it is logged with the run."""
        ...

    def grow(self, candidates: Sequence[Candidate]) -> int:
        """How many more attempts to make now; 0 is enough."""
        ...

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        """Pick from at least one candidate; unanswered ones only where there is nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class Single:
    """One attempt."""

    name: str = "single"
    stopping_rule: str = "fixed n=1"

    def grow(self, candidates: Sequence[Candidate]) -> int:
        return 1 - len(candidates)

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return Choice(candidates[0].path, "the only attempt")


@dataclass(frozen=True, slots=True)
class FixedN:
    """``n`` attempts at once. Which of them is chosen is for those who inherit it to say."""

    n: int

    @property
    def stopping_rule(self) -> str:
        return f"fixed n={self.n}"

    def grow(self, candidates: Sequence[Candidate]) -> int:
        return self.n - len(candidates)


@dataclass(frozen=True, slots=True)
class MajorityVote(FixedN):
    """The answer that most attempts agree on (self-consistency, Wang et al. 2022); the earliest of equals."""

    name: str = "majority"

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return majority(candidates)


@dataclass(frozen=True, slots=True)
class BestOfN(FixedN):
    """The attempt with the highest verifier score; the earliest of equals."""

    name: str = "best_of_n"

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return best(candidates)


@dataclass(frozen=True, slots=True)
class AdaptiveBestOfN:
    """Best-of-N in waves that stops when more attempts would hardly change the leading answer.

    The level is compared with the posterior probability that the leading answer is more frequent than the second one,
    under a uniform Beta prior (Adaptive-Consistency, Aggarwal et al. 2023).
    """

    n: int  # most attempts
    wave: int = 2
    level: float = 0.95
    name: str = "adaptive_best_of_n"

    @property
    def stopping_rule(self) -> str:
        return f"posterior>={self.level} wave={self.wave} n<={self.n}"

    def grow(self, candidates: Sequence[Candidate]) -> int:
        left = self.n - len(candidates)
        votes = [count for _, count in Counter(c.answer for c in candidates if c.answered).most_common(2)]
        if votes and leader_stays(votes[0], votes[1] if len(votes) > 1 else 0) >= self.level:
            return 0
        return min(left, self.wave)

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return best(candidates)


def leader_stays(first: int, second: int) -> float:
    """P(p > 1/2) for p ~ Beta(first + 1, second + 1): the leader's share of the votes for the two is the larger one.

    For whole numbers this is the binomial tail sum_{j <= first} C(m, j) / 2^m with m = first + second + 1.
    """
    m = first + second + 1
    return sum(math.comb(m, j) for j in range(first + 1)) / 2**m


def majority(candidates: Sequence[Candidate]) -> Choice:
    """The earliest with the answer that most gave; where nobody gave one, the earliest that had begun to."""
    votes = Counter(c.answer for c in candidates if c.answered)
    if not votes:
        begun = (c for c in candidates if c.ending is Ending.BUDGET and c.answer is not None)
        return Choice(next(begun, candidates[0]).path, "no attempt came to an answer")
    answer, count = votes.most_common(1)[0]
    first = next(c for c in candidates if c.answered and c.answer == answer)
    return Choice(first.path, f"{count} of {len(candidates)} attempts agree")


def best(candidates: Sequence[Candidate]) -> Choice:
    """The earliest with the highest score; the majority's where there are no scores."""
    scored = [c for c in candidates if c.answered and c.score is not None]
    if not scored:
        return majority(candidates)
    top = max(scored, key=lambda c: c.score or 0.0)
    return Choice(top.path, f"highest score, {top.score:.2f}, of {len(candidates)} attempts")


STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "single": Single,
    "majority": MajorityVote,
    "best_of_n": BestOfN,
    "adaptive_best_of_n": AdaptiveBestOfN,
}
"""By the name that the log uses; ``add_strategy`` adds one's own."""


def add_strategy(kind: Callable[..., Strategy]) -> None:
    """Make a dataclass known by the default of its field ``name``, so that its runs can be resumed.

    Raises:
        SettingsError: it is not one, or has no such field.
    """
    STRATEGIES[default_name(kind)] = kind


def default_name(kind: Any) -> str:
    names = [each.default for each in fields(kind) if each.name == "name"] if is_dataclass(kind) else []
    if not names or not isinstance(names[0], str):
        raise SettingsError(f"{kind!r} is no strategy: make it a dataclass whose field `name` has a default.")
    return names[0]


def strategy_from(settings: Mapping[str, Any]) -> Strategy:
    """The strategy that ``dataclasses.asdict`` gave these settings for.

    Raises:
        SettingsError: there is no strategy of that name.
    """
    name = settings["name"]
    if name not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise SettingsError(f"There is no strategy {name!r} ({known}); name its module:object in `strategies`.")
    return STRATEGIES[name](**settings)
