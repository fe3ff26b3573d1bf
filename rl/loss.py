"""The policy loss of GRPO and its relatives, on log-probabilities that somebody else computed.

Three policies take part: the one that samples were drawn from (behaviour, whose log-probabilities the log has), the one
that this step started from (old), and the one that is trained. The ratio to the old one is clipped (Schulman et al.
2017); what lies between the old one and the behaviour is corrected by a truncated weight (Ionides 2008, Yao et al.
2025), never by a silent 1. Everything is float32 in log space; exponents are clamped.

Arrays are [B, T]: trajectories by tokens, right-padded; ``learn`` is True at tokens that the policy sampled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

Variant = Literal["grpo", "dr_grpo", "dapo", "gspo", "rloo"]
MOST = 20.0  # nats: what is clamped to before exp


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Clipping bounds are of the ratio, above and below 1."""

    variant: Variant = "grpo"
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl: float = 0.0  # weight of the divergence from a reference
    truncate: float = 2.0  # the largest weight of a token by which older data is corrected
    max_tokens: int = 1024  # dr_grpo divides by it: the most tokens that a trajectory may sample


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimiser step learns from, of which a micro-batch is a part: the loss is divided by these."""

    trajectories: int
    tokens: int  # sampled, of all of them


@dataclass(frozen=True, slots=True)
class Batch:
    """Constants of the loss, [B, T]."""

    learn: torch.Tensor
    behaviour: torch.Tensor  # log-probabilities under which they were drawn
    old: torch.Tensor | None  # under the policy at the beginning of the step; None: it is the one that is trained
    reference: torch.Tensor | None  # under the one from which the divergence is taken
    advantages: torch.Tensor  # [B, 1] where all tokens of a trajectory have the same


def policy_loss(
    logprobs: torch.Tensor, batch: Batch, step: Step, settings: LossSettings
) -> tuple[torch.Tensor, Mapping[str, float]]:
    """The part of the step's loss that this micro-batch has; its parts add up. And sums for the metrics."""
    now, learn = logprobs.float(), batch.learn
    old = now.detach() if batch.old is None else batch.old
    ratio = importance(now - old, learn, settings.variant)
    clipped = ratio.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    weight = truncated(old - batch.behaviour, settings.truncate)
    losses = -torch.minimum(ratio * batch.advantages, clipped * batch.advantages) * weight
    if batch.reference is not None and settings.kl:
        losses = losses + settings.kl * k3(batch.reference - now)
    share = shares(learn, step, settings)
    loss = torch.where(learn, losses * share, 0.0).sum()
    return loss, sums(ratio.detach(), now.detach() - old, old - batch.behaviour, batch, settings)


def importance(log_ratio: torch.Tensor, learn: torch.Tensor, variant: Variant) -> torch.Tensor:
    """The ratio that is clipped: of a token; for gspo the geometric mean of a sequence's (Zheng et al. 2025), and for
    rloo their product, each the same at every token of it.
    """
    if variant in ("gspo", "rloo"):
        total = torch.where(learn, log_ratio, 0.0).sum(1, keepdim=True)
        log_ratio = total / learn.sum(1, keepdim=True).clamp(min=1) if variant == "gspo" else total
        log_ratio = log_ratio.expand_as(learn)
    return log_ratio.clamp(-MOST, MOST).exp()


def shares(learn: torch.Tensor, step: Step, settings: LossSettings) -> torch.Tensor:
    """What each token counts in the step's mean [B, 1]: every trajectory the same (grpo, gspo, rloo), every token the
    same (dapo, Yu et al. 2025), or every token the same whatever was sampled (dr_grpo, Liu et al. 2025).
    """
    lengths = learn.sum(1, keepdim=True).clamp(min=1)
    if settings.variant == "dapo":
        return torch.full_like(lengths, 1 / max(1, step.tokens), dtype=torch.float32)
    if settings.variant == "dr_grpo":
        return torch.full_like(lengths, 1 / (step.trajectories * settings.max_tokens), dtype=torch.float32)
    return 1 / (lengths * step.trajectories)


def truncated(log_weight: torch.Tensor, most: float) -> torch.Tensor:
    """The weight of a sample of the behaviour policy under the old one, at most ``most``."""
    return log_weight.clamp(-MOST, MOST).exp().clamp(max=most)


def k3(log_ratio: torch.Tensor) -> torch.Tensor:
    """Schulman's third estimate of a divergence (2020), from the log of the reference's ratio: never below 0."""
    log_ratio = log_ratio.clamp(-MOST, MOST)
    return (log_ratio.expm1() - log_ratio).clamp(min=0.0)  # what is below is rounding


@torch.no_grad()
def sums(
    ratio: torch.Tensor, moved: torch.Tensor, staleness: torch.Tensor, batch: Batch, settings: LossSettings
) -> Mapping[str, float]:
    """Over the learned tokens, to be added up over micro-batches and read by ``summary``."""
    weight = truncated(staleness, settings.truncate)
    low = (ratio < 1 - settings.clip_low) & (batch.advantages < 0)
    high = (ratio > 1 + settings.clip_high) & (batch.advantages > 0)
    of = {
        "tokens": torch.ones_like(weight),
        "clipped": (low | high).float(),
        "weight": weight,
        "weight_squared": weight**2,
        "truncated": (weight >= settings.truncate).float(),
        "mismatch_kl": k3(staleness),
        "drift": moved.clamp(-MOST, MOST) ** 2 / 2,  # k2: one token that became much likelier does not make all of it
    }
    return {name: float(torch.where(batch.learn, values, 0.0).sum()) for name, values in of.items()}


def summary(total: Mapping[str, float]) -> dict[str, float]:
    """Means over tokens, and the effective sample size of the weights as a share of the tokens (Kish 1965)."""
    tokens = max(1.0, total["tokens"])
    return {
        "clipped": total["clipped"] / tokens,
        "truncated": total["truncated"] / tokens,
        "mismatch_kl": total["mismatch_kl"] / tokens,
        "drift": total["drift"] / tokens,
        "effective_sample_size": total["weight"] ** 2 / max(1e-12, total["weight_squared"] * tokens),
    }
