"""Records and events as the REST door shows them: plain JSON under the records' own names, without tokens. Pure."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal, Union, get_type_hints

from pydantic import create_model
from pydantic_core import to_jsonable_python

from agent import events
from agent.doors.forms import Told, told_of
from agent.events import Event
from agent.records import Node, Path, Run
from agent.search.strategy import OPEN
from verifiers.verdict import Verdict

NAMES: dict[type[Any], str] = {
    events.RunStarted: "run.started",
    events.ThreadSummarised: "thread.summarised",
    events.ThoughtDelta: "thought.delta",
    events.AnswerDelta: "answer.delta",
    events.ApprovalNeeded: "approval.needed",
    events.ApprovalGiven: "approval.given",
    events.ToolStarted: "tool.started",
    events.ToolFinished: "tool.finished",
    events.PassagesFound: "passages.found",
    events.Repaired: "step.repaired",
    events.Retrying: "step.retrying",
    events.CandidateFinished: "candidate.finished",
    events.Scored: "candidate.scored",
    events.Selected: "candidate.selected",
    events.Finished: "run.finished",
}
LATER = {"run.finished": ("run.interrupted",)}  # what it is called where the server was ended in the middle

Status = Literal["running", "interrupted", "finished", "failed", "cancelled"]


class RunObject(told_of(Run, "nodes", "supplied")):
    """A question, how it was gone about, and what came of it."""

    object: Literal["run"]
    status: Status  # interrupted: the server was ended in the middle of it


class Drawn(Told):
    """How much was sampled for a node, and how."""

    prompt_tokens: int
    sampled_tokens: int
    cached_prompt_tokens: int
    mean_logprob: float | None
    finish_reason: str
    seed: int
    temperature: float
    first_token_seconds: float
    total_seconds: float
    not_trainable: str | None


class NodeObject(told_of(Node, "sample")):
    """A step of an attempt."""

    sample: Drawn


class Candidate(Told):
    """An attempt that came to an end."""

    path: Path
    chosen: bool
    ending: str
    answer: str
    thought: str
    steps: int
    tool_calls: int
    sampled_tokens: int
    verdicts: list[Verdict]


def happening_of(event: type, *names: str) -> type[Told]:
    """The form in which an event is told of."""
    own: dict[str, Any] = {"type": (Literal[names], ...)}
    if "run" in get_type_hints(event):
        own["run"] = RunObject, ...
    return create_model(event.__name__, __base__=told_of(event, "run"), __doc__=event.__doc__, **own)


Happening: Any = Union[  # noqa: UP007  as many as there are
    tuple(happening_of(event, name, *LATER.get(name, ())) for event, name in NAMES.items())
]


def event_told(event: Event) -> dict[str, Any]:
    """With its ``type``; a run in it as ``run_told`` shows it."""
    told = {each.name: getattr(event, each.name) for each in fields(event)}
    if "run" in told:
        told["run"] = run_told(told["run"])
    name = NAMES[type(event)]
    if isinstance(event, events.Finished) and event.run.status == "interrupted":
        [name] = LATER[name]
    return {"type": name, **to_jsonable_python(told)}


def run_told(run: Run) -> dict[str, Any]:
    """All of a run but its tree and what a caller supplied."""
    hidden = ("nodes", "supplied")
    shown = {each.name: getattr(run, each.name) for each in fields(run) if each.name not in hidden}
    return {"object": "run", **to_jsonable_python(shown)}


def node_told(node: Node) -> dict[str, Any]:
    """A node of the tree, with how much was sampled for it in the place of the tokens."""
    hidden = ("sample",)
    shown = {each.name: getattr(node, each.name) for each in fields(node) if each.name not in hidden}
    sample = node.sample
    drawn = {
        "prompt_tokens": len(sample.prompt_token_ids),
        "sampled_tokens": len(sample.token_ids),
        "cached_prompt_tokens": sample.cached_prompt_tokens,
        "mean_logprob": sum(sample.logprobs) / len(sample.logprobs) if sample.logprobs else None,
        "finish_reason": sample.finish_reason,
        "seed": sample.params.seed,
        "temperature": sample.params.temperature,
        "first_token_seconds": sample.first_token_seconds,
        "total_seconds": sample.total_seconds,
        "not_trainable": sample.not_trainable,
    }
    return {**to_jsonable_python(shown), "sample": drawn}


def candidates_told(run: Run) -> list[dict[str, Any]]:
    """The attempts of a run that came to an end, with what was thought of each of them, and which one was chosen."""
    return [
        {
            "path": list(leaf.path),
            "chosen": leaf.path == run.chosen,
            "ending": leaf.ending.value,
            "answer": leaf.said,
            "thought": "\n".join(node.thought for node in attempt if node.thought),
            "steps": len(attempt),
            "tool_calls": sum(len(node.tool_results) for node in attempt),
            "sampled_tokens": sum(len(node.sample.token_ids) for node in attempt),
            "verdicts": to_jsonable_python(leaf.verdicts),
        }
        for attempt in run.trajectories()
        if (leaf := attempt[-1]).ending not in OPEN
    ]
