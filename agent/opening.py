"""What every attempt of a run begins with: the system prompt, as much of the thread as fits, and the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.context import Agent, Opening
from agent.errors import QuestionError
from agent.memories import MEMORY, told
from agent.policy.policy import ContextTooLong
from agent.prompting import PROMPTS, ROOM
from agent.records import Ending, Run

SYSTEM = ("system", "developer")
SUMMARY = "summary_of"  # in a run's metadata: the runs that it sums up


def opening_of(agent: Agent, run: Run) -> Opening:
    """What the attempts begin with: as the log has it, or the question after the last of its thread.

    The thread's beginning is there as its summary, or left out, until all takes no more than half of the context.

    Raises:
        QuestionTooLong: the question alone does not fit.
        QuestionError: it began under another system prompt, and nothing of it was sampled yet.
    """
    for node in run.nodes:
        if len(node.path) == 1 and not node.bridge and node.ending is not Ending.ERROR:  # whose note says why it failed
            return Opening(node.sample.prompt_token_ids, node.sample.template_hash, node.note)
    refuse_other_prompt(agent, run)
    tools, renderer, length = agent.toolbox.schemas(), agent.policy.renderer, agent.policy.context_length
    said = Said(None, ()) if run.supplied.messages else said_before(agent, run)
    kept = fitting(agent, said.turns, length // 2)
    while len(prompt := renderer.start(messages_of(agent, run, said.turns[:kept]), tools)) > length // 2 and kept:
        kept -= 1
    if len(prompt) > length - ROOM:
        theirs = len(prompt) - len(renderer.start(messages_of(agent, run, []), []))
        raise QuestionTooLong(f"{len(prompt)} tokens", length, theirs)
    return Opening(prompt, renderer.template_hash(tools), note_of(said, kept), kept, len(said.turns) - kept)


def note_of(said: Said, kept: int) -> str:
    """What of a thread is not there as it was said, where so many of its turns are, newest first."""
    summary = said.summary if kept == len(said.turns) else None
    short = len(said.covered) + len(said.runs) - min(kept, len(said.runs))
    how = f"summed up in run {summary.run_id}" if summary else "left out"
    return f"compacted: the first {short} questions of the thread {how}" if short else ""


def refuse_other_prompt(agent: Agent, run: Run) -> None:
    """The log would name a prompt that was not the one."""
    began = run.settings.get("prompt", str(agent.system_prompt))
    if began != str(agent.system_prompt):
        raise QuestionError(f"Run {run.run_id} began under the prompt {began}; set PONDER_PROMPT to that one.")


# --- what a thread has said -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What a thread has said before a question: the newest summary, and the runs that it does not cover."""

    summary: Run | None
    runs: tuple[Run, ...]  # newest first

    @property
    def turns(self) -> tuple[Run, ...]:
        """All of it as questions and answers, newest first."""
        return (*self.runs, self.summary) if self.summary else self.runs

    @property
    def covered(self) -> list[str]:
        return list(self.summary.metadata[SUMMARY]) if self.summary else []


def said_before(agent: Agent, run: Run) -> Said:
    """Of the thread of ``run``."""
    earlier = agent.store.before(run)
    known = {each.run_id for each in earlier}
    ours = [each for each in agent.store.summaries(run) if known.issuperset(each.metadata[SUMMARY])]
    summary = max(ours, key=lambda each: len(each.metadata[SUMMARY]), default=None)
    covered = set(summary.metadata[SUMMARY]) if summary else set()
    return Said(summary, tuple(each for each in earlier if each.run_id not in covered))


def fitting(agent: Agent, turns: Sequence[Run], tokens: int) -> int:
    """How many of them, from the first on, have no more than so many tokens in question and answer."""
    for kept, past in enumerate(turns):
        tokens -= len(agent.policy.renderer.encode(past.question + (past.answer or "")))
        if tokens < 0:
            return kept
    return len(turns)


# --- messages ---------------------------------------------------------------------------------------------------------


def messages_of(agent: Agent, run: Run, earlier: Sequence[Run]) -> list[dict[str, Any]]:
    """The system prompt, what the thread said before (newest first), and the question."""
    if run.supplied.messages:
        return supplied_messages(agent, run.supplied.messages)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": agent.system_prompt.text},
        *known_before(agent, run),
    ]
    for past in reversed(earlier):
        messages += exchange(past)
    return [*messages, {"role": "user", "content": run.question}]


def known_before(agent: Agent, run: Run) -> list[dict[str, Any]]:
    """What is known from earlier conversations, where the run asks for it: as much as fits a sixteenth of the context.

    It is said as the person would, and not as the system: a model could have been led to keep it.
    """
    facts = agent.store.memories.all(str(run.metadata.get("key", ""))) if run.metadata.get(MEMORY) else []
    room, count = agent.policy.context_length // 16, 0
    for fact in facts:
        room -= len(agent.policy.renderer.encode(fact.text))
        if room < 0:
            break
        count += 1
    if not count:
        return []
    text = (PROMPTS / "memory.txt").read_text().strip().format(facts=told(facts, count))
    return [{"role": "user", "content": text}, {"role": "assistant", "content": "I will use it where it helps."}]


def exchange(past: Run) -> list[dict[str, Any]]:
    """What was asked and answered, as messages."""
    return [{"role": "user", "content": past.question}, {"role": "assistant", "content": past.answer or ""}]


def supplied_messages(agent: Agent, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The caller's conversation. What it says as system stands behind the agent's own prompt, in one message: most
    templates know no other place for it.
    """
    told = [str(message["content"]) for message in messages if message["role"] in SYSTEM]
    rest = [dict(message) for message in messages if message["role"] not in SYSTEM]
    return [{"role": "system", "content": "\n\n".join([agent.system_prompt.text, *told])}, *rest]


class QuestionTooLong(QuestionError, ContextTooLong):
    """The question alone does not fit."""

    def __init__(self, size: str, context_length: int, tools: int = 0) -> None:
        """``tools``: tokens that tell the model of its tools."""
        advice = "ask a shorter one"
        if tools > context_length // 2:
            advice = f"{tools} of them are its tools: give it fewer (`ponder mcp list`, `allow`)"
        super().__init__(f"The question takes {size} and the model reads {context_length} tokens; {advice}.")
