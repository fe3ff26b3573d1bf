"""From groups to the next version: what a training by GRPO does after the log is read, and before anybody judges it.

``ponder train grpo`` and ``ponder improve`` call it. What came of each sample is counted: learned from, or why not.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rl.checkpoints import TrainingError
from rl.groups import Found
from rl.grpo import GRPOSettings, compared, fingerprint, step_count, train
from rl.optimise import Progress
from rl.processes import ALONE, Processes
from rl.staleness import Limits, Mismatch, Tell, remembered
from rl.trainee import Trainee


@dataclass(frozen=True, slots=True)
class Taught:
    """What a training learned from."""

    groups: int
    attempts: int
    tokens: int  # sampled ones
    steps: int
    ended: bool  # before its end, because it had gone too far from what drew the samples
    left_out: Counter[str]  # samples that were refused, runs and groups, by reason
    mismatch: Mismatch  # of the model that it began with and the policies that drew the samples
    mixture: Counter[str]  # groups by the policy that drew them
    hash: str  # of what was learned from, in which order

    def said(self) -> list[str]:
        """In words, a line each."""
        return [
            f"{self.groups} groups of {self.attempts} attempts ({self.tokens:,} sampled tokens), {self.steps} steps.",
            *["  It ended early: the policy went too far (--most-drift) from the one it began with."][: self.ended],
            *(f"  left out: {count} times: {why}" for why, count in self.left_out.most_common()),
            f"The model differed from what drew them by {self.mismatch.kl:.2g} nats a token; they count like "
            f"{self.mismatch.ess:.1%} as many of its own.",
        ]


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far a training is."""

    asking: Tell = lambda done, total: None
    training: Callable[[int, Progress], None] = lambda steps, progress: None


def teach(
    trainee: Trainee,
    found: Found,
    how: GRPOSettings,
    folder: Path,
    limits: Limits | None = None,
    watch: Watch | None = None,
    processes: Processes = ALONE,
) -> Taught:
    """Train on the groups, and write the model to ``folder``/model. A second call resumes from its checkpoint.

    Raises ``TrainingError`` where there is nothing to learn from, with the reasons.
    """
    watch = watch or Watch()
    rows, constant = compared(found.groups, how)
    refuse_nothing(len(rows), found.left_out + constant)
    rows, stale, mismatch = remembered(trainee.model, rows, limits or Limits(), watch.asking, processes)
    steps = step_count(rows, how)
    folder.mkdir(parents=True, exist_ok=True)
    taken = train(trainee.model, rows, how, folder, lambda progress: watch.training(steps, progress), processes)
    if processes.first:
        written(trainee, folder / "model")
    members = [member for row in rows for member in row.group.members]
    tokens = sum(member.sampled for member in members)
    mixture = Counter(str(row.group.policy) for row in rows)
    left_out = found.left_out + constant + stale
    return Taught(len(rows), len(members), tokens, taken, taken < steps, left_out, mismatch, mixture, fingerprint(rows))


def written(trainee: Trainee, place: Path) -> None:
    """The model's folder, whole or not at all: a round of a training is over where its folder is there."""
    part = place.with_suffix(".part")
    for old in (part, place):
        shutil.rmtree(old, ignore_errors=True)
    trainee.save(part)
    os.replace(part, place)


def refuse_nothing(rows: int, left_out: Counter[str]) -> None:
    if not rows:
        reasons = "; ".join(f"{count} times: {why}" for why, count in left_out.most_common())
        raise TrainingError(
            f"The log has no group to learn from ({reasons or 'there is no such run'}); ask more questions at effort "
            "high, or collect some with `ponder eval SUITE --split train --effort high`."
        )
