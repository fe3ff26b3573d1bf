"""How much better each attempt was than the others of its group (Shao et al. 2024, DeepSeekMath)."""

from __future__ import annotations

from collections.abc import Sequence
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


def step_advantages(rewards: Sequence[Floats], scale: Scale = "group") -> list[Floats]:
    """Of each step of each member: what it and all steps after it earned above the mean step of the group.

    Process supervision as in DeepSeekMath (Shao et al. 2024, section 4.1.3). ``rewards`` are [S] of each member, in
    order; all 0 where no step differs.
    """
    all_S = np.concatenate(rewards)
    if not len(all_S) or is_constant(all_S):
        return [np.zeros(len(own_S)) for own_S in rewards]
    spread = all_S.std(ddof=1) + EPSILON if scale == "group" else 1.0
    return [((own_S - all_S.mean()) / spread)[::-1].cumsum()[::-1] for own_S in rewards]


def is_constant(rewards_G: Floats) -> bool:
    """Whether it says nothing about which attempt was better."""
    return bool(np.ptp(rewards_G) <= 1e-9 * max(1.0, float(np.abs(rewards_G).max())))
