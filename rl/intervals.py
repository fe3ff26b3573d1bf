"""Intervals and estimators that evaluation reports. Pure functions of counts."""

from __future__ import annotations

import math
from collections.abc import Sequence


def wilson(successes: float, trials: float, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927); 95 % by default. (0, 1) where nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    p, square = successes / trials, z * z / trials
    centre = (p + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(p * (1 - p) / trials + square / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(shares: list[float], each: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval of a mean of questions' shares, each of ``each`` samples of one question.

    Wilson's, for as many independent samples as scatter like these shares do (Kish's effective sample size): at least
    one a question, at most all. A normal interval would close up near 0 and 1.
    """
    if not shares:
        return 0.0, 1.0
    n, mean = len(shares), math.fsum(shares) / len(shares)
    variance = math.fsum((share - mean) ** 2 for share in shares) / max(1, n - 1)
    alike = mean * (1 - mean) * n / variance if variance else n
    effective = max(n, min(n * each, alike))
    return wilson(mean * effective, effective, z)


def pass_at_k(right: int, drawn: int, k: int) -> float:
    """The unbiased estimate of the chance that one of ``k`` samples is right, from ``drawn`` (Chen et al. 2021).

    Raises ``ValueError`` where fewer than ``k`` were drawn.
    """
    refuse_more(k, drawn)
    if drawn - right < k:
        return 1.0
    return 1.0 - math.prod((drawn - right - i) / (drawn - i) for i in range(k))


def best_of_k(scores: Sequence[float | None], right: Sequence[bool], k: int) -> tuple[float, float]:
    """How often the one with the highest score of ``k`` samples is right, and with which score: the mean over every
    choice of ``k`` among those drawn (Nakano et al. 2021, WebGPT, appendix I). The earlier of equals is the better.

    Raises ``ValueError`` where fewer than ``k`` were drawn.
    """
    refuse_more(k, len(scores))
    ranked = sorted(range(len(scores)), key=lambda i: (-1.0 if scores[i] is None else scores[i], -i))
    choices = math.comb(len(ranked), k)
    gold = proxy = 0.0
    for below, i in enumerate(ranked):
        share = math.comb(below, k - 1) / choices  # that it is the best one: the others are among those below
        gold += share * right[i]
        proxy += share * (scores[i] or 0.0)
    return gold, proxy


def refuse_more(k: int, drawn: int) -> None:
    if k > drawn:
        raise ValueError(f"{k} samples are asked for, and {drawn} were drawn")
