"""What each attempt of a logged run earned, by verifiers that read the log: it can be rewarded again in another way.

Nothing is sampled here. ``gold`` stands for the checker of the run's task, the same function that evaluation grades
with; the others are the panel's verifiers, whose scores say nothing of a reference. What one did not say is no zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SettingsError
from agent.graph import case_of
from agent.records import Run
from rl.grade import grade
from rl.groups import Rewards
from rl.tasks.task import Task
from verifiers.registry import judge
from verifiers.reward import GOLD, LABEL_FREE, TRAINING, WITH_GOLD, combine, read_rewards
from verifiers.verdict import Verdict, Verifier

SHIPPED = {"with_gold": WITH_GOLD, "label_free": LABEL_FREE}


@dataclass(frozen=True, slots=True)
class Rewarding:
    """Who says what an attempt earned."""

    weights: Mapping[str, float]  # by the verifiers' names, ``gold`` among them
    verifiers: Sequence[Verifier]  # those that have a weight
    task_of: Callable[[str], Task | None]  # the task of an id; None: nobody knows what would be right
    delimiter: str = "\n\n"  # of steps, as the process reward model reads them


def weights_named(spec: str, files: Sequence[str] = ()) -> Mapping[str, float]:
    """``with_gold`` or ``label_free``, as the last of the person's own ``files`` has it, or names: ``gold,format=0.1``.

    A name without a weight weighs 1. Raises ``SettingsError`` and ``RewardsError``.
    """
    if spec in TRAINING:
        tables = {spec: SHIPPED[spec]}
        for file in (each for each in files if each.endswith(".toml")):
            tables |= read_rewards(Path(file))
        return tables[spec]
    parts = [part.partition("=") for part in spec.split(",")]
    try:
        weights = {name.strip(): float(weight if given else 1) for name, given, weight in parts}
    except ValueError:
        weights = {"": math.nan}
    if not all(name and 0 < weight < math.inf for name, weight in weights.items()):
        raise SettingsError(f"{spec!r} is no reward; take {' or '.join(TRAINING)}, or write it like gold=1,format=0.1.")
    return weights


async def rewards_of(run: Run, by: Rewarding) -> Rewards:
    """By the path of each attempt's last node: the weighted mean of what was said of it; None where nothing was."""
    attempts = run.trajectories()
    cases = [case_of(run.question, attempt, by.delimiter) for attempt in attempts]
    verdicts = await judge(by.verifiers, cases)
    graded = await golds(run, by)
    found = {}
    for attempt, said, right in zip(attempts, verdicts or [()] * len(attempts), graded, strict=True):
        found[attempt[-1].path] = combine((*said, *right), by.weights).value
    return found


async def golds(run: Run, by: Rewarding) -> list[tuple[Verdict, ...]]:
    """What the task's checker says of each attempt; nothing where it has no say or there is no task."""
    attempts = run.trajectories()
    task = by.task_of(str(run.metadata["task_id"])) if GOLD in by.weights and "task_id" in run.metadata else None
    if task is None or task.question != run.question:  # its generator has changed since
        return [()] * len(attempts)
    rights = await grade(task, [attempt[-1].text for attempt in attempts])
    return [(Verdict(GOLD, float(right)),) for right in rights]
