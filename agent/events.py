"""What happens in a run, as it happens: the one stream that the terminal, the REST door, MCP and the trainer read.

Every event names the node it is about by its path; the first number of a path is the candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.records import Ending, Path, Run
from retrieval.passage import Passage
from tools.tool import ToolResult
from verifiers.verdict import Verdict


@dataclass(frozen=True, slots=True)
class RunStarted:
    run: Run  # without nodes


@dataclass(frozen=True, slots=True)
class ThreadSummarised:
    """The beginning of its thread was too long for the model's context."""

    run_id: str  # of the run that sums it up
    questions: int  # that it covers


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class ApprovalNeeded:
    """A call waits for a person's word."""

    path: Path
    index: int  # which of the node's calls
    name: str
    arguments: Mapping[str, Any] | str  # as the model wrote them
    why: str  # a sentence; what the tool wants to know, where it asks in the middle of its call
    form: Mapping[str, Any] | None = None  # the JSON schema of what it wants to know
    id: str = ""  # of this question: a call may ask several


@dataclass(frozen=True, slots=True)
class ApprovalGiven:
    path: Path
    index: int
    approved: bool
    comment: str  # the person's, or why there was no word
    id: str = ""  # of the question


@dataclass(frozen=True, slots=True)
class ToolStarted:
    path: Path
    index: int  # which of the node's calls
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolFinished:
    path: Path
    index: int
    result: ToolResult


@dataclass(frozen=True, slots=True)
class PassagesFound:
    path: Path
    first: int  # the number that the first passage is cited by
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Repaired:
    path: Path
    ending: Ending  # what went wrong
    note: str  # what was done about it


@dataclass(frozen=True, slots=True)
class Retrying:
    path: Path
    reason: str  # why the model could not be asked, or broke off
    seconds: float  # until it is asked again


@dataclass(frozen=True, slots=True)
class CandidateFinished:
    path: Path
    ending: Ending
    answer: str
    sampled_tokens: int


@dataclass(frozen=True, slots=True)
class Scored:
    path: Path
    score: float | None  # the weighted reward; None where no verifier had anything to say
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    run: Run  # whole, as it stands in the log


Event = (
    RunStarted
    | ThreadSummarised
    | ThoughtDelta
    | AnswerDelta
    | ApprovalNeeded
    | ApprovalGiven
    | ToolStarted
    | ToolFinished
    | PassagesFound
    | Repaired
    | Retrying
    | CandidateFinished
    | Scored
    | Selected
    | Finished
)
