"""The records: what was sampled, how it grew into a tree, what was chosen. Plain frozen values; nothing here does I/O.

Search grows these, verifiers score them, ``store`` keeps them, GRPO trains on them. The JSON that commands and doors
show uses these same names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tools.tool import ToolResult
from verifiers.verdict import Verdict

Path = tuple[int, ...]
"""A node's place in its run's tree: the root is (), its third child (2,), that one's first child (2, 0)."""


class Ending(StrEnum):
    """Why a node stopped being sampled."""

    TOOL_CALL = "tool_call"  # it called one or more tools; its results follow
    ANSWER = "answer"  # it gave its answer
    STEP = "step"  # a search looks here before it goes on: the end of a step of a thought, or of the thought
    EMPTY = "empty"  # neither an answer nor a call
    UNCLOSED_THOUGHT = "unclosed_thought"  # <think> was never closed
    BAD_CALL = "bad_call"  # a <tool_call> that does not parse
    BUDGET = "budget"  # its token limit ended it
    CANCELLED = "cancelled"  # somebody stopped it: the person, or a search that no longer needed it
    ERROR = "error"  # the policy failed; the node holds what had arrived
    HANDED_OVER = "handed_over"  # it called a tool of the caller's, who makes the call and asks again with its result


ANSWERED = frozenset({Ending.ANSWER, Ending.HANDED_OVER})  # nothing is missing: whoever asked goes on


FORM = "form"  # the bridge of a node that writes a chosen answer once more, as the caller wants it: no attempt's part


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """Which weights answered."""

    model: str  # the name or path of the base model
    adapter: str | None = None  # the LoRA on top of it, where there is one
    version: str = "base"  # the registry's version id, or a hash of the weights

    def __str__(self) -> str:
        return f"{self.model}{f'+{self.adapter}' if self.adapter else ''}@{self.version}"


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to draw. The distribution that is sampled from is the one whose log-probabilities are recorded."""

    temperature: float = 1.0  # 0 is greedy
    top_p: float = 1.0  # nucleus mass; 1 is off
    top_k: int = 0  # 0 is off
    max_tokens: int = 1024  # most tokens one sample may have
    seed: int = 0  # choice i of n is drawn with seed + i, so it does not depend on n
    stop_token_ids: tuple[int, ...] = ()  # sampling ends after one of these; it is kept as the last token
    json_schema: str = ""  # what is sampled is JSON of that schema; "": whatever comes


@dataclass(frozen=True, slots=True)
class Sample:
    """One call of the model: exactly which tokens, from which distribution."""

    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]  # as sampled, the ending stop token included
    logprobs: tuple[float, ...]  # natural log, one per sampled token, under the distribution actually sampled from
    finish_reason: str  # "stop" | "length" | "cancelled" | "error"
    policy: PolicyVersion
    params: SamplingParams  # `seed` is this sample's own: base + index
    first_token_seconds: float = 0.0  # from the request to the first token
    total_seconds: float = 0.0  # from the request to the last token
    cached_prompt_tokens: int = 0  # how many prompt tokens the server did not compute again
    template_hash: str = ""  # of the chat template and the tool schemas the prompt was rendered with
    not_trainable: str | None = None  # why no gradient may come from it; None where it may

    def __post_init__(self) -> None:
        if len(self.logprobs) != len(self.token_ids) and self.not_trainable is None:
            raise ValueError(f"{len(self.token_ids)} tokens but {len(self.logprobs)} log-probabilities")


@dataclass(frozen=True, slots=True)
class Node:
    """A segment of sampled tokens, how it ended, and what followed it. (run, path) is unique."""

    path: Path
    sample: Sample
    ending: Ending
    thought: str = ""  # text inside <think>
    text: str = ""  # text outside thought and calls: the answer, where it is one
    calls: tuple[Mapping[str, Any], ...] = ()  # {"name", "arguments"} in order
    tool_results: tuple[ToolResult, ...] = ()  # in the order of `calls`
    verdicts: tuple[Verdict, ...] = ()
    note: str = ""  # what was done before it: a repair, a compaction; of an error, why
    bridge: str = ""  # what a search put between its parent and it, by name: a critique, a longer thought

    @property
    def parent(self) -> Path:
        return self.path[:-1]

    @property
    def said(self) -> str:
        """What it came to, as text: the answer, or the calls that the caller is to make."""
        return json.dumps(self.calls) if self.ending is Ending.HANDED_OVER else self.text


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run cost, everything counted: losers, cancelled ones, repairs."""

    prompt_tokens: int = 0  # tokens in prompts, each call counted whole
    cached_prompt_tokens: int = 0  # of those, the ones that were not computed again
    sampled_tokens: int = 0
    thought_tokens: int = 0  # of those, the ones inside a thought
    verifier_tokens: int = 0  # read or written by model-based verifiers
    model_calls: int = 0
    tool_calls: int = 0
    seconds: float = 0.0  # wall time of the run
    cost: float = 0.0  # money, at the budget's prices

    @property
    def total_tokens(self) -> int:
        return self.sampled_tokens + self.verifier_tokens


@dataclass(frozen=True, slots=True)
class Supplied:
    """What a caller brings along who keeps the conversation itself, as clients of OpenAI's API do."""

    messages: tuple[Mapping[str, Any], ...] = ()  # the whole conversation, in OpenAI's form; (): the thread in the log
    tools: tuple[Mapping[str, Any], ...] = ()  # function schemas of tools that the caller has
    json_schema: str = ""  # that the answer is written by, once it is chosen; "": it stays as it is
    calls: bool = False  # what is written by it is a call of one of the tools
    one_call: bool = False  # of several calls of a step, the caller makes the first alone


@dataclass(frozen=True, slots=True)
class Run:
    """One question: the tree that grew, the leaf that was chosen, the answer."""

    run_id: str
    question: str
    thread_id: str
    effort: str  # low | medium | high | ...
    strategy: str  # the search strategy's name
    settings: Mapping[str, Any]  # what the strategy, the budget and sampling were set to
    stopping_rule: str  # when growing stops, in words that name the parameters: "fixed n=8", "posterior>=0.95"
    root_seed: int
    policy: PolicyVersion
    started_at: str  # ISO 8601, UTC
    status: str = "running"  # running | finished | failed | cancelled
    nodes: tuple[Node, ...] = ()
    chosen: Path | None = None  # the leaf whose answer was given
    answer: str | None = None
    verdicts: tuple[Verdict, ...] = ()  # of the chosen answer
    usage: Usage = field(default_factory=Usage)
    error: str | None = None  # one sentence, where the run ended without an answer or short of its plan
    reference: bool = False  # drawn with fixed N and nothing cancelled: the unbiased one in ten
    metadata: Mapping[str, Any] = field(default_factory=dict)  # task id, tags, consent
    supplied: Supplied = field(default_factory=Supplied)

    def node(self, path: Path) -> Node | None:
        return next((node for node in self.nodes if node.path == path), None)

    def trajectory(self, leaf: Path) -> tuple[Node, ...]:
        """The nodes from the first step to ``leaf``, in order."""
        by_path = {node.path: node for node in self.nodes}
        return tuple(by_path[leaf[:depth]] for depth in range(1, len(leaf) + 1))

    def trajectories(self) -> list[tuple[Node, ...]]:
        """All root-to-leaf paths, by path order."""
        nodes = sorted((node for node in self.nodes if node.bridge != FORM), key=lambda node: node.path)
        inner = {node.parent for node in nodes}
        return [self.trajectory(node.path) for node in nodes if node.path not in inner]

    @property
    def form(self) -> Node | None:
        """The node in which the chosen answer was written as the caller wants it."""
        return next((node for node in self.nodes if node.bridge == FORM and node.parent == self.chosen), None)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said of a run."""

    run_id: str
    value: float | None = None  # -1 .. 1
    comment: str = ""
    preferred: Path | None = None  # a candidate that was better than the chosen one
    created_at: str = ""  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word on one call."""

    approved: bool
    comment: str = ""  # for the model, where the call is not to be made
    content: Mapping[str, Any] = field(default_factory=dict)  # what was filled in, where there is a form; never logged


def group_key(node: Node) -> tuple[object, ...]:
    """Samples with equal keys are independent draws from one distribution: they may form a group."""
    sample = node.sample
    drawn = sample.params
    return (
        sample.prompt_token_ids,
        sample.policy,
        sample.template_hash,
        (drawn.temperature, drawn.top_p, drawn.top_k, drawn.max_tokens, drawn.stop_token_ids),
    )


def usage_of(nodes: Sequence[Node], seconds: float = 0.0, *, thought_tokens: int = 0) -> Usage:
    """Add up what the nodes of a run cost; how much of it was thought is for the model's renderer to say."""
    return Usage(
        prompt_tokens=sum(len(node.sample.prompt_token_ids) for node in nodes),
        cached_prompt_tokens=sum(node.sample.cached_prompt_tokens for node in nodes),
        sampled_tokens=sum(len(node.sample.token_ids) for node in nodes),
        thought_tokens=thought_tokens,
        verifier_tokens=sum(verdict.tokens for node in nodes for verdict in node.verdicts),
        model_calls=len(nodes),
        tool_calls=sum(len(node.tool_results) for node in nodes),
        seconds=seconds,
    )
