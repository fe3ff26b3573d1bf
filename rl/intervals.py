"""Intervals and estimators that evaluation reports. Pure functions of counts."""

from __future__ import annotations

import math


def wilson(successes: float, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927); 95 % by default. (0, 1) where nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    p, square = successes / trials, z * z / trials
    centre = (p + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(p * (1 - p) / trials + square / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: list[float], z: float = 1.959964) -> tuple[float, float]:
    """The normal interval of a mean of independent values in [0, 1], such as a question's share of right samples.

    Wilson's, which is wider, where the values are all the same and so say nothing of how they scatter.
    """
    n = len(values)
    if len(set(values)) < 2:
        return wilson(math.fsum(values), n, z)
    mean = math.fsum(values) / n
    half = z * math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
    return max(0.0, mean - half), min(1.0, mean + half)


def pass_at_k(right: int, drawn: int, k: int) -> float:
    """The unbiased estimate of the chance that one of ``k`` samples is right, from ``drawn`` (Chen et al. 2021)."""
    if drawn - right < k:
        return 1.0
    return 1.0 - math.prod((drawn - right - i) / (drawn - i) for i in range(k))
