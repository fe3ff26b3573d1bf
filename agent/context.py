"""What every graph node of one run is handed: the collaborators, the run's tree, its meter, and where events go."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from agent.budget import Meter
from agent.effort import Effort
from agent.events import Event
from agent.policy.policy import Policy
from agent.records import Node, Path, Run
from agent.search.strategy import Candidate
from agent.state import Ended
from agent.store import Store
from agent.system_prompt import SystemPrompt
from agent.thresholds import ByVersion
from tools.tool import ToolResult
from tools.toolbox import Toolbox
from verifiers.answers import canonical, final_answer
from verifiers.reward import combine
from verifiers.verdict import Verifier

if TYPE_CHECKING:
    from agent.approval import Approver


@dataclass(frozen=True)
class Agent:
    """Who answers: a model, its tools, what judges it, and where it is logged. Made by ``assemble``."""

    policy: Policy
    toolbox: Toolbox
    verifiers: Sequence[Verifier]
    weights: Mapping[str, float]  # of the verifiers, by name
    store: Store
    checkpointer: BaseCheckpointSaver | None  # None: runs cannot be resumed (evaluation)
    system_prompt: SystemPrompt
    step_delimiter: str = "\n\n"  # what ends a step inside a thought, for searches and verifiers over steps
    thresholds: ByVersion = field(default_factory=dict)  # when auto effort stops
    summaries: bool = False  # whether the beginning of a thread that is too long is summed up; otherwise it is left out
    panel: str = ""  # who judges, by what weights and with which models, in words: it tells runs apart


@dataclass(slots=True)
class Wave:
    """What is growing side by side now, for a strategy that can tell that the rest no longer matters."""

    under_way: int = 0
    arrived: list[Candidate] = field(default_factory=list)
    settled: bool = False  # then what is under way is cancelled, and keeps that mark

    def begin(self, count: int) -> None:
        self.under_way, self.settled = count, False

    def arrive(self, candidate: Candidate | None, strategy: Any) -> None:
        self.under_way -= 1
        self.arrived += [candidate] if candidate else []
        tells = getattr(strategy, "settled", None)
        self.settled = self.settled or (tells is not None and bool(tells(self.arrived, self.under_way)))


@dataclass(frozen=True, slots=True)
class Opening:
    """What every attempt of a run begins with."""

    prompt_token_ids: Sequence[int]  # of the question, with the thread before it
    template_hash: str  # of the chat template and the tool schemas
    note: str = ""  # what is not there of the thread as it was said
    kept: int = 0  # of the thread's turns, newest first
    left_out: int = 0  # of its turns; a summary of earlier ones is one


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
    read: frozenset[str] = frozenset()  # MCP servers whose words its thread has read before
    made: dict[str, asyncio.Future[ToolResult]] = field(
        default_factory=dict
    )  # calls with effects, by what they are: ``react``
    approver: Approver | None = None  # who is asked before a call that needs it; None: there is nobody
    wave: Wave = field(default_factory=Wave)
    # Set when the run itself is cancelled: only then is a sample that stops half way the last word of its attempt.
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)  # set when this process ends its part of it

    def add(self, node: Node) -> Node:
        """Log a node that was sampled; returns the one that stands in the log."""
        self.tree[node.path] = self.agent.store.add_node(self.run.run_id, node)
        return self.tree[node.path]

    def update(self, node: Node, **changes: Any) -> Node:
        """Log what followed a node: ``tool_results``, ``verdicts``."""
        self.agent.store.update_node(self.run.run_id, node.path, **changes)
        self.tree[node.path] = replace(node, **changes)
        return self.tree[node.path]

    def trajectory(self, leaf: Path) -> tuple[Node, ...]:
        """The nodes from the first step to ``leaf``, in order."""
        return tuple(self.tree[leaf[:depth]] for depth in range(1, len(leaf) + 1))

    def candidates(self, ended: Sequence[Ended]) -> list[Candidate]:
        """Of growths that have ended, in the order of their paths; one whose first step failed has none.

        Others may be in the log: a killed process leaves attempts that are not finished.
        """
        found = [self.candidate(tuple(each["end"]), len(each["start"])) for each in ended if each["end"]]
        return sorted(found, key=lambda candidate: candidate.path)

    def logged(self) -> Run:
        """The run with its tree as it stands."""
        return replace(self.run, nodes=tuple(self.tree[path] for path in sorted(self.tree)))

    def candidate(self, leaf: Path, first: int = 1) -> Candidate:
        return candidate_of(self.trajectory(leaf), self.run.question, self.agent.weights, first)


def candidate_of(trajectory: Sequence[Node], question: str, weights: Mapping[str, float], first: int = 1) -> Candidate:
    """The end of a growth as a strategy sees it; its first node is the ``first`` of the trajectory."""
    leaf = trajectory[-1]
    answer = final_answer(leaf.said) or leaf.said
    score = combine(leaf.verdicts, weights).value
    logprobs = [logprob for node in trajectory for logprob in node.sample.logprobs]
    return Candidate(
        leaf.path,
        leaf.ending,
        (canonical(answer, question) or None) if answer else None,
        score,
        math.fsum(logprobs) / len(logprobs) if logprobs else 0.0,
        leaf.path[:first],
        trajectory[first - 1].bridge,
    )


def seed_of(root_seed: int, parent: Path) -> int:
    """The base seed of a node's children: child i is drawn with this + i. No run id and no clock in it."""
    digest = hashlib.sha256(f"{root_seed}/{'.'.join(map(str, parent))}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
