"""When auto effort may stop, for one model: fitted on pools of attempts whose answers can be checked.

On one half of the questions, a logistic regression learns how likely the leading answer is right from what auto sees
after each wave, and from an attempt that does not think. On the other half, a level is ``taken``. ``ponder calibrate``
calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.effort import EFFORTS, chosen_by
from agent.search.attempts import Single
from agent.search.auto import SIGNS, Auto, probability_right, signs
from agent.search.strategy import Candidate
from rl.calibration import Floats, calibration_error, fit_logistic, sigmoid
from rl.pools import Pool, Way, chosen, seen
from rl.results import Outcome, Paired, compare, mean
from rl.tasks.task import digest

SHARE = 0.5  # of high effort's tokens, that auto may take
LOSS = 0.01  # of high effort's accuracy, that it may lose for that
LEVELS = tuple(i / 20 for i in range(10, 20)) + tuple(i / 1000 for i in range(955, 1000, 5)) + (0.999,)


@dataclass(frozen=True, slots=True)
class Level:
    """What auto would have given, stopping at this probability of being right."""

    enough: float
    quick: bool  # whether an attempt without a thought comes first
    accuracy: float
    tokens: float  # a question
    against_high: Paired


@dataclass(frozen=True, slots=True)
class Fit:
    weights: tuple[float, ...]  # of ``auto.signs``
    quick_weights: tuple[float, ...]  # the same for an attempt that does not think
    levels: tuple[Level, ...]
    best: Level
    high: float  # accuracy of high effort on the same questions
    error: float  # expected calibration error of the probabilities, on the half that was not learned from


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: a pool of attempts, and one of a single attempt that did not think."""

    pool: Pool
    quick: Pool


async def fit(asked: Sequence[Asked], weights: Mapping[str, float]) -> Fit:
    """Raises ``ValueError`` where either half would be empty, or a pool is smaller than auto wants."""
    learned, judged = ([each for each in asked if second_half(each.pool) == second] for second in (False, True))
    if not (learned and judged):
        raise ValueError("too few questions to learn from some and choose on others")
    own = await learn([each.pool for each in learned], weights)
    quick = await learn([each.quick for each in learned], weights)
    high = Way("high", chosen_by(EFFORTS["high"], weights).strategy, weights)
    wanted = [await chosen(high, each.pool) for each in judged]
    levels = [
        await level(replace(auto_of(weights), weights=own, quick_weights=first, enough=enough), judged, wanted, weights)
        for first in ((), quick)
        for enough in LEVELS
    ]
    features_S_F, labels_S = await states([each.pool for each in judged], weights)
    error = calibration_error(sigmoid(features_S_F @ np.array(own)), labels_S)
    return Fit(own, quick, tuple(levels), taken(levels), mean([each.right for each in wanted]), error)


def taken(levels: Sequence[Level]) -> Level:
    """The most careful one within ``SHARE``; where that loses more than ``LOSS``, and not by chance, the cheapest that
    does not.

    The cheapest of many that lose little by chance would be the luckiest: carefulness has no luck.
    """
    within = [each for each in levels if each.against_high.token_ratio <= SHARE]
    careful = max(
        within, key=lambda each: (each.enough, -each.tokens), default=min(levels, key=lambda each: each.tokens)
    )
    lost = careful.against_high
    if lost.difference >= -LOSS or lost.interval[1] >= 0:
        return careful
    dearer = [each for each in levels if each.enough >= careful.enough and each.against_high.difference >= -LOSS]
    return min(dearer, key=lambda each: each.tokens, default=max(levels, key=lambda each: each.enough))


async def learn(pools: Sequence[Pool], weights: Mapping[str, float]) -> tuple[float, ...]:
    """Of a logistic regression on what auto sees; nothing is certain where no attempt came to an answer."""
    features_S_F, labels_S = await states(pools, weights)
    return tuple(map(float, fit_logistic(features_S_F, labels_S)))


def auto_of(weights: Mapping[str, float]) -> Auto:
    strategy = chosen_by(EFFORTS["auto"], weights).strategy
    assert isinstance(strategy, Auto)
    return strategy


def second_half(pool: Pool) -> bool:
    """By the hash of its text: the same questions, whatever else is in the suite, and equal ones on one side."""
    return digest(f"thresholds/{pool.task.question}") % 2 == 1


async def states(pools: Sequence[Pool], weights: Mapping[str, float]) -> tuple[Floats, Floats]:
    """What auto sees after each wave of each pool [S, F], and whether the answer that leads there is right [S]."""
    features, labels = [], []
    for pool in pools:
        for made in wave_ends(auto_of(weights), len(pool.attempts)):
            candidates = await seen(pool, made, weights)
            if any(c.answered for c in candidates):
                features.append(signs(candidates))
                labels.append(float(leader_right(auto_of(weights), pool, candidates)))
    return np.array(features).reshape(-1, SIGNS), np.array(labels)


def wave_ends(auto: Auto, most: int) -> list[int]:
    """After how many attempts auto looks."""
    made = [1]
    while (following := made[-1] + min(auto.wave, made[-1])) <= min(most, auto.n):
        made.append(following)
    return made


def leader_right(auto: Auto, pool: Pool, candidates: Sequence[Candidate]) -> bool:
    path = auto.choose(candidates).path
    return next(pool.right[i] for i, candidate in enumerate(candidates) if candidate.path == path)


async def level(auto: Auto, asked: Sequence[Asked], high: Sequence[Outcome], weights: Mapping[str, float]) -> Level:
    outcomes = [await answered(auto, each, weights) for each in asked]
    accuracy, tokens = mean([each.right for each in outcomes]), mean([each.tokens for each in outcomes])
    return Level(auto.enough, bool(auto.quick_weights), accuracy, tokens, compare(outcomes, high))


async def answered(auto: Auto, asked: Asked, weights: Mapping[str, float]) -> Outcome:
    """What auto would have given: its attempts at thinking are those of the pool."""
    thinking = Way("auto", replace(auto, quick_weights=()), weights)
    if not auto.quick_weights:
        return await chosen(thinking, asked.pool)
    first = await chosen(Way("quick", Single(), weights), asked.quick)
    if probability_right(await seen(asked.quick, 1, weights), auto.quick_weights) >= auto.enough:
        return first
    then = await chosen(thinking, asked.pool)
    return replace(then, tokens=first.tokens + then.tokens, seconds=first.seconds + then.seconds)
