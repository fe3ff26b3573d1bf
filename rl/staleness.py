"""How far the policy that a training begins with is from the one that drew the samples, and what to do about it.

The log may be older than the model, and a server's arithmetic is not this process's: the ratio of the two policies is
measured on every token, never taken to be 1. What is too far away is dropped, group by group; where too little is left
of what was drawn (the effective sample size, Kish 1965), the training does not begin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from rl.checkpoints import TrainingError
from rl.grpo import Compared, Floats, packed, scored
from rl.loss import MOST, k3
from rl.processes import ALONE, Processes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Tell = Callable[[int, int], None]  # how many groups are done, of how many


@dataclass(frozen=True, slots=True)
class Limits:
    """How far is too far."""

    mismatch: float = 0.1  # nats a token, on average over a group, by Schulman's k3: beyond it a group is dropped
    least_ess: float = 0.5  # of the tokens that are left: below it there is no training
    micro_tokens: int = 8_000


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Of all sampled tokens that are kept."""

    kl: float  # mean k3 of the model against the samples' policy, nats a token
    ess: float  # effective sample size as a share of the tokens
    largest: float  # of the absolute differences of log-probabilities, nats


@torch.no_grad()
def under(
    model: PreTrainedModel, rows: Sequence[Compared], micro_tokens: int, tell: Tell, processes: Processes = ALONE
) -> list[tuple[Floats, ...]]:
    """Log-probabilities of every row's members under ``model``, [T] each, 0 where nothing was sampled.

    Each process asks for its share, and all have the same in the end.
    """
    done, found = 0, []
    for part in processes.share(packed(rows, micro_tokens)):
        found.append(of_part(model, part))
        done += len(part)
        tell(min(done * processes.count, len(rows)), len(rows))
    return [row for part in processes.gathered(found) for row in part]


def of_part(model: PreTrainedModel, part: Sequence[Compared]) -> list[tuple[Floats, ...]]:
    now_B_T = scored(model, part).logprobs.float().cpu().numpy()
    found, at = list[tuple[Floats, ...]](), 0
    for row in part:
        members = row.group.members
        found.append(tuple(now_B_T[at + i, : len(m.token_ids)].copy() for i, m in enumerate(members)))
        at += len(members)
    return found


def remembered(
    model: PreTrainedModel,
    rows: Sequence[Compared],
    limits: Limits,
    tell: Tell = lambda done, total: None,
    processes: Processes = ALONE,
) -> tuple[list[Compared], Counter[str], Mismatch]:
    """The rows with their log-probabilities under ``model``, without those too far from it; how many those are.

    The model is the reference of the divergence, too. Raises ``TrainingError`` where too little is left.
    """
    kept, dropped = [], Counter[str]()
    for row, old in zip(rows, under(model, rows, limits.micro_tokens, tell, processes), strict=True):
        if mismatch([replace(row, old=old)]).kl > limits.mismatch:
            dropped["it was drawn by a policy too different from this one"] += 1
        else:
            kept.append(replace(row, old=old, reference=old))
    if not kept:
        sentence = f"None of {len(rows)} groups was drawn by a policy like this one; name the model that drew them."
        raise TrainingError(sentence)
    found = mismatch(kept)
    if found.ess < limits.least_ess:
        raise TrainingError(
            f"The samples count like {found.ess:.0%} as many of this model's own, less than {limits.least_ess:.0%}: "
            "train the model that drew them, or take newer runs (--since)."
        )
    return kept, dropped, found


def mismatch(rows: Sequence[Compared]) -> Mismatch:
    """Raises ``ValueError`` where nothing was sampled."""
    members = [(member, old) for row in rows for member, old in zip(row.group.members, row.old, strict=True)]
    log_ratio = np.concatenate([(old - np.array(m.logprobs))[np.array(m.learn)] for m, old in members]).astype(float)
    weights = np.exp(np.clip(log_ratio, -MOST, MOST))
    return Mismatch(
        float(k3(torch.from_numpy(log_ratio)).mean()),
        float(weights.sum() ** 2 / (len(weights) * (weights**2).sum())),
        float(np.abs(log_ratio).max()),
    )
