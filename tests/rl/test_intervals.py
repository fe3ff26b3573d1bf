"""Intervals and estimators against published values, brute force and simulation."""

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.intervals import mean_interval, pass_at_k, wilson

# Newcombe 1998 ("Two-sided confidence intervals for the single proportion"), table I, method 3.
NEWCOMBE = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]


@pytest.mark.parametrize(("successes", "trials", "low", "high"), NEWCOMBE)
def test_wilson_gives_the_published_intervals(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_nothing_tried_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_stays_within_bounds_and_is_symmetric(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1
    assert wilson(trials - successes, trials) == pytest.approx((1 - high, 1 - low))


def test_mean_interval_is_the_normal_one() -> None:
    values = [0.125, 0.5, 0.75, 1.0, 0.25, 0.0]
    half = 1.959964 * statistics.stdev(values) / math.sqrt(len(values))
    assert mean_interval(values) == pytest.approx((statistics.mean(values) - half, statistics.mean(values) + half))


def test_values_that_are_all_the_same_give_no_interval_of_width_zero() -> None:
    assert mean_interval([1.0] * 100) == wilson(100, 100)
    assert mean_interval([0.5]) == wilson(0.5, 1)
    assert mean_interval([]) == (0.0, 1.0)


def test_mean_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    draw = random.Random(0)
    covered = 0
    for _ in range(400):
        shares = [sum(draw.random() < p for _ in range(8)) / 8 for p in (draw.random() for _ in range(100))]
        low, high = mean_interval(shares)
        covered += low <= 0.5 <= high
    assert 0.91 < covered / 400 < 0.985


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(counts: tuple[int, int, int]) -> None:
    right, drawn, k = counts
    samples = [True] * right + [False] * (drawn - right)
    subsets = list(itertools.combinations(samples, k))
    assert pass_at_k(right, drawn, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))
