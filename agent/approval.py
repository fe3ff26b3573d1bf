"""A person is asked before a call is made: where its tool says so, or where it may have happened already.

Asked through whatever door the person is at; where there is nobody to ask, the call is not made and the model is told.
Called by ``react``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agent.context import RunContext
from agent.events import ApprovalGiven, ApprovalNeeded
from agent.records import Path, Run
from tools.toolbox import clean

PATIENCE = 600.0  # seconds that a person has
ASKS = "Calls of this tool are made only when a person agrees."
INTERRUPTED = "This call was interrupted and may have happened already."
NOBODY = "there was nobody to ask"
LATE = f"nobody answered within {PATIENCE:g} seconds"


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word on one call."""

    approved: bool
    comment: str = ""  # for the model, where the call is not to be made


Approver = Callable[[Run, ApprovalNeeded], Awaitable[Approval]]


async def approval_of(context: RunContext, path: Path, index: int, name: str, arguments: Any, why: str) -> Approval:
    """What a person says to a call. The run's time stands still meanwhile."""
    if context.approver is None:
        return Approval(False, NOBODY)
    needed = ApprovalNeeded(path, index, name, arguments, why)
    context.emit(needed)
    with context.meter.stopped():
        try:
            async with asyncio.timeout(PATIENCE):
                given = await context.approver(context.run, needed)
        except TimeoutError:
            given = Approval(False, LATE)
    given = Approval(given.approved, clean(given.comment))
    context.emit(ApprovalGiven(path, index, given.approved, given.comment))
    return given


def refusal(why: str, given: Approval) -> str:
    """What the model reads of a call that was not made."""
    return f"{why} It was not made: {given.comment or 'the person who was asked declined it'}."
