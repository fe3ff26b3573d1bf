"""What every graph node of one run is handed: the collaborators, the run, its meter, and where events go."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass
class RunContext:
    """One run under way."""

    agent: Agent
    run: Run  # as it began, without nodes
    effort: Effort
    prompt_token_ids: Sequence[int]  # of the question, with the thread before it
    meter: Meter
    emit: Callable[[Event], None]
    template_hash: str = ""
    over: set[str] = field(default_factory=set)  # budget limits that some attempt ran into

    def node(self, path: Path) -> Node:
        node = self.agent.store.node(self.run.run_id, path)
        assert node is not None, f"the graph names node {path}, which is not in the log"
        return node

    def leaves(self) -> list[Node]:
        """The last node of every attempt that has one, in order."""
        return [trajectory[-1] for trajectory in self.logged().trajectories()]

    def logged(self) -> Run:
        return self.agent.store.run(self.run.run_id)

    def candidate(self, leaf: Node) -> Candidate:
        answer = final_answer(leaf.text) or leaf.text
        score = combine(leaf.verdicts, self.agent.weights).value
        return Candidate(leaf.path, leaf.ending, canonical(answer, self.run.question) if answer else None, score)


def seed_of(root_seed: int, parent: Path) -> int:
    """The base seed of a node's children: child i is drawn with this + i. No run id and no clock in it."""
    digest = hashlib.sha256(f"{root_seed}/{'.'.join(map(str, parent))}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
