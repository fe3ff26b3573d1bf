"""When auto effort may stop, for one model: fitted on pools of attempts whose answers can be checked.

On one half of the questions, a logistic regression learns how likely the leading answer is right from what auto sees
after each wave. On the other half, the lowest probability to stop at is taken that loses no more than ``LOSS`` against
high effort. ``ponder calibrate`` calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.effort import EFFORTS
from agent.search.auto import Auto, signs
from agent.search.strategy import Candidate
from rl.calibration import Floats, calibration_error, fit_logistic, sigmoid
from rl.pools import Pool, Way, chosen, seen
from rl.results import Outcome, Paired, compare, mean
from rl.tasks.task import digest

LOSS = (
    0.003  # of the share of right answers, that a level may lose against high effort on the questions it is chosen on
)
LEVELS = (*np.arange(0.5, 0.95, 0.05), *np.arange(0.95, 0.999, 0.005), 0.999)


@dataclass(frozen=True, slots=True)
class Level:
    """What auto would have given, stopping at this probability of being right."""

    enough: float
    accuracy: float
    tokens: float  # a question
    against_high: Paired


@dataclass(frozen=True, slots=True)
class Fit:
    weights: tuple[float, ...]  # of ``auto.signs``
    levels: tuple[Level, ...]
    best: Level
    high: float  # accuracy of high effort on the same questions
    error: float  # expected calibration error of the probabilities, on the half that was not learned from


async def fit(pools: Sequence[Pool], weights: Mapping[str, float]) -> Fit:
    """Raises ``ValueError`` where either half would be empty, or a pool is smaller than auto wants."""
    learned, judged = ([p for p in pools if second_half(p) == second] for second in (False, True))
    if not (learned and judged):
        raise ValueError("too few questions to learn from some and choose on others")
    features_S_F, labels_S = await states(learned, weights)
    auto = replace(auto_of(), weights=tuple(map(float, fit_logistic(features_S_F, labels_S))))
    high = Way("high", EFFORTS["high"].strategy, weights)
    wanted = [await chosen(high, pool) for pool in judged]
    levels = [await level(replace(auto, enough=float(enough)), judged, wanted, weights) for enough in LEVELS]
    good = [each for each in levels if each.against_high.difference >= -LOSS] or levels[-1:]
    features_S_F, labels_S = await states(judged, weights)
    error = calibration_error(sigmoid(features_S_F @ np.array(auto.weights)), labels_S)
    best = min(good, key=lambda each: each.tokens)
    return Fit(tuple(auto.weights), tuple(levels), best, mean([each.right for each in wanted]), error)


def auto_of() -> Auto:
    strategy = EFFORTS["auto"].strategy
    assert isinstance(strategy, Auto)
    return strategy


def second_half(pool: Pool) -> bool:
    """By the hash of the task: the same questions, whatever else is in the suite."""
    return digest(f"thresholds/{pool.task.task_id}") % 2 == 1


async def states(pools: Sequence[Pool], weights: Mapping[str, float]) -> tuple[Floats, Floats]:
    """What auto sees after each wave of each pool [S, F], and whether the answer that leads there is right [S]."""
    features, labels = [], []
    for pool in pools:
        for made in wave_ends(len(pool.attempts)):
            candidates = await seen(pool, made, weights)
            if any(c.answered for c in candidates):
                features.append(signs(candidates))
                labels.append(float(leader_right(pool, candidates)))
    return np.array(features), np.array(labels)


def wave_ends(most: int) -> list[int]:
    """After how many attempts auto looks."""
    auto, made = replace(auto_of(), level=2.0), [1]
    while (following := made[-1] + min(auto.wave, made[-1])) <= min(most, auto.n):
        made.append(following)
    return made


def leader_right(pool: Pool, candidates: Sequence[Candidate]) -> bool:
    path = auto_of().choose(candidates).path
    return next(pool.right[i] for i, candidate in enumerate(candidates) if candidate.path == path)


async def level(auto: Auto, pools: Sequence[Pool], high: Sequence[Outcome], weights: Mapping[str, float]) -> Level:
    outcomes = [await chosen(Way("auto", auto, weights), pool) for pool in pools]
    accuracy, tokens = mean([each.right for each in outcomes]), mean([each.tokens for each in outcomes])
    return Level(auto.enough, accuracy, tokens, compare(outcomes, high))
