"""Does choosing by a verifier go on paying, or does the model learn to please it? Gold against proxy, as N grows.

Best-of-N takes the attempt that a verifier likes best. Its score (the proxy) can only rise with N; whether answers
become right as well (the gold) shows how far the verifier can be trusted (Gao et al. 2023, "Scaling Laws for Reward
Model Overoptimization"). Pure functions of pools.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rl.pools import Pool
from rl.results import bootstrap, mean


@dataclass(frozen=True, slots=True)
class Point:
    n: int
    gold: float  # the share of right answers
    interval: tuple[float, float]  # 95 %, bootstrap over questions
    proxy: float  # the verifier's mean score of what it chose


def curve(pools: Sequence[Pool], verifier: str) -> list[Point]:
    """For N = 1, 2, 4, ... up to the size of the smallest pool. [] where the verifier scored nothing."""
    scored = [scores_of(pool, verifier) for pool in pools]
    if not scored or not any(score is not None for scores in scored for score in scores):
        return []
    most = min(len(pool.attempts) for pool in pools)
    points = []
    for n in (2**i for i in range(most.bit_length()) if 2**i <= most):
        expected = [best_of(scores, pool.right, n) for scores, pool in zip(scored, pools, strict=True)]
        golds = [gold for gold, _ in expected]
        points.append(Point(n, mean(golds), bootstrap(golds), mean([proxy for _, proxy in expected])))
    return points


def scores_of(pool: Pool, verifier: str) -> list[float | None]:
    """Of each attempt; None where it came to no answer, or the verifier had nothing to say."""
    return [
        next((v.score for v in attempt[-1].verdicts if v.verifier == verifier and case.finished), None)
        for attempt, case in zip(pool.attempts, pool.cases, strict=True)
    ]


def best_of(scores: Sequence[float | None], right: Sequence[bool], n: int) -> tuple[float, float]:
    """What the best-scored of ``n`` attempts is expected to be, over all choices of ``n`` among these: how often right,
    and with which score. Without bias (Nakano et al. 2021, WebGPT, appendix I); the earlier of equals is the better.
    """
    ranked = sorted(range(len(scores)), key=lambda i: (-1.0 if scores[i] is None else scores[i], -i))
    total = math.comb(len(ranked), n)
    gold = proxy = 0.0
    for below, i in enumerate(ranked):
        share = math.comb(below, n - 1) / total  # that it is the best one: the others are among those below
        gold += share * right[i]
        proxy += share * (scores[i] or 0.0)
    return gold, proxy
