"""Groups as rows for other trainers: a trajectory a row, under the names that TRL or verl gives to its parts.

Reward and advantage stand beside the tokens, so that nothing has to be sampled or judged again. Single samples, without
what tools gave in between, are ``agent.export``'s. ``ponder log export`` calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agent.export import write_rows
from agent.rows import path_text
from rl.advantage import advantages
from rl.groups import Group, Member

Names = Literal["trl", "verl"]

# What a trajectory's parts are called in the dict that TRL's ``rollout_func`` returns (1.16) and in verl's
# ``AgentLoopOutput`` (0.9): the tokens after the prompt, which of them the policy sampled, their log-probabilities.
PARTS: dict[Names, tuple[str, str, str]] = {
    "trl": ("completion_ids", "env_mask", "logprobs"),
    "verl": ("response_ids", "response_mask", "response_logprobs"),
}
REWARD: dict[Names, str] = {"trl": "reward", "verl": "reward_score"}


def export_groups(groups: Iterable[Group], path: Path, names: Names = "trl") -> int:
    """Write the members of ``groups`` to ``path``, as Parquet or JSON lines by its ending; returns how many.

    Rows of a group stand together and share ``group``. Raises ``ExportError``.
    """
    return write_rows(path, {name: kind for name, (kind, _) in columns_of(names).items()}, rows(groups, names))


def rows(groups: Iterable[Group], names: Names) -> Iterator[dict[str, Any]]:
    """What ``export_groups`` writes."""
    columns = columns_of(names)
    for each in compared_members(groups):
        yield {name: value(*each) for name, (_, value) in columns.items()}


def compared_members(groups: Iterable[Group]) -> Iterator[tuple[Group, Member, float]]:
    """Each member with its advantage, in units of its group's spread; 0 where the rewards are all the same."""
    for group in groups:
        rewards_G = np.array([member.reward for member in group.members])
        yield from zip([group] * len(rewards_G), group.members, advantages(rewards_G).tolist(), strict=True)


def columns_of(names: Names) -> dict[str, tuple[str, Callable[[Group, Member, float], Any]]]:
    """Of each column: its kind, and its value."""
    completion, mask, logprobs = PARTS[names]
    return {
        "group": ("string", lambda group, member, advantage: group_id(group)),
        "run_id": ("string", lambda group, member, advantage: group.run_id),
        "path": ("string", lambda group, member, advantage: path_text(member.path)),
        "prompt_ids": ("ids", lambda group, member, advantage: member.token_ids[: prompt(member)]),
        completion: ("ids", lambda group, member, advantage: member.token_ids[prompt(member) :]),
        mask: ("mask", lambda group, member, advantage: [int(each) for each in member.learn[prompt(member) :]]),
        logprobs: ("logprobs", lambda group, member, advantage: member.logprobs[prompt(member) :]),
        REWARD[names]: ("double", lambda group, member, advantage: member.reward),
        "advantage": ("double", lambda group, member, advantage: advantage),
        "temperature": ("double", lambda group, member, advantage: group.temperature),
        "reference": ("bool", lambda group, member, advantage: group.reference),
        "model": ("string", lambda group, member, advantage: group.policy.model),
        "adapter": ("string", lambda group, member, advantage: group.policy.adapter),
        "version": ("string", lambda group, member, advantage: group.policy.version),
    }


def group_id(group: Group) -> str:
    """Run and place of its first member: two groups may have been grown from one node."""
    return f"{group.run_id}/{path_text(group.members[0].path)}"


def prompt(member: Member) -> int:
    """How many tokens stand before the first that was sampled."""
    return member.learn.index(True)
