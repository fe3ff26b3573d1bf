"""How likely a leader goes on leading."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.search.posterior import leader_stays


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_leader_stays_with_the_mass_of_the_beta_posterior_above_one_half(first: int, second: int) -> None:
    p = np.linspace(0, 1, 20_001)
    density = p**first * (1 - p) ** second
    mass = np.trapezoid(density[10_000:], p[10_000:]) / np.trapezoid(density, p)
    assert leader_stays(first, second) == pytest.approx(mass, abs=1e-6)


@given(st.integers(0, 40), st.integers(0, 40))
def test_one_more_vote_makes_the_leader_surer_and_one_against_it_less(first: int, second: int) -> None:
    assert leader_stays(first, second + 1) < leader_stays(first, second) < leader_stays(first + 1, second)
    assert leader_stays(first, second) + leader_stays(second, first) == pytest.approx(1)


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_with_so_many_votes_left_it_is_the_share_of_beta_binomial_draws(first: int, second: int, left: int) -> None:
    draw = random.Random(first * 81 + second * 9 + left)
    led = 0.0
    for _ in range(4000):
        share = draw.betavariate(first + 1, second + 1)
        more = sum(draw.random() < share for _ in range(left))
        led += (first + more > second + left - more) + 0.5 * (first + more == second + left - more)
    assert leader_stays(first, second, left) == pytest.approx(led / 4000, abs=0.05)


def test_with_no_vote_left_the_leader_leads_or_does_not() -> None:
    assert leader_stays(3, 2, 0) == 1
    assert leader_stays(2, 2, 0) == 0.5  # the model may be surer of either
    assert leader_stays(1, 2, 0) == 0


def test_the_more_votes_are_left_the_less_a_lead_is_worth() -> None:
    even = [leader_stays(4, 1, left) for left in range(1, 40, 2)]
    assert all(sooner >= later for sooner, later in pairwise(even))
    assert leader_stays(4, 1, 2001) == pytest.approx(leader_stays(4, 1), abs=1e-3)
