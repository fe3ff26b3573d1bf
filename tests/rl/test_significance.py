"""Tests of differences: against every sign pattern, published bounds and the definitions themselves."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.results import mcnemar
from rl.significance import (
    NORMAL,
    always_valid,
    chance_of_passing,
    crossings,
    drift,
    evidence,
    exact_interval,
    futility_levels,
    items_needed,
    ratio_interval,
    sign_flip,
    upper_levels,
)

WHOLES = st.lists(st.integers(-3, 3), max_size=9)
SHARES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=40)
LOOKS = [(1.0,), (0.5, 1.0), (0.4, 0.7, 1.0), (0.2, 0.4, 0.6, 0.8, 1.0)]


def p_of(wholes: list[int]) -> float:
    return sign_flip(np.array(wholes, dtype=np.int64))


# --- the sign-flip test -----------------------------------------------------------------------------------------------


@given(WHOLES)
def test_p_is_the_share_of_sign_patterns_with_a_sum_so_large(wholes: list[int]) -> None:
    patterns = itertools.product((1, -1), repeat=len(wholes))
    sums = [sum(s * w for s, w in zip(signs, wholes, strict=True)) for signs in patterns]
    assert p_of(wholes) == pytest.approx(sum(each >= sum(wholes) for each in sums) / len(sums), abs=1e-12)


@given(WHOLES, st.data())
def test_a_smaller_number_never_has_a_smaller_p(wholes: list[int], data: st.DataObject) -> None:
    if wholes:
        place = data.draw(st.integers(0, len(wholes) - 1))
        worse = [*wholes[:place], wholes[place] - data.draw(st.integers(1, 3)), *wholes[place + 1 :]]
        assert p_of(worse) >= p_of(wholes) - 1e-12


@given(st.integers(0, 40), st.integers(0, 40))
def test_of_wins_and_losses_it_is_mcnemars_exact_test(wins: int, losses: int) -> None:
    p = p_of([1] * wins + [-1] * losses)
    if wins > losses:
        assert 2 * p == pytest.approx(mcnemar(wins, losses), rel=1e-9)
    else:
        assert p >= 0.5 - 1e-12


def test_a_chance_too_small_for_doubles_is_neither_zero_nor_negative() -> None:
    assert 0 < p_of([1] * 300) < 1e-15
    assert p_of([]) == p_of([0] * 5) == 1.0


# --- looks ------------------------------------------------------------------------------------------------------------


def test_the_bounds_are_those_that_lan_and_demets_published() -> None:
    """Five equally spaced looks, 2.5 % one-sided, the spending function like O'Brien and Fleming's."""
    z = [NORMAL.inv_cdf(1 - p) for p in upper_levels((0.2, 0.4, 0.6, 0.8, 1.0), 0.025)]
    assert z == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=0.001)


@pytest.mark.parametrize("looks", LOOKS)
def test_all_looks_together_spend_alpha_and_giving_up_spends_less(looks: tuple[float, ...]) -> None:
    assert chance_of_passing(looks, 0.025, 0.0, 0.0) == pytest.approx(0.025, abs=1e-6)
    assert chance_of_passing(looks, 0.025, 0.1, 0.0) <= 0.025 + 1e-6


def test_one_look_is_the_ordinary_test_with_the_ordinary_power() -> None:
    assert upper_levels((1.0,), 0.025) == pytest.approx((0.025,), abs=1e-6)
    assert drift((1.0,), 0.025, 0.8, 0.1) == pytest.approx(1.959964 + 0.841621, abs=1e-4)


def test_the_chance_of_crossing_is_that_of_walks_that_were_drawn() -> None:
    looks, uppers, lowers, mean = (0.4, 0.7, 1.0), (2.0, 1.9, 1.8), (-0.2, 0.4), 1.5
    steps = np.diff([0.0, *looks])
    walks = np.cumsum(mean * steps + np.sqrt(steps) * np.random.default_rng(0).normal(size=(200_000, 3)), axis=1)
    alive, drawn = np.ones(len(walks), dtype=bool), []
    for look, upper in enumerate(uppers):
        drawn.append(float((alive & (walks[:, look] > upper)).mean()))
        alive &= walks[:, look] <= upper
        alive &= walks[:, look] >= lowers[look] if look < 2 else True
    assert crossings(looks, uppers, lowers, mean) == pytest.approx(drawn, abs=0.004)


def test_who_is_given_up_would_hardly_pass_and_who_passes_is_never_given_up() -> None:
    for looks in LOOKS:
        lower, upper = futility_levels(looks, 0.025, 0.8, 0.1), upper_levels(looks, 0.025)
        assert all(up < low for low, up in zip(lower, upper, strict=False))
        assert sorted(lower, reverse=True) == list(lower), "more is wanted of it, the more is in"
    assert futility_levels((0.5, 1.0), 0.025, 0.8, 0.0) == (1.0,)


@pytest.mark.parametrize("looks", LOOKS)
def test_the_exact_chance_of_passing_at_any_look_is_alpha_whatever_the_sizes_of_the_differences(
    looks: tuple[float, ...],
) -> None:
    """Signs of fair coins, every sum followed exactly: more looks do not add up to more than alpha."""
    generator = np.random.default_rng(1)
    levels = upper_levels(looks, 0.025)
    for _ in range(15):
        items, share = int(generator.integers(5, 250)), generator.uniform(0.05, 0.9)
        sizes = np.where(generator.random(items) < share, generator.integers(1, 4, size=items), 0)
        assert passing(sizes, [math.ceil(look * items) for look in looks], levels) <= 0.0255


def passing(sizes: np.ndarray, stops: list[int], levels: tuple[float, ...]) -> float:
    """The chance that random signs of these sizes have a p of at most its level at one of the stops, by convolution."""
    alive, whole, before, found = np.ones(1), np.ones(1), 0, 0.0
    for stop, level in zip(stops, levels, strict=True):
        for size in filter(None, sizes[before:stop]):
            alive, whole = (np.pad(d, (0, 2 * size)) / 2 + np.pad(d, (2 * size, 0)) / 2 for d in (alive, whole))
        passes = np.cumsum(whole[::-1])[::-1] <= level + 1e-13
        found += float(alive[passes].sum())
        alive, before = np.where(passes, 0.0, alive), stop
    return found


def test_as_many_items_are_planned_as_the_normal_formula_says_and_a_few_for_the_steps() -> None:
    plain = (1.959964 + 0.841621) ** 2 * 0.2 / 0.04**2
    assert plain < items_needed(0.04, 0.2, drift((1.0,), 0.025, 0.8, 0.0), 0.5) < plain + 2 * 0.5 / 0.04 + 2


# --- bounds that hold whenever one looks ------------------------------------------------------------------------------


@given(st.floats(0.0, 0.5), st.floats(0.0, 0.5), st.integers(1, 4))
def test_under_the_null_what_is_staked_stays_the_same_on_average(wins: float, losses: float, n: int) -> None:
    """The property on which the whole bound rests, summed over all outcomes."""
    chances = {1.0: wins, -1.0: losses, 0.0: 1 - wins - losses}
    mean = wins - losses
    if abs(mean) < 0.99:
        total = sum(
            math.prod(chances[d] for d in outcome) * evidence(np.array(outcome), mean)
            for outcome in itertools.product(chances, repeat=n)
        )
        assert total == pytest.approx(1.0)


@given(SHARES, st.integers(0, 2**31))
def test_neither_order_nor_more_harm_helps(differences: list[float], seed: int) -> None:
    generator = np.random.default_rng(seed)
    found = evidence(np.array(differences), -0.02)
    assert evidence(generator.permutation(differences), -0.02) == pytest.approx(found)
    worse = [d if generator.random() < 0.5 else -1.0 for d in differences]
    assert evidence(np.array(worse), -0.02) <= found * (1 + 1e-9)


@given(SHARES)
def test_both_bounds_enclose_the_mean_and_mirror_each_other(differences: list[float]) -> None:
    array = np.array(differences)
    low, high = always_valid(array, 0.025)
    assert -1.0 <= low <= array.mean() <= high <= 1.0
    assert always_valid(-array, 0.025) == pytest.approx((-high, -low), abs=1e-6)


def test_so_many_questions_without_a_difference_exclude_two_points_and_fewer_do_not() -> None:
    """Where 2 % are lost, 183 in a row without a loss have a chance of 2.5 %; not knowing what comes costs 90 more."""
    assert evidence(np.zeros(275), -0.02) >= 40 > evidence(np.zeros(183), -0.02)


def test_harm_of_exactly_the_margin_is_let_through_less_often_than_alpha_however_often_one_looks() -> None:
    generator, through = np.random.default_rng(2), 0
    for _ in range(400):
        losses = -(generator.random(2400) < 0.02).astype(np.float64)
        through += any(evidence(losses[:size], -0.02) >= 40 for size in (300, 600, 1200, 2400))
    assert through / 400 <= 0.025


# --- the others -------------------------------------------------------------------------------------------------------


def test_the_ratio_of_a_thing_to_itself_is_one_and_covers_what_it_says() -> None:
    generator, covered = np.random.default_rng(3), 0
    values = generator.gamma(4.0, 25.0, size=150)
    assert ratio_interval(values, values, 0.025) == pytest.approx((1.0, 1.0), abs=1e-6)
    for _ in range(1000):
        common = generator.gamma(2.0, 20.0, size=150)
        ones = common + 1.2 * generator.gamma(2.0, 40.0, size=150)
        others = common + generator.gamma(2.0, 40.0, size=150)
        covered += ratio_interval(ones, others, 0.025)[1] >= (40 + 96) / (40 + 80)
    assert 0.955 <= covered / 1000 <= 0.995
    assert ratio_interval(np.ones(1), np.ones(1), 0.025) == (0.0, math.inf)


@settings(max_examples=20)
@given(st.integers(1, 200), st.data())
def test_an_exact_interval_is_clopper_and_pearsons(trials: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, trials))
    low, high = exact_interval(k, trials)
    assert low <= k / trials <= high
    assert exact_interval(trials - k, trials) == pytest.approx((1 - high, 1 - low), abs=1e-8)
    assert exact_interval(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert exact_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
