"""Whether probabilities mean what they say."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.calibration import (
    auc,
    calibration_error,
    fit_logistic,
    fit_temperature,
    log_loss,
    reliability,
    reliability_plot,
    sigmoid,
)


def drawn(margins: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels that are right as often as sigmoid(margin) says."""
    return (np.random.default_rng(seed).random(len(margins)) < sigmoid(margins)).astype(float)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_made_the_margins_too_large_or_small_is_found(temperature: float) -> None:
    honest = np.random.default_rng(1).normal(0, 2, 40_000)
    assert fit_temperature(honest * temperature, drawn(honest)) == pytest.approx(temperature, rel=0.05)


def test_the_fitted_temperature_is_the_likeliest() -> None:
    margins = np.random.default_rng(2).normal(0, 3, 2000)
    labels = drawn(margins / 2)
    fitted = fit_temperature(margins, labels)
    losses = [log_loss(sigmoid(margins / t), labels) for t in (fitted * 0.9, fitted, fitted * 1.1)]
    assert losses[1] < losses[0]
    assert losses[1] < losses[2]


def test_honest_probabilities_have_no_calibration_error_and_boasting_ones_do() -> None:
    margins = np.random.default_rng(3).normal(0, 2, 40_000)
    labels = drawn(margins)
    assert calibration_error(sigmoid(margins), labels) < 0.01
    assert calibration_error(sigmoid(margins * 5), labels) > 0.1


def test_a_constant_guess_is_off_by_its_distance_from_the_share() -> None:
    assert calibration_error(np.full(10, 0.9), np.array([1.0] * 6 + [0.0] * 4)) == pytest.approx(0.3)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=50), st.integers(1, 20))
def test_every_step_is_in_one_bin(steps: list[tuple[float, float]], bins: int) -> None:
    probabilities, labels = (np.array(column) for column in zip(*steps, strict=True))
    found = reliability(probabilities, labels, bins)
    assert sum(share for _, _, share in found) == pytest.approx(1)
    assert sum(p * share for p, _, share in found) == pytest.approx(probabilities.mean())
    assert sum(y * share for _, y, share in found) == pytest.approx(labels.mean())


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    margins = np.random.default_rng(4).normal(0, 2, 100)
    reliability_plot(sigmoid(margins), sigmoid(margins / 2), drawn(margins), tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_a_logistic_regression_finds_the_weights_that_made_the_labels() -> None:
    features = np.column_stack([np.ones(40_000), np.random.default_rng(2).normal(0, 1, (40_000, 2))])
    weights = np.array([0.5, -2.0, 1.0])
    found = fit_logistic(features, drawn(features @ weights))
    assert found == pytest.approx(weights, abs=0.1)


def test_a_logistic_regression_of_what_is_certain_stays_finite() -> None:
    features = np.array([[1.0, x] for x in (-2.0, -1.0, 1.0, 2.0)])
    assert np.isfinite(fit_logistic(features, np.array([0.0, 0.0, 1.0, 1.0]))).all()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_the_area_is_the_chance_that_a_right_one_is_above_a_wrong_one(drawn: list[tuple[int, bool]]) -> None:
    right, wrong = ([score for score, label in drawn if label == which] for which in (True, False))
    pairs = [(r > w) + 0.5 * (r == w) for r in right for w in wrong]
    found = auc(np.array([score for score, _ in drawn], float), np.array([label for _, label in drawn]))
    assert np.isnan(found) if not pairs else found == pytest.approx(sum(pairs) / len(pairs))
