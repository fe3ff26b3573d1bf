"""A person is asked before a call is made: where its tool says so, where it may have happened already, or where the
words of another MCP server may have led to it; and in the middle of one, where a tool wants to know something.

Asked through whatever door the person is at; where there is nobody to ask, the call is not made and the model is told.
Called by ``react``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from agent.context import Agent, RunContext
from agent.events import ApprovalGiven, ApprovalNeeded
from agent.records import Approval, Path, Run
from agent.store import RunFilter
from tools.person import PATIENCE, Form
from tools.tool import Tool
from tools.toolbox import clean

ASKS = "Calls of this tool are made only when a person agrees."
INTERRUPTED = "This call was interrupted and may have happened already."
LED = "What {servers} said before may have led to this call."
NOBODY = "there was nobody to ask"
WANTS = "The server of {name} asks: {message}"
TAKEN_BACK = "the call has ended, and its question with it"
READ = "read"  # the key of a run's metadata: the MCP servers whose words it or its thread has read
MESSAGE = 1_000  # characters of what a tool asks a person
LATE = f"nobody answered within {PATIENCE:g} seconds"


Approver = Callable[[Run, ApprovalNeeded], Awaitable[Approval]]


async def approval_of(
    context: RunContext,
    path: Path,
    index: int,
    name: str,
    arguments: Any,
    why: str,
    form: Mapping[str, Any] | None = None,
) -> Approval:
    """What a person says to a call. The run's time stands still meanwhile."""
    if context.approver is None:
        return Approval(False, NOBODY)
    needed = ApprovalNeeded(path, index, name, arguments, why, form, id=secrets.token_hex(8))
    context.emit(needed)
    with context.meter.stopped():
        try:
            async with asyncio.timeout(PATIENCE):
                given = await context.approver(context.run, needed)
        except TimeoutError:
            given = Approval(False, LATE)
        except asyncio.CancelledError:
            context.emit(ApprovalGiven(path, index, False, TAKEN_BACK, needed.id))
            raise
    given = replace(given, comment=clean(given.comment))
    context.emit(ApprovalGiven(path, index, given.approved, given.comment, needed.id))
    return given


def person_of(context: RunContext, path: Path, index: int, name: str, arguments: Any) -> Form | None:
    """Who can be asked in the middle of a call; None where there is nobody."""
    if context.approver is None:
        return None

    async def asked(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        why = WANTS.format(name=name, message=clean(message)[:MESSAGE])
        given = await approval_of(context, path, index, name, arguments, why, schema)
        return given.content if given.approved else None

    return asked


def permitted(tools: Iterable[Tool], approvals: Mapping[str, str]) -> list[Tool]:
    """Those that may be called at all, with what was set for each; of two patterns that fit the first counts."""
    found = []
    for tool in tools:
        said = next((said for pattern, said in approvals.items() if fnmatchcase(tool.name, pattern)), None)
        if said != "never":
            found.append(replace(tool, asks=said == "ask", trusted=said == "always") if said else tool)
    return found


def why_asked(context: RunContext, path: Path, index: int, tool: Tool) -> str:
    """Why a person is asked before a call; "" where nobody is."""
    if (path, index) in context.interrupted and not tool.idempotent:
        return INTERRUPTED
    if tool.asks:
        return tool.why_asks or ASKS
    if tool.idempotent or tool.trusted:
        return ""
    others = read_before(context, path) - {"", tool.origin}
    return LED.format(servers=", ".join(sorted(others))) if others else ""


def read_before(context: RunContext, path: Path) -> frozenset[str]:
    """The MCP servers whose words the attempt has read before that node, or its thread before it; "" for words that are
    not theirs.
    """
    return context.read | {result.origin for node in context.trajectory(path[:-1]) for result in node.tool_results}


def read_in_thread(agent: Agent, run: Run) -> set[str]:
    """The MCP servers whose words its thread had read: an answer may say them again."""
    if not agent.toolbox.has_effects:
        return set()
    return {str(name) for earlier in agent.store.before(run) for name in earlier.metadata.get(READ, ())}


def remember_read(context: RunContext) -> None:
    """For the runs of its thread that follow."""
    read = context.read | {result.origin for node in context.tree.values() for result in node.tool_results}
    if names := sorted(read - {""}):
        context.agent.store.describe(RunFilter(run_id=context.run.run_id), {READ: names})


def refusal(why: str, given: Approval) -> str:
    """What the model reads of a call that was not made."""
    return f"{why} It was not made: {given.comment or 'the person who was asked declined it'}."
