"""From verdicts to one number: the weights are those of ``reward.toml``, or of a file of a person's own.

``combine`` is a pure function; search, evaluation and training call it with the same weights. What a verifier did not
say is never counted as zero.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifiers.verdict import Verdict, VerifierError

SERVING, TRAINING = ("without_gold", "with_steps", "with_outcome"), ("with_gold", "label_free")
TABLES = (*SERVING, *TRAINING)
GOLD = "gold"  # whether the task's own checker finds it right: no verifier, since only a training knows the task
Weights = Mapping[str, float]  # by the names of verifiers


class RewardsError(VerifierError):
    """A file of weights cannot be used. The message names the file and the key."""


def read_rewards(file: Path) -> dict[str, Weights]:
    """The tables of a file of weights, by their names; it need not have all. Raises ``RewardsError``."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RewardsError(f"{file} cannot be read ({error.strerror}); name a file of weights in `rewards`.") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise RewardsError(f"{file} is not valid TOML: {error}.") from error
    return {name: _table(file, name, table) for name, table in tables.items()}


def _table(file: Path, name: str, table: Any) -> Weights:
    if name not in TABLES or not isinstance(table, dict):
        raise RewardsError(f"{file}: '{name}' is no table of weights; write one of [{'], ['.join(TABLES)}].")
    for verifier, weight in table.items():
        if type(weight) not in (int, float) or not (math.isfinite(weight) and weight >= 0):
            raise RewardsError(f"{file}: '{name}.{verifier}' is {weight!r}; a weight is a number that is not negative.")
    if not any(table.values()):
        raise RewardsError(f"{file}: '{name}' has no weight above 0; give a verifier one, or remove the table.")
    return table


SHIPPED = read_rewards(Path(__file__).with_suffix(".toml"))
WITHOUT_GOLD, WITH_STEPS, WITH_OUTCOME, WITH_GOLD, LABEL_FREE = (SHIPPED[name] for name in TABLES)


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
