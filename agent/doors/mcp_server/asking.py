"""One call of ``ask``: a run that is followed to its end, with its steps as progress, and the person asked on the way.

A client of the protocol's newer form (2026-07-28) is asked by an answer that wants more: the call ends, the run waits,
and the client calls again with the person's word. One of the older form is asked in the middle of the call.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    TextContent,
)
from pydantic import BaseModel, Field

from agent.approval import PATIENCE, Approval
from agent.doors.mcp_server.forms import Answered, answered, said_of, text_of
from agent.events import ApprovalGiven, ApprovalNeeded
from agent.run import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp.server.mcpserver import Context

    from agent.doors.door import Door
    from agent.doors.keys import Key
    from agent.records import Run
    from agent.run import Ask

WORD = "approval"  # by what name the person's word is asked for
ANEW = "2026-07-28"  # the revision, a date, from which on a call asks by ending


class Word(BaseModel):
    """A person's word on a call."""

    approve: bool = Field(description="Whether the call may be made.")
    comment: str = Field(default="", description="For the model, where it may not.")


async def begun(door: Door, key: Key, question: str, how: Ask) -> Run:
    """A run that goes on by itself from here. Raises ``PonderError``s."""
    if how.thread_id is not None:
        door.thread_of(key, how.thread_id)
    how = replace(how, thread_id=how.thread_id or new_id())
    assert how.thread_id is not None
    async with AsyncExitStack() as stack:
        stack.enter_context(door.taken(how.thread_id))
        await stack.enter_async_context(door.admission.turn(key))
        return await door.conductor.start(door.ask(question, how), stack)


async def followed(
    door: Door, run: Run, context: Context[Any, Any], seen: int = 0
) -> CallToolResult | InputRequiredResult:
    """The answer, when there is one; or the question that a person has to answer before. ``seen``: how many of the
    run's events an earlier round of this call has told of.
    """
    steps, questions = 0, dict[str, asyncio.Task[None]]()
    with stopping(door, run), ending(questions):
        async with aclosing(door.followed(run.run_id, seen)) as happening:
            async for number, event in happening:
                if isinstance(event, ApprovalGiven) and (asked := questions.pop(event.id, None)) is not None:
                    asked.cancel()
                if (said := said_of(event)) is not None:
                    steps += 1
                    await context.report_progress(steps, message=said)
                if not isinstance(event, ApprovalNeeded) or event not in door.approvals.waiting(run.run_id):
                    continue
                if (context.protocol_version or "") >= ANEW:
                    return asked_for(run, event, number or 0)
                questions[event.id] = asyncio.create_task(elicited(door, run, context, event))
    found = answered(door.standing(door.agent.store.run(run.run_id)), door.agent.weights)
    return result(found)


def result(found: Answered) -> CallToolResult:
    said = [TextContent(type="text", text=text_of(found))]
    return CallToolResult(content=list(said), structured_content=found.model_dump(mode="json"))


@contextmanager
def stopping(door: Door, run: Run) -> Iterator[None]:
    """A call that is given up stops its run."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.ensure_future(door.conductor.cancel(run.run_id))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise


# --- a person's word --------------------------------------------------------------------------------------------------


def can_ask(context: Context[Any, Any]) -> bool:
    """Whether the client says that it has a person to ask."""
    capabilities = context.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def request_of(event: ApprovalNeeded) -> tuple[str, dict[str, Any]]:
    """What the person is shown, and the form of the word: that of a server further on, where one asks."""
    if event.form is not None:
        return event.why, dict(event.form)
    said = json.dumps(event.arguments, ensure_ascii=False) if not isinstance(event.arguments, str) else event.arguments
    return f"{event.why} {event.name} {said}", Word.model_json_schema()


def asked_for(run: Run, event: ApprovalNeeded, seen: int) -> InputRequiredResult:
    message, schema = request_of(event)
    state = {"run": run.run_id, "question": event.id, "seen": seen, "filled": event.form is not None}
    wanted = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))
    return InputRequiredResult(input_requests={WORD: wanted}, request_state=json.dumps(state))


async def elicited(door: Door, run: Run, context: Context[Any, Any], event: ApprovalNeeded) -> None:
    """Asked while the run is followed, which may end or take the question back meanwhile."""
    message, schema = request_of(event)
    word = Approval(False)
    with suppress(TimeoutError, MCPError):
        async with asyncio.timeout(PATIENCE):
            said = await context.session.elicit_form(message, schema, related_request_id=context.request_id)
        word = word_of(said, event.form is not None)
    door.approvals.give(run.run_id, event.id, word)


@contextmanager
def ending(questions: dict[str, asyncio.Task[None]]) -> Iterator[None]:
    """What nobody has answered by then is asked no more."""
    try:
        yield
    finally:
        for asked in questions.values():
            asked.cancel()


def word_of(said: ElicitResult, filled: bool) -> Approval:
    """``filled``: it fills a form, and is no word on a call."""
    content = said.content or {}
    if said.action != "accept":
        return Approval(False)
    if filled:
        return Approval(True, content=content)
    return Approval(content.get("approve") is True, str(content.get("comment") or ""))


def taken_up(door: Door, key: Key, context: Context[Any, Any]) -> tuple[Run, int]:
    """The run that an earlier round of this call began, which has the word that this round brings; and how many of its
    events that round has told of. Raises ``NotInLog``.
    """
    state = json.loads(context.request_state or "{}")
    run = door.run_of(key, str(state["run"]))
    given = (context.input_responses or {}).get(WORD)
    if not isinstance(given, ElicitResult):
        return run, int(state["seen"]) - 1  # what waits is asked again
    door.approvals.give(run.run_id, str(state["question"]), word_of(given, state["filled"]))
    return run, int(state["seen"])
