"""Searches over the steps of a thought, led by a process reward model: beams, a Monte Carlo tree, and rollouts.

Everything is worked out from the candidates again each time: their paths are the tree, their scores its values.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from agent.records import Path
from agent.search.attempts import CHOOSE
from agent.search.strategy import By, Candidate, Choice, Count, Grow, NotNegative


@dataclass(frozen=True, slots=True)
class Beam:
    """Keep the ``beams`` best steps, grow each by ``expand`` next steps, and so on (Snell et al. 2024, section 5.2).

    ``diverse`` keeps the best of each of ``beams`` trees that do not compete (DVTS, Beeching et al. 2024).
    """

    needs_step_scores: ClassVar[bool] = True
    beams: Count = 4
    expand: Count = 4
    diverse: bool = False
    rounds: Count = 40  # after so many, what is left is grown to its end
    by: By = "weighted"
    name: str = "beam"

    @property
    def breadth(self) -> int:
        return self.beams * self.expand

    @property
    def stopping_rule(self) -> str:
        kind = "diverse beams" if self.diverse else "beams"
        return f"{kind}={self.beams} expand={self.expand} rounds<={self.rounds}"

    def grow(self, candidates: Sequence[Candidate]) -> list[Grow]:
        if not candidates:
            return [Grow(count=self.beams * self.expand, to="step")]
        depth = depths(candidates)
        latest = max(depth.values())
        frontier = [c for c in candidates if c.open and depth[c.path] == latest]
        kept = self.best_of_each_tree(candidates, frontier) if self.diverse else self.best_of_all(candidates, frontier)
        if latest >= self.rounds:
            return [Grow(c.path) for c in kept]
        return [Grow(c.path, self.expand, "step") for c in kept]

    def best_of_all(self, candidates: Sequence[Candidate], frontier: Sequence[Candidate]) -> list[Candidate]:
        """As many as there are beams without an answer."""
        free = self.beams - sum(not c.open for c in candidates)
        return sorted(frontier, key=value, reverse=True)[: max(0, free)]

    def best_of_each_tree(self, candidates: Sequence[Candidate], frontier: Sequence[Candidate]) -> list[Candidate]:
        """Trees are told apart by the first child of the question, ``expand`` of them a tree."""
        done = {c.path[0] // self.expand for c in candidates if not c.open}
        trees: dict[int, list[Candidate]] = defaultdict(list)
        for c in frontier:
            trees[c.path[0] // self.expand].append(c)
        return [max(trees[tree], key=value) for tree in sorted(trees) if tree not in done]

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return CHOOSE[self.by](candidates)


@dataclass(frozen=True, slots=True)
class TreeSearch:
    """Monte Carlo tree search with the reward model as value, instead of rollouts (Kocsis and Szepesvári 2006: UCT).

    Each simulation descends to the most promising node that has fewer than ``width`` children, and grows one more.
    ``wave`` of them are made at once; one that is under way counts as a visit of value 0.
    """

    needs_step_scores: ClassVar[bool] = True
    simulations: Count = 48
    width: Count = 3
    wave: Count = 4
    exploration: NotNegative = 0.5
    by: By = "weighted"
    name: str = "tree_search"

    @property
    def breadth(self) -> int:
        return self.simulations

    @property
    def stopping_rule(self) -> str:
        return f"simulations={self.simulations} width={self.width} exploration={self.exploration}"

    def grow(self, candidates: Sequence[Candidate]) -> list[Grow]:
        left = self.simulations - len(candidates)
        if left <= 0:
            return [] if any(not c.open for c in candidates) else [Grow(max(candidates, key=value).path)]
        tree = Visits(candidates)
        picked = (tree.pick(self.width, self.exploration) for _ in range(min(left, self.wave)))
        return [Grow(parent, 1, "step") for parent in picked if parent is not None]

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return CHOOSE[self.by](candidates)


class Visits:
    """How often each node was visited, and with what value: a node's own visit, and all of those below it."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.open = {(): True} | {c.path: c.open for c in candidates}
        self.children: dict[Path, list[Path]] = defaultdict(list)
        self.visits: dict[Path, int] = defaultdict(int)
        self.values: dict[Path, float] = defaultdict(float)
        self.growing: dict[Path, int] = defaultdict(int)  # children under way
        for c in candidates:
            self.children[c.start[:-1]].append(c.path)
            self.visit(c.path, value(c))

    def visit(self, path: Path, worth: float) -> None:
        """Count it for the node at ``path`` and for those above it."""
        for depth in range(len(path) + 1):
            if path[:depth] in self.open:
                self.visits[path[:depth]] += 1
                self.values[path[:depth]] += worth

    def pick(self, width: int, exploration: float) -> Path | None:
        """The node to grow next, which then counts as visited; None where every branch has come to its end."""
        path: Path = ()
        while len(self.children[path]) + self.growing[path] >= width:
            below = [child for child in self.children[path] if self.can_grow(child, width)]
            if not below:
                return None
            total = math.log(max(1, self.visits[path]))
            path = max(
                below,
                key=lambda c: self.values[c] / self.visits[c] + exploration * math.sqrt(total / self.visits[c]),
            )
        self.growing[path] += 1
        self.visit(path, 0.0)
        return path

    def can_grow(self, path: Path, width: int) -> bool:
        if not self.open[path]:
            return False
        full = len(self.children[path]) + self.growing[path] >= width
        return not full or any(self.can_grow(child, width) for child in self.children[path])


@dataclass(frozen=True, slots=True)
class Rollouts:
    """``n`` attempts step by step, and ``continuations`` of each of their steps to the end (Wang et al. 2024).

    The share of continuations of a step that end right is how good the step is: what a process reward model learns.
    """

    n: Count = 1
    continuations: Annotated[int, Field(ge=0, le=10_000)] = 4
    rounds: Count = 40
    name: str = "rollouts"

    @property
    def breadth(self) -> int:
        return self.n * self.continuations * 8  # of an attempt of eight steps

    @property
    def stopping_rule(self) -> str:
        return f"fixed n={self.n} continuations={self.continuations}"

    def grow(self, candidates: Sequence[Candidate]) -> list[Grow]:
        if not candidates:
            return [Grow(count=self.n, to="step")]
        grown = {c.start[:-1] for c in candidates}
        depth = depths(candidates)
        frontier = [c for c in candidates if c.open and c.path not in grown and depth[c.path] <= self.rounds]
        on = [Grow(c.path, 1, "step") for c in frontier]
        return on + [Grow(c.path, self.continuations) for c in frontier]

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        return CHOOSE["majority"](candidates)


def value(candidate: Candidate) -> float:
    return 0.0 if candidate.score is None else candidate.score


def depths(candidates: Sequence[Candidate]) -> dict[Path, int]:
    """For each candidate, how many growths lie between the question and it, its own counted."""
    depth: dict[Path, int] = {(): 0}
    for c in sorted(candidates, key=lambda c: len(c.path)):
        depth[c.path] = depth[c.start[:-1]] + 1
    del depth[()]
    return depth
