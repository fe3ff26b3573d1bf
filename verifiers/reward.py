"""From verdicts to one number: the only place where weights live.

``combine`` is a pure function; search, evaluation and training call it with the same weights. What a verifier did not
say is never counted as zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from verifiers.verdict import Verdict

# Serving, where there is no reference. Agreement is the best sign there is. A supported claim beats a slim majority (a
# lead of less than 2 in 7) but not a clear one. Bad form is rare, and costs about as much as one vote in eight.
WITHOUT_GOLD: Mapping[str, float] = {"consensus": 0.7, "grounding": 0.2, "format": 0.1}

# The same where there is a process reward model: it tells apart what agreement cannot, and agreement checks it. Not
# measured yet: as much for the one as for the other.
WITH_STEPS: Mapping[str, float] = {"consensus": 0.4, "process_reward": 0.4, "grounding": 0.1, "format": 0.1}

# Evaluation and training on tasks with a reference: nothing but being right counts. A task whose answers are strings
# where every character matters names "exact" instead of "math".
WITH_GOLD: Mapping[str, float] = {"math": 1.0}


@dataclass(frozen=True, slots=True)
class Reward:
    """One number and where it came from."""

    value: float | None  # in [0, 1]; None: no weighted verifier had anything to say
    made_by: tuple[str, ...] = ()  # the verifiers whose scores are in it, in the order of the weights
    missing: tuple[str, ...] = ()  # the ones that have a weight but gave no score


def combine(verdicts: Iterable[Verdict], weights: Mapping[str, float]) -> Reward:
    """The weighted mean of the scores that are there; the weights of missing ones are shared out among the rest.

    Verdicts that have no weight, or a weight of 0, are left out. Raises ValueError for two verdicts of one verifier and
    for weights that are negative or not finite.
    """
    scores = _scores(verdicts)
    for name, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"the weight of {name!r} is {weight}; weights are finite and not negative")
    counted = {name: weight for name, weight in weights.items() if weight > 0}
    present = {name: score for name in counted if (score := scores.get(name)) is not None}
    missing = tuple(name for name in counted if name not in present)
    if not present:
        return Reward(None, (), missing)
    total = math.fsum(counted[name] for name in present)
    value = math.fsum(counted[name] / total * score for name, score in present.items())
    return Reward(min(1.0, value), tuple(present), missing)


def _scores(verdicts: Iterable[Verdict]) -> dict[str, float | None]:
    scores: dict[str, float | None] = {}
    for verdict in verdicts:
        if verdict.verifier in scores:
            raise ValueError(f"two verdicts come from {verdict.verifier!r}; a reward takes one of each verifier")
        scores[verdict.verifier] = verdict.score
    return scores
