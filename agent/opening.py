"""What every attempt of a run begins with: the system prompt, as much of the thread as fits, and the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.context import Agent, Opening
from agent.errors import QuestionError
from agent.policy.policy import ContextTooLong
from agent.prompting import ROOM
from agent.records import Ending, Run

SYSTEM = ("system", "developer")


def opening_of(agent: Agent, run: Run) -> Opening:
    """What the attempts begin with: as the log has it, or the question after the last of its thread.

    The thread is left out from its beginning on, until all takes no more than half of the context.

    Raises:
        QuestionTooLong: the question alone does not fit.
        QuestionError: it began under another system prompt, and nothing of it was sampled yet.
    """
    for node in run.nodes:
        if len(node.path) == 1 and not node.bridge and node.ending is not Ending.ERROR:  # whose note says why it failed
            return Opening(node.sample.prompt_token_ids, node.sample.template_hash, node.note)
    refuse_other_prompt(agent, run)
    tools, renderer, length = agent.toolbox.schemas(), agent.policy.renderer, agent.policy.context_length
    earlier = agent.store.before(run)
    kept = newest_within(agent, earlier, length // 2)
    while len(prompt := renderer.start(messages_of(agent, run, earlier[:kept]), tools)) > length // 2 and kept:
        kept -= 1
    if len(prompt) > length - ROOM:
        raise QuestionTooLong(f"{len(prompt)} tokens", length)
    left_out = len(earlier) - kept
    note = f"compacted: the first {left_out} questions of the thread left out" if left_out else ""
    return Opening(prompt, renderer.template_hash(tools), note)


def refuse_other_prompt(agent: Agent, run: Run) -> None:
    """The log would name a prompt that was not the one."""
    began = run.settings.get("prompt", str(agent.system_prompt))
    if began != str(agent.system_prompt):
        raise QuestionError(f"Run {run.run_id} began under the prompt {began}; set PONDER_PROMPT to that one.")


def newest_within(agent: Agent, earlier: Sequence[Run], tokens: int) -> int:
    """How many of the thread's runs, newest first, have no more than so many tokens in question and answer."""
    for kept, past in enumerate(earlier):
        tokens -= len(agent.policy.renderer.encode(past.question + (past.answer or "")))
        if tokens < 0:
            return kept
    return len(earlier)


def messages_of(agent: Agent, run: Run, earlier: Sequence[Run]) -> list[dict[str, Any]]:
    """The system prompt, what the thread said before (newest first), and the question."""
    if run.supplied.messages:
        return supplied_messages(agent, run.supplied.messages)
    messages: list[dict[str, Any]] = [{"role": "system", "content": agent.system_prompt.text}]
    for past in reversed(earlier):
        messages += [{"role": "user", "content": past.question}, {"role": "assistant", "content": past.answer or ""}]
    return [*messages, {"role": "user", "content": run.question}]


def supplied_messages(agent: Agent, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The caller's conversation. What it says as system stands behind the agent's own prompt, in one message: most
    templates know no other place for it.
    """
    told = [str(message["content"]) for message in messages if message["role"] in SYSTEM]
    rest = [dict(message) for message in messages if message["role"] not in SYSTEM]
    return [{"role": "system", "content": "\n\n".join([agent.system_prompt.text, *told])}, *rest]


class QuestionTooLong(QuestionError, ContextTooLong):
    """The question alone does not fit."""

    def __init__(self, size: str, context_length: int) -> None:
        super().__init__(f"The question takes {size} and the model reads {context_length} tokens; ask a shorter one.")
