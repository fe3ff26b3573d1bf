"""A logged run, sampled again: the same prompts, seeds and stop points, compared token by token. No tool is called.

A token that differs where the logged draw lay within 1e-5 of a boundary is a rounding difference, and listed; any other
is an error. Every sample is drawn from its own logged prompt, so a difference in one says nothing of the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from agent.errors import PonderError
from agent.policy.policy import Policy
from agent.policy.sampling import Draw
from agent.records import Node, Path, Run, Sample

ROUNDING = 1e-5  # probability mass


class ReplayError(PonderError):
    """The run cannot be replayed with this model."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A token that came out differently."""

    path: Path
    index: int  # of the token in its sample
    logged: int
    sampled: int
    boundary_distance: float | None  # None: this model cannot say how near the draw was
    rounding: bool


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
        if not self.differences:
            return "identical"
        return "; ".join(
            f"node {'.'.join(map(str, d.path))} token {d.index}: {d.logged} became {d.sampled} "
            + (f"(rounding: the draw lay {d.boundary_distance:.1e} from a boundary)" if d.rounding else "(DIFFERENT)")
            for d in self.differences
        )


@runtime_checkable
class Explains(Protocol):
    """A policy that can say how a logged token was drawn."""

    async def draw_at(self, sample: Sample, index: int) -> Draw: ...


async def replay(policy: Policy, run: Run) -> Replay:
    """Sample every node of ``run`` again.

    Raises:
        ReplayError: the run was made by other weights.
    """
    if run.policy != policy.version:
        raise ReplayError(f"Run {run.run_id} was made by {run.policy}, and this is {policy.version}; name that model.")
    differences: list[Difference] = []
    for node in run.nodes:
        differences += await replayed(policy, node)
    return Replay(run.run_id, len(run.nodes), sum(len(node.sample.token_ids) for node in run.nodes), tuple(differences))


async def replayed(policy: Policy, node: Node) -> list[Difference]:
    """The first difference of one sample, or none: what comes after it hangs on it."""
    logged = node.sample
    if not logged.token_ids:
        return []
    stopped = logged.finish_reason in ("cancelled", "error")  # it ended from outside, after the tokens it has
    params = replace(logged.params, max_tokens=len(logged.token_ids)) if stopped else logged.params
    [again] = await policy.sample(logged.prompt_token_ids, params)
    if again.token_ids == logged.token_ids:
        return []
    pairs = zip(logged.token_ids, again.token_ids, strict=False)
    shorter = min(len(logged.token_ids), len(again.token_ids))
    index = next((i for i, (old, new) in enumerate(pairs) if old != new), shorter)
    if index == shorter:  # one of them goes on where the other ends: the end of the sample was moved, not rounded
        return [Difference(node.path, index, -1, -1, None, rounding=False)]
    distance = (await policy.draw_at(logged, index)).boundary_distance if isinstance(policy, Explains) else None
    rounding = distance is not None and distance <= ROUNDING
    return [Difference(node.path, index, logged.token_ids[index], again.token_ids[index], distance, rounding)]
