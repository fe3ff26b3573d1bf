"""What an evaluation found: one outcome a question, summed up with intervals, and compared question by question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rl.intervals import mean_interval, wilson

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question, answered in one way."""

    task_id: str
    right: float  # 1 or 0; the share of right ones, where it stands for several attempts
    tokens: float  # sampled or read by verifiers, everything counted
    seconds: float  # wall time shared among the questions under way; of a choice from a pool, in proportion to tokens
    score: float | None = None  # that the verifier by which it was chosen gave it

    @property
    def original_id(self) -> str:
        """Of the question of which this one is a version."""
        return self.task_id.partition("~")[0]


@dataclass(frozen=True, slots=True)
class Result:
    """One row: a suite's tier, answered in one way."""

    suite: str
    tier: int
    effort: str
    strategy: str  # "pass@1", "majority@8", ... for a pool
    outcomes: tuple[Outcome, ...]
    attempts: int = 1  # that each outcome's share is of
    prompt: str = ""  # the system prompt's name, where several are compared
    perturbed: str = ""  # what was changed in the questions, or "original", where these are compared

    @property
    def questions(self) -> int:
        return len(self.outcomes)

    @property
    def accuracy(self) -> float:
        return mean([each.right for each in self.outcomes])

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        rights = [each.right for each in self.outcomes]
        return wilson(sum(rights), len(rights)) if self.attempts == 1 else mean_interval(rights, self.attempts)

    @property
    def tokens_per_question(self) -> float:
        return mean([each.tokens for each in self.outcomes])

    @property
    def score(self) -> float | None:
        """The mean of what the verifier that chose gave what it chose: the proxy, where accuracy is the gold."""
        scores = [each.score for each in self.outcomes if each.score is not None]
        return mean(scores) if scores else None

    @property
    def seconds_per_question(self) -> float:
        return mean([each.seconds for each in self.outcomes])

    @property
    def tokens_per_solved(self) -> float | None:
        return self.tokens_per_question / self.accuracy if self.accuracy else None

    @property
    def seconds_per_solved(self) -> float | None:
        return self.seconds_per_question / self.accuracy if self.accuracy else None

    def summary(self) -> dict[str, Any]:
        names = ("suite", "tier", "effort", "strategy", "questions", "accuracy", "interval", "tokens_per_question")
        names += ("seconds_per_question", "tokens_per_solved", "seconds_per_solved", "score")
        names += tuple(name for name in ("prompt", "perturbed") if getattr(self, name))
        return {name: getattr(self, name) for name in names}


def baseline(result: Result, results: Sequence[Result], against: str) -> Result | None:
    """The row of that strategy, effort, prompt or perturbation that has all else in common with ``result``."""

    def alike(each: Result, *names: str) -> bool:
        return all(getattr(each, name) == getattr(result, name) for name in ("suite", "tier", *names))

    for each in results:
        if (
            (against in (each.strategy, each.effort) and alike(each, "prompt", "perturbed"))
            or (against == each.prompt and alike(each, "effort", "strategy", "perturbed"))
            or (against == each.perturbed and alike(each, "effort", "strategy", "prompt"))
        ):
            return each
    return None


@dataclass(frozen=True, slots=True)
class Paired:
    """How much better one way is than another on the same questions."""

    difference: float  # of the accuracies
    interval: tuple[float, float]  # 95 %, of the difference
    p: float  # exact McNemar
    token_ratio: float  # of one's tokens to the other's


def compare(one: Sequence[Outcome], other: Sequence[Outcome], seed: int = 0) -> Paired:
    """Question by question: bootstrap interval (percentiles of ``RESAMPLES``), and McNemar's test of who was right
    alone. Raises ``ValueError`` where the questions are not the same.

    One question that each was right at alone is added before drawing (the adjustment of Bonett and Price 2012): else
    three questions without a difference would be proof that there is none.
    """
    if [each.original_id for each in one] != [each.original_id for each in other]:
        raise ValueError("two ways of answering can be compared on the same questions only")
    differences = [a.right - b.right for a, b in zip(one, other, strict=True)]
    alone, left_alone = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    tokens = mean([each.tokens for each in one]) / max(1e-9, mean([each.tokens for each in other]))
    return Paired(mean(differences), bootstrap([*differences, 1.0, -1.0], seed), mcnemar(alone, left_alone), tokens)


def bootstrap(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of ``values`` drawn again (Efron 1979)."""
    import numpy as np

    if not values:
        return 0.0, 0.0
    array = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = np.array([array[generator.integers(len(array), size=len(array))].mean() for _ in range(RESAMPLES)])
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def mcnemar(alone: int, left_alone: int) -> float:
    """The exact two-sided p of so many wins and losses being a fair coin's (McNemar 1947)."""
    n, most = alone + left_alone, max(alone, left_alone)
    tail = sum(math.comb(n, k) for k in range(most, n + 1)) / 2**n  # of whole numbers of any size
    return min(1.0, 2 * tail)


def holm(ps: Sequence[float]) -> list[float]:
    """The p values, corrected for having looked so many times (Holm 1979)."""
    corrected, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = highest
    return corrected


def together(results: Sequence[Result]) -> list[Result]:
    """For each way of answering, one row over all suites that were answered in all ways, where there are several."""
    ways = dict.fromkeys((r.effort, r.strategy, r.attempts, r.prompt, r.perturbed) for r in results)
    suites = dict.fromkeys((each.suite, each.tier) for each in results)
    if len(suites) < 2:
        return []
    found = []
    for way in ways:
        rows = [r for r in results if (r.effort, r.strategy, r.attempts, r.prompt, r.perturbed) == way]
        if len(rows) == len(suites):
            outcomes = tuple(outcome for each in rows for outcome in each.outcomes)
            found.append(replace(rows[0], suite="all", tier=0, outcomes=outcomes))
    return found


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
