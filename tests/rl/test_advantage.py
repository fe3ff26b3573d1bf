"""Advantages of a group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.advantage import advantages, is_constant, step_advantages

rewards = st.lists(st.floats(-100, 100), min_size=2, max_size=16).map(np.array)


@given(rewards, st.sampled_from(["mean", "leave_one_out"]), st.sampled_from(["group", "none"]))
def test_they_sum_to_nothing_and_keep_the_order(rewards_G: np.ndarray, baseline: str, scale: str) -> None:
    found = advantages(rewards_G, baseline, scale)  # type: ignore[arg-type]
    assert abs(found.sum()) <= 1e-6 * max(1.0, np.abs(found).max()) * len(found)
    if not is_constant(rewards_G):
        order = np.argsort(rewards_G, kind="stable")
        assert (np.diff(found[order]) >= -1e-12).all()


def test_one_right_of_four_stands_out() -> None:
    right = np.array([1.0, 0.0, 0.0, 0.0])
    assert advantages(right, "mean", "none").tolist() == [0.75, -0.25, -0.25, -0.25]
    assert advantages(right, "leave_one_out", "none") == pytest.approx([1.0, -1 / 3, -1 / 3, -1 / 3])
    assert advantages(right)[0] == pytest.approx(0.75 / (0.5 + 1e-4))


@given(rewards, st.floats(0.1, 10), st.floats(-10, 10))
def test_another_unit_or_zero_of_the_reward_changes_no_scaled_advantage(
    rewards_G: np.ndarray, unit: float, zero: float
) -> None:
    if np.ptp(rewards_G) > 1:
        moved = advantages(unit * rewards_G + zero)
        assert moved == pytest.approx(advantages(rewards_G), rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("rewards_G", [[0.3, 0.3, 0.3], [0.1 + 0.2, 0.3]])
def test_constant_rewards_say_nothing(rewards_G: list[float]) -> None:
    assert is_constant(np.array(rewards_G))
    assert advantages(np.array(rewards_G)).tolist() == [0.0] * len(rewards_G)


@pytest.mark.parametrize(("rewards_G", "why"), [([1.0], "nothing to compare"), ([1.0, np.nan], "not a finite")])
def test_what_cannot_be_compared_is_refused(rewards_G: list[float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        advantages(np.array(rewards_G))


scores = st.lists(st.lists(st.floats(0, 1), max_size=5), min_size=2, max_size=5)


@given(scores)
def test_a_step_has_what_it_and_all_later_ones_earned_above_the_mean_step(members: list[list[float]]) -> None:
    found = step_advantages([np.array(own) for own in members], "none")
    mean = float(np.mean([each for own in members for each in own])) if any(members) else 0.0
    for own, of_steps in zip(members, found, strict=True):
        np.testing.assert_allclose(of_steps, [sum(own[i:]) - mean * len(own[i:]) for i in range(len(own))], atol=1e-8)


def test_steps_are_measured_in_the_spread_of_the_groups_steps() -> None:
    one, other = step_advantages([np.array([1.0, 0.0]), np.array([1.0])])
    spread = np.std([1.0, 0.0, 1.0], ddof=1) + 1e-4
    np.testing.assert_allclose(one, [(1 / 3 - 2 / 3) / spread, -2 / 3 / spread])
    np.testing.assert_allclose(other, [1 / 3 / spread])
