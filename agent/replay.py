"""A logged run, sampled again: the same prompts, seeds and stop points, compared token by token. No tool is called.

A token that differs where the logged draw lay within 1e-5 of a boundary is a rounding difference, and listed; any other
is an error. What stands after a difference is compared with what is drawn after the logged tokens, so that one
difference does not hide the next. Every sample is drawn from its own logged prompt.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Protocol, runtime_checkable

from agent.policy.policy import Policy
from agent.policy.sampling import Draw
from agent.records import Node, Path, Run, Sample

ROUNDING = 1e-5  # probability mass
SHOWN = 5  # differences that the sentence names
END = -1  # in the place of a token: the sample had ended


@dataclass(frozen=True, slots=True)
class Difference:
    """A token that came out differently."""

    path: Path
    index: int  # of the token in its sample
    logged: int
    sampled: int
    boundary_distance: float | None  # None: this model cannot say how near the draw was
    rounding: bool = False  # whether that is near enough to explain it

    @property
    def sentence(self) -> str:
        why = f"rounding: the draw lay {self.boundary_distance:.1e} from a boundary" if self.rounding else "DIFFERENT"
        place = f"node {'.'.join(map(str, self.path))} token {self.index}"
        return f"{place}: {self.logged} became {self.sampled} ({why})"


@dataclass(frozen=True, slots=True)
class Replay:
    run_id: str
    samples: int
    tokens: int
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Nothing but rounding differs."""
        return all(difference.rounding for difference in self.differences)

    @property
    def sentence(self) -> str:
        told = [difference.sentence for difference in self.differences[:SHOWN]]
        more = len(self.differences) - len(told)
        return "; ".join([*told, *([f"and {more} more"] if more else [])]) or "identical"


@runtime_checkable
class Explains(Protocol):
    """A policy that can say how near each draw of a logged sample came to falling otherwise."""

    async def draws(self, sample: Sample) -> list[Draw]:
        """How each token is drawn again after the logged ones before it."""
        ...


async def replay(policy: Policy, run: Run) -> Replay:
    """Sample every node of ``run`` again.

    Raises:
        OtherVersion: the run was made by other weights.
    """
    policy = policy.at(run.policy)
    nodes = [node for node in run.nodes if node.sample.token_ids]
    differences = await asyncio.gather(*(replayed(policy, node) for node in nodes))
    tokens = sum(len(node.sample.token_ids) for node in nodes)
    return Replay(run.run_id, len(nodes), tokens, tuple(d for of_node in differences for d in of_node))


async def replayed(policy: Policy, node: Node) -> list[Difference]:
    """Where the tokens of one node come out differently."""
    logged = node.sample
    stopped = logged.finish_reason in ("cancelled", "error")  # it ended from outside, after the tokens it has
    params = replace(logged.params, max_tokens=len(logged.token_ids)) if stopped else logged.params
    [again] = await policy.sample(logged.prompt_token_ids, params)
    pairs = enumerate(zip_longest(logged.token_ids, again.token_ids, fillvalue=END))
    first = next(((i, old, new) for i, (old, new) in pairs if old != new), None)
    if first is None:
        return []
    index, old, new = first
    if END in (old, new) or not isinstance(policy, Explains):
        return [Difference(node.path, index, old, new, None)]
    draws = await policy.draws(logged)
    sampled = [new, *(draw.token for draw in draws[index + 1 :])]
    after = zip(logged.token_ids[index:], sampled, draws[index:], strict=True)
    return [
        Difference(node.path, i, old, new, draw.boundary_distance, draw.boundary_distance <= ROUNDING)
        for i, (old, new, draw) in enumerate(after, index)
        if old != new
    ]
