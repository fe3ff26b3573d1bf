"""Group relative policy optimisation on groups that are in the log (Shao et al. 2024): nothing is sampled for it.

A step takes some groups, cuts them into parts of so many tokens of their tree (``trie``), and adds up the parts'
gradients. Three policies are told apart (``loss``): the samples' own, whose log-probabilities the log has, the one that
the training begins with, which ``staleness`` asks for its log-probabilities once, and the one that is trained.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from rl.advantage import Baseline, Scale, advantages, step_advantages
from rl.groups import Group, Member
from rl.loss import Batch, LossSettings, Step, policy_loss, summary
from rl.optimise import Course, Learned, Progress, Schedule, adamw, follow, places, scheduled
from rl.processes import ALONE, Processes
from rl.tasks.task import digest
from rl.trie import build, logprobs, parts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class GRPOSettings:
    """How to train."""

    loss: LossSettings = field(default_factory=LossSettings)
    baseline: Baseline = "mean"
    scale: Scale = "group"
    step_weight: float = 0.0  # of the advantages of steps, beside that of the outcome
    batch: int = 16  # groups a step
    epochs: float = 1.0
    micro_tokens: int = 4_000  # most tokens of a tree that goes through the model at once; one group may have more
    learning_rate: float = 2e-5  # of AdamW, at its peak
    schedule: Schedule = "trapezoid"
    warmup: int = 5
    decay: float = 0.3  # of a trapezoid: the share of the steps, at the end, over which the rate falls to 0
    weight_decay: float = 0.0
    most_drift: float | None = None  # nats a token from where it began, beyond which the training ends; None: never
    seed: int = 0
    checkpoint_every: int = 20
    gradient_checkpointing: bool = False  # layers are computed a second time instead of kept: less memory, more time


@dataclass(frozen=True, slots=True)
class Compared:
    """A group, and how much better each of its members was than the others.

    Arrays are [T] of each member. Log-probabilities are 0 where nothing was sampled; both are the samples' own until
    ``staleness.remembered`` has asked a model for them.
    """

    group: Group
    advantages: tuple[Floats, ...]
    old: tuple[Floats, ...]  # under the policy that the training begins with
    reference: tuple[Floats, ...]  # under the policy from which the divergence is taken


def compared(groups: Sequence[Group], settings: GRPOSettings) -> tuple[list[Compared], Counter[str]]:
    """Those that say something, and how many do not."""
    found, dropped = [], Counter[str]()
    for group in groups:
        if settings.step_weight and not all(member.steps for member in group.members):
            dropped["its steps were not judged"] += 1
            continue
        better = advantages_of(group, settings)
        if not any(map(np.any, better)):
            dropped["its rewards are all the same"] += 1
            continue
        own = tuple(np.array(member.logprobs, np.float32) for member in group.members)
        found.append(Compared(group, better, own, own))
    return found, dropped


def advantages_of(group: Group, settings: GRPOSettings) -> tuple[Floats, ...]:
    """Of each member's tokens [T]: the outcome's, the same at all of them, and what the steps from there on add."""
    rewards_G = np.array([member.reward for member in group.members])
    outcome_G = advantages(rewards_G, settings.baseline, settings.scale)
    found = [np.full(len(m.token_ids), better) for m, better in zip(group.members, outcome_G, strict=True)]
    if settings.step_weight:
        steps = step_advantages([np.array([r for _, r in m.steps]) for m in group.members], settings.scale)
        for all_T, member, own_S in zip(found, group.members, steps, strict=True):
            all_T += settings.step_weight * over_tokens(member, own_S)
    return tuple(each.astype(np.float32) for each in found)


def over_tokens(member: Member, values_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each token has the value of the step that it is in [T]; 0 after the last one."""
    ends_S = [end for end, _ in member.steps]
    return np.append(values_S, 0.0)[np.searchsorted(ends_S, np.arange(len(member.token_ids)))]


def train(
    model: PreTrainedModel,
    rows: Sequence[Compared],
    settings: GRPOSettings,
    folder: Path,
    report: Callable[[Progress], None],
    processes: Processes = ALONE,
) -> int:
    """Train those of the model's weights that want gradients, in place, see ``optimise.follow``; the steps taken.

    Raises ``TrainingError``.
    """
    steps = step_count(rows, settings)
    shape = asdict(settings) | {"rows": fingerprint(rows)}
    del shape["checkpoint_every"], shape["micro_tokens"], shape["gradient_checkpointing"]
    if settings.gradient_checkpointing:
        checkpointed(model)
    course = Course(
        steps,
        batch=lambda step: [rows[place] for place in places(step, settings.batch, len(rows), settings.seed)],
        learn=lambda batch: accumulate(model, batch, settings, processes),
        rates=lambda step: [rate_at(step, steps, settings)],
        shape=lambda step, then: shape,
        enough=lambda metrics: settings.most_drift is not None and metrics["drift"] > settings.most_drift,
        checkpoint_every=settings.checkpoint_every,
        keeps=processes.first,
    )
    return follow(model, [adamw(model.parameters(), settings.weight_decay)], course, folder, report)


def rate_at(step: int, steps: int, settings: GRPOSettings) -> float:
    return settings.learning_rate * scheduled(settings.schedule, step, steps, settings.warmup, settings.decay)


def checkpointed(model: PreTrainedModel) -> None:
    """While it trains, each layer keeps what it was given and no more (Chen et al. 2016); Transformers' own."""
    model.gradient_checkpointing_enable({"use_reentrant": False})  # the other kind wants inputs with gradients


def step_count(rows: Sequence[Compared], settings: GRPOSettings) -> int:
    return max(1, math.ceil(settings.epochs * len(rows) / settings.batch))


def fingerprint(rows: Sequence[Compared]) -> str:
    """Of what is learned from: a training that is resumed must go on with the same."""
    said = [(row.group.run_id, row.group.parent, [m.path for m in row.group.members]) for row in rows]
    better = hashlib.sha256(b"".join(each.tobytes() for row in rows for each in row.advantages))
    return f"{digest(repr([said, better.hexdigest()])):016x}"


def packed(rows: Sequence[Compared], most: int) -> list[list[Compared]]:
    """Parts whose trees have at most so many tokens, or are of one group."""
    return parts(rows, lambda row: [member.token_ids for member in row.group.members], most)


def accumulate(
    model: PreTrainedModel, batch: Sequence[Compared], settings: GRPOSettings, processes: Processes = ALONE
) -> Learned:
    """Add the gradient of the step's loss; each process works on some of its parts."""
    members = [member for row in batch for member in row.group.members]
    step = Step(len(members), sum(member.sampled for member in members))
    sums = Counter[str]()
    for part in processes.share(packed(batch, settings.micro_tokens)):
        loss, seen, found = part_loss(model, part, step, settings.loss)
        loss.backward()
        sums.update({**found, "loss": loss.item(), "seen": seen})
    total = processes.add_up(model, sums)
    return Learned(total["loss"], round(total["seen"]), summary(total))


@dataclass(frozen=True, slots=True)
class Scored:
    """Log-probabilities of a part's trajectories under one policy, each at its group's temperature."""

    learn: torch.Tensor  # [B, T], what was sampled
    logprobs: torch.Tensor  # [B, T], natural log; 0 where nothing was sampled
    tokens: int  # of the tree


def scored(model: PreTrainedModel, part: Sequence[Compared]) -> Scored:
    """The part through ``model``, as one tree."""
    members = [member for row in part for member in row.group.members]
    trie = build([member.token_ids for member in members])
    learn = padded([member.learn for member in members], False, model.device)
    place_B_T = padded(trie.places, 0, model.device)
    wanted_W, index = place_B_T[learn].unique(return_inverse=True)
    temperatures = [row.group.temperature for row in part for _ in row.group.members]
    of_place = torch.ones(len(trie), device=model.device)
    of_place[place_B_T[learn]] = torch.tensor(temperatures, device=model.device)[:, None].expand_as(place_B_T)[learn]
    found_W = logprobs(model, trie, wanted_W, of_place[wanted_W])
    now = torch.zeros(learn.shape, device=model.device).masked_scatter(learn, found_W[index])
    return Scored(learn, now, len(trie))


def part_loss(
    model: PreTrainedModel, part: Sequence[Compared], step: Step, settings: LossSettings
) -> tuple[torch.Tensor, int, dict[str, float]]:
    """The loss of a part of a step, the tokens of its tree, and sums for the metrics."""
    now = scored(model, part)
    behaviour = padded([member.logprobs for row in part for member in row.group.members], 0.0, model.device)
    old = padded([each for row in part for each in row.old], 0.0, model.device)
    reference = padded([each for row in part for each in row.reference], 0.0, model.device)
    better = padded([each for row in part for each in row.advantages], 0.0, model.device)
    loss, sums = policy_loss(now.logprobs, Batch(now.learn, behaviour, old, reference, better), step, settings)
    return loss, now.tokens, dict(sums)


def padded(rows: Sequence[Sequence[float] | Floats], fill: float, device: torch.device) -> torch.Tensor:
    """[B, T], filled up on the right."""
    return torch.nn.utils.rnn.pad_sequence([torch.as_tensor(row) for row in rows], True, fill).to(device)
