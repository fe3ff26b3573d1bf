"""Intervals and estimators against published values, brute force and simulation."""

import itertools
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.intervals import best_of_k, mean_interval, pass_at_k, wilson

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


def test_mean_interval_is_wilsons_of_all_samples_where_a_questions_samples_are_as_independent() -> None:
    shares = [0.25, 0.5, 0.75, 0.5, 0.25, 0.75]  # scatter no more than samples of one coin do
    assert mean_interval(shares, 4) == pytest.approx(wilson(12, 24))


def test_mean_interval_is_wilsons_of_the_questions_where_a_questions_samples_are_all_alike() -> None:
    assert mean_interval([0.0, 1.0, 1.0, 0.0], 8) == pytest.approx(wilson(2, 4))


def test_values_that_are_all_the_same_give_no_interval_of_width_zero() -> None:
    assert mean_interval([1.0] * 100, 8) == wilson(100, 100)
    assert mean_interval([0.5], 8) == wilson(0.5, 1)
    assert mean_interval([], 8) == (0.0, 1.0)


@pytest.mark.parametrize("middle", [0.5, 0.05, 0.98])
def test_mean_interval_covers_the_truth_about_as_often_as_it_says(middle: float) -> None:
    draw = random.Random(0)
    strength = 4.0  # of a beta distribution: questions differ in how hard they are
    covered = 0
    for _ in range(400):
        rates = (draw.betavariate(strength * middle, strength * (1 - middle)) for _ in range(100))
        shares = [sum(draw.random() < p for _ in range(8)) / 8 for p in rates]
        low, high = mean_interval(shares, 8)
        covered += low <= middle <= high
    assert 0.91 < covered / 400 < 0.985


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(counts: tuple[int, int, int]) -> None:
    right, drawn, k = counts
    samples = [True] * right + [False] * (drawn - right)
    subsets = list(itertools.combinations(samples, k))
    assert pass_at_k(right, drawn, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


ATTEMPTS = st.lists(st.tuples(st.sampled_from([None, 0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=1, max_size=7)


@given(ATTEMPTS, st.data())
def test_the_best_scored_of_k_is_the_mean_over_every_choice_of_k(
    attempts: list[tuple[float | None, bool]], data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, len(attempts)))
    scores, right = [score for score, _ in attempts], [right for _, right in attempts]

    def first_best(chosen: tuple[int, ...]) -> int:
        return max(chosen, key=lambda i: (-1.0 if scores[i] is None else scores[i], -i))

    winners = [first_best(chosen) for chosen in itertools.combinations(range(len(attempts)), n)]
    gold, proxy = best_of_k(scores, right, n)
    assert gold == pytest.approx(statistics.mean(right[i] for i in winners))
    assert proxy == pytest.approx(statistics.mean(scores[i] or 0.0 for i in winners))


def test_a_verifier_that_knows_finds_the_right_one_and_one_that_is_misled_never_does() -> None:
    right = [False, True, False, False]
    assert best_of_k([0.1, 0.9, 0.2, 0.3], right, 4) == (1.0, 0.9)
    assert best_of_k([0.8, 0.1, 0.9, 0.3], right, 4) == (0.0, 0.9)


def test_the_best_of_one_is_the_mean_of_all() -> None:
    gold, proxy = best_of_k([0.0, 1.0, 0.5, 0.5], [False, True, False, True], 1)
    assert (gold, proxy) == (0.5, 0.5)


def test_of_fewer_samples_than_k_there_is_no_estimate() -> None:
    with pytest.raises(ValueError, match="8 samples are asked for, and 4 were drawn"):
        pass_at_k(0, 4, 8)
    with pytest.raises(ValueError, match="2 samples are asked for, and 1 were drawn"):
        best_of_k([0.5], [True], 2)
