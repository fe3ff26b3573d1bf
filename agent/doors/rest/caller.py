"""Who asks, and whom: what the entrance and the application have written on a request."""

from __future__ import annotations

from fastapi import Request

from agent.doors.door import Door, permitted
from agent.doors.keys import Key, Scope
from agent.records import Run
from agent.threads import Thread


def door_of(request: Request) -> Door:
    return request.app.state.door


def key_of(request: Request, scope: Scope) -> Key:
    """Whose request it is. Raises ``ApiError`` where that may not do what ``scope`` says."""
    return permitted(request.state.key, scope)


def run_of(request: Request, run_id: str) -> Run:
    """A run that who asks may see. Raises ``NotInLog``."""
    return door_of(request).run_of(key_of(request, "ask"), run_id)


def thread_of(request: Request, thread_id: str) -> Thread:
    """A thread that who asks may see. Raises ``NotInLog``."""
    return door_of(request).thread_of(key_of(request, "ask"), thread_id)
