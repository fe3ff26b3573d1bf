"""What every graph node of one run is handed: the collaborators, the run's tree, its meter, and where events go."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from agent.budget import Meter
from agent.effort import Effort
from agent.events import Event
from agent.policy.policy import Policy
from agent.records import Node, Path, Run
from agent.search import Candidate
from agent.store import Store
from tools.toolbox import Toolbox
from verifiers.answers import canonical, final_answer
from verifiers.reward import combine
from verifiers.verdict import Verifier


@dataclass(frozen=True)
class Agent:
    """Who answers: a model, its tools, what judges it, and where it is logged. Made by ``assemble``."""

    policy: Policy
    toolbox: Toolbox
    verifiers: Sequence[Verifier]
    weights: Mapping[str, float]  # of the verifiers, by name
    store: Store
    checkpointer: BaseCheckpointSaver | None  # None: runs cannot be resumed (evaluation)
    system_prompt: str


@dataclass(frozen=True, slots=True)
class Opening:
    """What every attempt of a run begins with."""

    prompt_token_ids: Sequence[int]  # of the question, with the thread before it
    template_hash: str  # of the chat template and the tool schemas
    note: str = ""  # what was left out of the thread


@dataclass(frozen=True)
class RunContext:
    """One run under way, driven by this process alone: its tree in memory is what the log holds."""

    agent: Agent
    run: Run  # as it began, without nodes
    effort: Effort
    opening: Opening
    meter: Meter
    emit: Callable[[Event], None]
    tree: dict[Path, Node]  # what has been logged; grows by ``add`` and ``update`` only
    interrupted: Collection[tuple[Path, int]] = ()  # calls (node, index) that a killed process had begun
    # Set when the run itself is cancelled: only then is a sample that stops half way the last word of its attempt.
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, node: Node) -> Node:
        """Log a node that was sampled; returns the one that stands in the log."""
        self.tree[node.path] = self.agent.store.add_node(self.run.run_id, node)
        return self.tree[node.path]

    def update(self, node: Node, **changes: Any) -> Node:
        """Log what followed a node: ``tool_results``, ``verdicts``."""
        self.agent.store.update_node(self.run.run_id, node.path, **changes)
        self.tree[node.path] = replace(node, **changes)
        return self.tree[node.path]

    def attempts(self, candidates: Collection[int]) -> list[tuple[Node, ...]]:
        """The trajectories of these candidates, in order; one whose first step failed has none.

        Others may be in the log: a killed process leaves attempts that are not finished.
        """
        return [found for found in self.logged().trajectories() if found[0].path[0] in candidates]

    def logged(self) -> Run:
        """The run with its tree as it stands."""
        return replace(self.run, nodes=tuple(self.tree[path] for path in sorted(self.tree)))

    def candidate(self, leaf: Node) -> Candidate:
        return candidate_of(leaf, self.run.question, self.agent.weights)


def candidate_of(leaf: Node, question: str, weights: Mapping[str, float]) -> Candidate:
    """A finished attempt as a strategy sees it; ``weights`` are the verifiers', by name."""
    answer = final_answer(leaf.text) or leaf.text
    score = combine(leaf.verdicts, weights).value
    return Candidate(leaf.path, leaf.ending, canonical(answer, question) if answer else None, score)


def seed_of(root_seed: int, parent: Path) -> int:
    """The base seed of a node's children: child i is drawn with this + i. No run id and no clock in it."""
    digest = hashlib.sha256(f"{root_seed}/{'.'.join(map(str, parent))}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
