"""Groups as a log has them, drawn from nothing but a seed: uneven, with tools' tokens between samples, some alike."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from agent.records import PolicyVersion
from rl.groups import Group, Member
from rl.grpo import Compared, scored

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def drawn_groups(model: PreTrainedModel, temperature: float, tools: bool = True, seed: int = 0) -> list[Group]:
    """Three groups of four, 3 to 30 tokens after prompts of 5 to 9; log-probabilities are ``model``'s."""
    draw = random.Random(seed)
    groups = []
    for number in range(3):
        prompt = tuple(draw.randrange(500) for _ in range(draw.randint(5, 9)))
        made = [drawn_member(draw, prompt, i, tools) for i in range(4)]
        groups.append(Group(f"r{number}", (), PolicyVersion("m"), temperature, number, tuple(made), True))
    with torch.no_grad():
        found = iter(scored(model, [Compared(group, (), (), ()) for group in groups]).logprobs.tolist())
    return [
        replace(group, members=tuple(replace(m, logprobs=tuple(next(found)[: len(m.learn)])) for m in group.members))
        for group in groups
    ]


def drawn_member(draw: random.Random, prompt: tuple[int, ...], path: int, tools: bool) -> Member:
    parts = [draw.randint(3, 10) for _ in range(draw.choice((1, 3)) if tools else 1)]
    learn = [False] * len(prompt) + [i % 2 == 0 for i, size in enumerate(parts) for _ in range(size)]
    token_ids = (*prompt, *(draw.randrange(2 if i < 2 else 500) for i in range(sum(parts))))
    return Member((path,), token_ids, tuple(learn), (0.0,) * len(learn), draw.random())
