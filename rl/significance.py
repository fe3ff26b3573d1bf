"""Tests of paired differences that hold for few, discrete and skewed ones: what ``rl.gate`` decides by.

Pure functions of arrays; nothing here knows what was compared. ``rl.results`` has the tests that reports use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NORMAL = NormalDist()
POINTS = 161  # of a grid, odd for Simpson's rule: levels are right to 1e-7
FARTHEST = 8.0  # standard deviations, beyond which nothing is expected
# Shares of the capital that are put on "the mean is larger": the first is best where hardly any item differs, the last
# where half of them do.
STAKES = 0.95 / 2.0 ** np.arange(5)[:, None]


def sign_flip(wholes_N: NDArray[np.int64]) -> float:
    """The one-sided p of a sum of whole numbers so large, were each one's sign a fair coin's: exact, no drawing.

    Fisher's randomisation test (1935) by the characteristic function, the product of cos(size * angle). Of 1, 0 and -1
    it is McNemar's exact test. Where the mean is 0 and the signs are not fair coins' it is right for large samples
    (Romano 1990). Lowering a number never lowers p.
    """
    sizes, counts = np.unique(np.abs(wholes_N[wholes_N != 0]), return_counts=True)
    reach, total = int(sizes @ counts), int(wholes_N.sum())
    if not reach:
        return 1.0
    length = 2 ** (2 * reach + 1).bit_length()
    angles = 2 * np.pi * np.arange(length // 2 + 1) / length
    chances = np.fft.irfft(np.prod(np.cos(np.outer(sizes, angles)) ** counts[:, None], axis=0), length)
    least = max(total, 1 - total)  # the tail on the far side of 0, where small chances are not lost beside large ones
    tail = max(float(np.clip(chances[least : reach + 1], 0.0, 1.0).sum()), 0.5 ** int(counts.sum()))
    return min(1.0, tail if total > 0 else 1.0 - (tail if least <= reach else 0.0))


# --- group-sequential designs -----------------------------------------------------------------------------------------


def spent(alpha: float, fraction: float) -> float:
    """How much of a one-sided ``alpha`` may be used up when a ``fraction`` of the items is in.

    Lan and DeMets (1983), their function that is like O'Brien and Fleming's bounds: hardly any at first.
    """
    return 2.0 * (1.0 - NORMAL.cdf(NORMAL.inv_cdf(1.0 - alpha / 2.0) / math.sqrt(fraction)))


@lru_cache(maxsize=64)
def upper_levels(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """For each look, the p at or below which it may reject, so that all looks together do so with ``alpha``.

    By the joint normal law of the sums at the looks (Armitage, McPherson and Rowe 1969).
    """
    bounds: list[float] = []
    before = 0.0
    for fraction in fractions:
        step = spent(alpha, fraction) - before
        found = partial(first_crossed, fractions, tuple(bounds), step)
        bounds.append(root(found, 0.0, FARTHEST))
        before += step
    return tuple(1.0 - NORMAL.cdf(bound / math.sqrt(at)) for bound, at in zip(bounds, fractions, strict=True))


def first_crossed(fractions: Sequence[float], before: Sequence[float], allowed: float, bound: float) -> float:
    """How much more than ``allowed`` the chance is of being above ``bound`` at the next look, and at none before."""
    return crossings(fractions, [*before, bound])[-1] - allowed


@lru_cache(maxsize=64)
def futility_levels(fractions: tuple[float, ...], alpha: float, power: float, hopeless: float) -> tuple[float, ...]:
    """For each look but the last, the p above which the chance of passing in the end is less than ``hopeless``, were
    the true effect the one that is planned for (conditional power: Lan and Wittes 1988).

    Not binding: whoever goes on all the same does not pass more often than ``alpha`` by chance.
    """
    if not hopeless:
        return (1.0,) * (len(fractions) - 1)
    lowers = futility_bounds(fractions, alpha, hopeless, drift(fractions, alpha, power, hopeless))
    return tuple(1.0 - NORMAL.cdf(low / math.sqrt(at)) for low, at in zip(lowers, fractions, strict=False))


def futility_bounds(fractions: Sequence[float], alpha: float, hopeless: float, drift: float) -> list[float]:
    last = upper_bounds(tuple(fractions), alpha)[-1]
    left = [1.0 - at for at in fractions[:-1]]
    return [last - drift * rest + math.sqrt(rest) * NORMAL.inv_cdf(hopeless) for rest in left] if hopeless else []


def upper_bounds(fractions: tuple[float, ...], alpha: float) -> list[float]:
    """Of the sum at each look, on the scale on which its variance at the end is 1."""
    levels = upper_levels(fractions, alpha)
    return [NORMAL.inv_cdf(1.0 - p) * math.sqrt(at) for p, at in zip(levels, fractions, strict=True)]


@lru_cache(maxsize=64)
def drift(fractions: tuple[float, ...], alpha: float, power: float, hopeless: float) -> float:
    """The sum's mean at the end, in standard deviations, that is found with ``power``. With one look that is the sum
    of two normal quantiles; looks and giving up in between ask for a little more.
    """
    return root(lambda mean: chance_of_passing(fractions, alpha, hopeless, mean) - power, 0.0, FARTHEST)


@lru_cache(maxsize=1024)
def chance_of_passing(fractions: tuple[float, ...], alpha: float, hopeless: float, drift: float) -> float:
    """Where the sum's mean at the end is ``drift`` standard deviations, and hopeless ones are given up."""
    lowers = futility_bounds(fractions, alpha, hopeless, drift)
    return sum(crossings(fractions, upper_bounds(fractions, alpha), lowers, drift))


def crossings(
    fractions: Sequence[float], uppers: Sequence[float], lowers: Sequence[float] = (), drift: float = 0.0
) -> list[float]:
    """The chance, for each look, that it is the first at which a Brownian motion with ``drift`` is above its upper
    bound, and at none before it was below its lower one."""
    found: list[float] = []
    places, masses, at = np.zeros(1), np.ones(1), 0.0
    for look, upper in enumerate(uppers):
        step = fractions[look] - at
        at, means = fractions[look], places + drift * step
        found.append(float(masses @ upper_tail((upper - means) / math.sqrt(step))))
        low = max([lowers[look]] if look < len(lowers) else [-math.inf], default=-math.inf)
        low = max(low, drift * at - FARTHEST * math.sqrt(at))
        if low >= upper:
            return [*found, *[0.0] * (len(uppers) - len(found))]
        new = np.linspace(low, upper, POINTS)
        density = np.exp(-((new[:, None] - means) ** 2) / (2 * step)) / math.sqrt(2 * math.pi * step)
        places, masses = new, (density @ masses) * simpson(new[1] - new[0])
    return found


def simpson(width: float) -> Floats:
    weights = np.full(POINTS, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return weights * width / 3.0


def upper_tail(z: Floats) -> Floats:
    return np.array([math.erfc(each / math.sqrt(2.0)) / 2.0 for each in z])


def root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a monotone function is 0, by halving, to 1e-10."""
    up = rising(high) > rising(low)
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (low, middle) if (rising(middle) > 0.0) == up else (middle, high)
    return (low + high) / 2.0


def items_needed(effect: float, square: float, drift: float, step: float) -> int:
    """How many items it takes to find a mean difference of ``effect``, where the mean square of one is ``square``.

    Where one can differ from the next by ``step``, turning a sign moves the sum by two, and half of that is what the
    exact test of it loses (a continuity correction as that of Casagrande, Pike and Smith 1978).
    """
    scatter = drift * math.sqrt(square)
    return math.ceil(((scatter + math.sqrt(scatter**2 + 4.0 * effect * step)) / (2.0 * effect)) ** 2)


# --- a bound that holds whenever one looks ----------------------------------------------------------------------------


def evidence(differences_N: Floats, at_most: float) -> float:
    """How strongly differences in [-1, 1] speak against their mean being ``at_most``: what 1 becomes that is staked on
    it being larger, by ``STAKES`` that are each a gambler of their own.

    Where the mean is at most that, the chance of ever seeing 1 / alpha or more is at most alpha, whatever the
    distribution and however often one looks (Ville 1939; Waudby-Smith and Ramdas 2024). Neither the order of the items
    nor a spread that has to be estimated comes in; raising a difference never lowers it.
    """
    return capital(*np.unique(differences_N, return_counts=True), at_most)


def capital(values: Floats, counts: NDArray[np.int64], at_most: float) -> float:
    """What is left on average over the stakes, where each value came so often."""
    if not len(values):
        return 1.0
    logs = np.log1p(STAKES * ((1.0 + values) / (1.0 + at_most) - 1.0)) @ counts
    return math.exp(min(700.0, float(logs.max()))) * float(np.exp(logs - logs.max()).mean())


def always_valid(differences_N: Floats, alpha: float) -> tuple[float, float]:
    """Both one-sided bounds of the mean at ``alpha``: valid however often one looks (a confidence sequence)."""
    values, counts = np.unique(differences_N, return_counts=True)

    def lower(sign: float) -> float:
        def lacking(mean: float) -> float:
            return 1.0 / alpha - capital(sign * values, counts, mean)

        lowest = -1.0 + 1e-9
        return -1.0 if lacking(lowest) > 0.0 else root(lacking, lowest, 1.0)

    return lower(1.0), -lower(-1.0)


def ratio_interval(ones_N: Floats, others_N: Floats, alpha: float) -> tuple[float, float]:
    """Both one-sided bounds, at ``alpha``, of the ratio of two means of paired values (Fieller 1954, with normal
    quantiles: for a hundred pairs and more). (0, inf) where the other's mean cannot be told from 0."""
    n, z = len(ones_N), NORMAL.inv_cdf(1.0 - alpha)
    a, b = float(ones_N.mean()), float(others_N.mean())
    if n < 2:
        return 0.0, math.inf
    (aa, ab), (_, bb) = np.cov(ones_N, others_N) * (z * z / n)
    square, middle = b * b - bb, a * b - ab
    if square <= 0.0:
        return 0.0, math.inf
    half = math.sqrt(max(0.0, middle**2 - square * (a * a - aa)))
    return (middle - half) / square, (middle + half) / square


def exact_interval(successes: int, trials: int, alpha: float = 0.05) -> tuple[float, float]:
    """The two-sided interval of a proportion by the binomial law itself (Clopper and Pearson 1934)."""

    def tail(at_least: int, p: float) -> float:
        ways = math.lgamma(trials + 1)
        return math.fsum(
            math.exp(
                ways
                - math.lgamma(k + 1)
                - math.lgamma(trials - k + 1)
                + k * math.log(p)
                + (trials - k) * math.log1p(-p)
            )
            for k in range(at_least, trials + 1)
        )

    low = root(lambda p: tail(successes, p) - alpha / 2.0, 1e-12, 1.0 - 1e-12) if successes else 0.0
    high = root(lambda p: tail(successes + 1, p) - 1.0 + alpha / 2.0, 1e-12, 1.0 - 1e-12) if successes < trials else 1.0
    return low, high
