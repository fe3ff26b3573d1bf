"""How much better each attempt was than the others of its group (Shao et al. 2024, DeepSeekMath)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Baseline = Literal["mean", "leave_one_out"]
Scale = Literal["group", "none"]
EPSILON = 1e-4  # added to the spread, as TRL adds it


def advantages(rewards_G: Floats, baseline: Baseline = "mean", scale: Scale = "group") -> Floats:
    """Of each attempt of one group [G], in units of its spread (``scale`` "group") or of the reward ("none").

    ``leave_one_out`` compares with the mean of the others (Kool et al. 2019, Ahmadian et al. 2024), which has no bias
    in groups of any size; ``mean`` includes the attempt itself, which shrinks it by (G - 1) / G. The spread is
    the sample standard deviation. All 0 where the rewards are constant; ``is_constant`` says so beforehand.

    Raises ``ValueError`` for a reward that is not finite, and for a group of fewer than two.
    """
    if len(rewards_G) < 2:
        raise ValueError(f"a group of {len(rewards_G)} has nothing to compare with")
    if not np.isfinite(rewards_G).all():
        raise ValueError("a reward is not a finite number")
    if is_constant(rewards_G):
        return np.zeros(len(rewards_G))
    centred_G = rewards_G - rewards_G.mean()
    if baseline == "leave_one_out":
        centred_G = centred_G * len(rewards_G) / (len(rewards_G) - 1)
    return centred_G / (rewards_G.std(ddof=1) + EPSILON) if scale == "group" else centred_G


def is_constant(rewards_G: Floats) -> bool:
    """Whether it says nothing about which attempt was better."""
    return bool(np.ptp(rewards_G) <= 1e-9 * max(1.0, float(np.abs(rewards_G).max())))
