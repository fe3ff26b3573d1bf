"""Whether probabilities mean what they say. Pure functions of arrays, one entry for each judged step; and a plot."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def fit_temperature(margins_S: Floats, labels_S: Floats) -> float:
    """The T that makes sigmoid(margin / T) most likely. The likelihood has one maximum in 1 / T: found by halving."""

    def slope(inverse: float) -> float:
        return float((margins_S * (sigmoid(margins_S * inverse) - labels_S)).sum())

    low, high = 1e-3, 1e3  # of 1 / T
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / math.sqrt(low * high)


def fit_logistic(features_S_F: Floats, labels_S: Floats, ridge: float = 1.0) -> Floats:
    """The weights [F] of a logistic regression, by Newton's method; ``ridge``/2 times their squares is the penalty."""
    weights_F = np.zeros(features_S_F.shape[1])
    for _ in range(50):
        p_S = sigmoid(features_S_F @ weights_F)
        gradient_F = features_S_F.T @ (p_S - labels_S) + ridge * weights_F
        curvature_F_F = (features_S_F.T * (p_S * (1 - p_S))) @ features_S_F + ridge * np.eye(len(weights_F))
        step_F = np.linalg.solve(curvature_F_F, gradient_F)
        weights_F -= step_F
        if np.abs(step_F).max() < 1e-9:
            break
    return weights_F


def sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(x / 2))


def calibration_error(probabilities_S: Floats, labels_S: Floats, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean gap of probability and label, by bins."""
    return sum(abs(p - y) * share for p, y, share in reliability(probabilities_S, labels_S, bins))


def auc(scores_S: Floats, labels_S: NDArray[np.bool_]) -> float:
    """The chance that a right one has a higher score than a wrong one, equals counted half: area under the ROC curve.

    NaN where there are none of either.
    """
    _, places, counts = np.unique(scores_S, return_inverse=True, return_counts=True)
    ranks_S = (np.cumsum(counts) - (counts - 1) / 2)[places]
    right, wrong = int(labels_S.sum()), int((~labels_S).sum())
    return float((ranks_S[labels_S].sum() - right * (right + 1) / 2) / (right * wrong)) if right and wrong else math.nan


def reliability(probabilities_S: Floats, labels_S: Floats, bins: int = 10) -> list[tuple[float, float, float]]:
    """(mean probability, mean label, share of the steps) of each bin that is not empty."""
    places = np.minimum((probabilities_S * bins).astype(int), bins - 1)
    found = (places == b for b in range(bins))
    return [
        (float(probabilities_S[here].mean()), float(labels_S[here].mean()), float(here.mean()))
        for here in found
        if here.any()
    ]


def log_loss(probabilities_S: Floats, labels_S: Floats) -> float:
    """Mean cross entropy in nats."""
    p = np.clip(probabilities_S, 1e-12, 1 - 1e-12)
    return float(-(labels_S * np.log(p) + (1 - labels_S) * np.log(1 - p)).mean())


def reliability_plot(before_S: Floats, after_S: Floats, labels_S: Floats, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 5))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, probabilities_S in (("before", before_S), ("after", after_S)):
        points = reliability(probabilities_S, labels_S)
        error = calibration_error(probabilities_S, labels_S)
        axes.plot([p for p, _, _ in points], [y for _, y, _ in points], marker="o", label=f"{name}: {error:.3f}")
    axes.set(xlabel="probability that the step is right", ylabel="share that is", title="Calibration error")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
