"""What the MCP door's tools give back, as models that their output schemas are made of, and as text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from agent.doors.forms import Told, told_of
from agent.doors.telling import Candidate, RunObject, candidates_told, run_told
from agent.records import Run
from agent.search.strategy import OPEN
from retrieval.passage import Passage
from verifiers.grounding import claims
from verifiers.reward import combine
from verifiers.verdict import Verdict

LONGEST = 1_000  # characters of a candidate's answer: the calling model reads all of it


class Citation(Told):
    """A passage that the answer names."""

    number: int = Field(description="As [1] in the answer.")
    source: str
    title: str
    text: str


class Attempt(Told):
    """One of the attempts, and what it was worth."""

    path: tuple[int, ...] = Field(description="Of its last step in the run's tree.")
    chosen: bool
    score: float | None = Field(description="The weighted verdicts, 0 to 1; null: nobody had anything to say.")
    ending: str = Field(description="answer, or why it came to none.")
    answer: str
    sampled_tokens: int


class UsageTold(Told):
    """What the run cost, losers included."""

    prompt_tokens: int
    sampled_tokens: int
    verifier_tokens: int
    model_calls: int
    tool_calls: int
    seconds: float
    cost: float = Field(description="Money, at the prices that were set.")


class Answered(Told):
    """An answer, and what stands behind it."""

    answer: str | None = Field(description="null: the run came to nothing; error says why.")
    confidence: float | None = Field(
        description="The share of the attempts that gave this answer, 0 to 1; null where there was only one."
    )
    citations: list[Citation]
    candidates: list[Attempt]
    usage: UsageTold
    version: str = Field(description="Of the model that answered.")
    run_id: str = Field(description="For get_run, rate and cancel_run.")
    thread_id: str = Field(description="Give it to ask again in the same conversation.")
    status: str = Field(description="finished, failed or cancelled.")
    error: str | None = Field(description="Where it ended without an answer or short of its plan.")


class RunTold(RunObject):
    """A run with its attempts."""

    candidates: list[Candidate]


class Found(told_of(Passage)):
    """A passage of a document."""


class Passages(Told):
    """What was found, best first."""

    passages: list[Found]


class Verified(Told):
    """What verifiers say of an answer."""

    score: float | None = Field(description="The weighted verdicts, 0 to 1; null: nobody judged more than its form.")
    judged_by: list[str] = Field(description="The verifiers that had something to say.")
    verdicts: list[Verdict]


class Steps(Told):
    """How likely each step is right, by the process reward model."""

    score: float | None = Field(description="Of the whole: the setting process_reward_by says how.")
    steps: list[float] = Field(description="0 to 1, in the order of the steps.")
    reason: str


class Rated(Told):
    """It is kept, for trainings that ask for it."""

    run_id: str
    count: int = Field(description="Of all that was said of the run.")


def answered(run: Run, weights: Mapping[str, float]) -> Answered:
    leaf = run.node(run.chosen) if run.chosen is not None else None
    agreement = next((each.score for each in leaf.verdicts if each.verifier == "consensus"), None) if leaf else None
    return Answered(
        answer=run.answer,
        confidence=agreement,
        citations=citations(run),
        candidates=[
            Attempt(
                path=attempt[-1].path,
                chosen=attempt[-1].path == run.chosen,
                score=combine(attempt[-1].verdicts, weights).value,
                ending=attempt[-1].ending.value,
                answer=attempt[-1].said[:LONGEST],
                sampled_tokens=sum(len(node.sample.token_ids) for node in attempt),
            )
            for attempt in run.trajectories()
            if attempt[-1].ending not in OPEN
        ],
        usage=UsageTold(**{name: getattr(run.usage, name) for name in UsageTold.model_fields}),
        version=str(run.policy),
        run_id=run.run_id,
        thread_id=run.thread_id,
        status=run.status,
        error=run.error,
    )


def citations(run: Run) -> list[Citation]:
    """The passages that the chosen attempt found and its answer names."""
    if run.chosen is None or run.answer is None:
        return []
    attempt = run.trajectory(run.chosen)
    passages = [passage for node in attempt for result in node.tool_results for passage in result.passages]
    numbers = {number for claim in claims(run.answer) for number in claim.citations}
    return [
        Citation(number=number, source=found.source, title=found.title, text=found.text)
        for number, found in enumerate(passages, 1)
        if number in numbers
    ]


def told(run: Run) -> RunTold:
    return RunTold.model_validate({**run_told(run), "candidates": candidates_told(run)})


def text_of(found: Answered) -> str:
    """What a model reads that is not given the structure."""
    sources = [f"[{each.number}] {each.title} ({each.source})" for each in found.citations]
    lines = [found.answer or "There is no answer.", *(["", "Sources:", *sources] if sources else [])]
    agree = f", {found.confidence:.0%} of the attempts agree" if found.confidence is not None else ""
    lines += ["", f"(run {found.run_id}, thread {found.thread_id}{agree})"]
    return "\n".join([*lines, *([found.error] if found.error else [])])


def said_of(event: Any) -> str | None:
    """What happens, in a few words, where a caller that waits wants to know it."""
    from agent import events

    match event:
        case events.ToolStarted(path, _, name, _):
            return f"attempt {path[0] + 1}: calls {name}"
        case events.PassagesFound(path, _, passages):
            return f"attempt {path[0] + 1}: {len(passages)} passages found"
        case events.CandidateFinished(path, ending, _, tokens):
            return f"attempt {path[0] + 1}: {ending.value.replace('_', ' ')}, {tokens} tokens"
        case events.Retrying(_, reason, seconds):
            return f"{reason} Asked again in {seconds:.0f} s."
        case events.ThreadSummarised(_, questions):
            return f"{questions} earlier questions summed up"
        case events.Selected(_, reason):
            return reason
        case events.ApprovalNeeded(_, _, name, _, _):
            return f"{name} waits for a person's word"
    return None
