"""``/v1/threads``: conversations that the server keeps. A question goes on with one by its ``thread_id``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import Field

from agent.doors.rest.door import Door, door_of, key_of
from agent.doors.rest.errors import ApiError
from agent.doors.rest.openapi import Body, links, router_of
from agent.errors import NotInLog, StoreBusy
from agent.store import RunFilter
from agent.threads import Thread

router = router_of("Threads")
NAME = r"^[A-Za-z0-9_-]{1,64}$"
NEXT = links("thread_id", "thread_id", "threads_one", "threads_fork", "threads_deleted")
ThreadId = Annotated[str, Field(pattern=NAME)]


class CreateRequest(Body):
    """Nothing is said of a new one yet."""


class ForkRequest(Body):
    """Where a fork begins."""

    run_id: Annotated[str, Field(pattern=NAME)] | None = None  # the last run that it has; all of them by default


@router.post("/v1/threads", status_code=201, responses={201: NEXT})
async def create(request: Request, body: CreateRequest | None = None) -> dict[str, Any]:
    """Begin a conversation."""
    door, key = door_of(request), key_of(request, "ask")
    return told(door.agent.store.threads.create(key.name))


@router.get("/v1/threads")
async def listed(
    request: Request,
    before: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> dict[str, Any]:
    """The conversations in which something happened last; ``before`` is the ``last_at`` of the last one before."""
    door, key = door_of(request), key_of(request, "ask")
    found = door.agent.store.threads.all(None if key.may("admin") else key.name, limit, before)
    return {"object": "list", "data": list(map(told, found)), "has_more": len(found) == limit}


@router.get("/v1/threads/{thread_id}")
async def one(thread_id: ThreadId, request: Request) -> dict[str, Any]:
    return told(thread_of(door_of(request), request, thread_id))


@router.post("/v1/threads/{thread_id}/fork", status_code=201, responses={201: NEXT})
async def fork(thread_id: ThreadId, request: Request, body: ForkRequest | None = None) -> dict[str, Any]:
    """A conversation that begins as this one stands, or as it stood after one of its runs."""
    door, key = door_of(request), key_of(request, "ask")
    thread_of(door, request, thread_id)
    until = None
    if body is not None and body.run_id is not None:
        run = door.agent.store.run(body.run_id)
        if run.thread_id != thread_id:
            raise ApiError(f"The run {body.run_id} is not one of the thread {thread_id}.", param="run_id")
        until = run.started_at
    return told(door.agent.store.threads.fork(thread_id, until, key.name))


@router.delete("/v1/threads/{thread_id}")
async def deleted(thread_id: ThreadId, request: Request) -> dict[str, Any]:
    """Remove a conversation and its runs, for good; what was forked from it goes on without them."""
    door = door_of(request)
    thread_of(door, request, thread_id)
    store = door.agent.store
    for summaries in (False, True):  # a summary ends with the run that asked for it
        for run in store.runs(RunFilter(thread_id=thread_id, summaries=summaries)):
            if run.status == "running":
                await door.let_go(run.run_id)
            door.conductor.forget(run.run_id)
    count = len(store.runs(RunFilter(thread_id=thread_id)))
    with suppress(StoreBusy):  # they are gone; somebody reads, and their bytes are erased later
        store.delete(RunFilter(thread_id=thread_id))
    door.agent.store.threads.forget(thread_id)
    return {"id": thread_id, "object": "thread", "deleted": True, "runs": count}


def told(thread: Thread) -> dict[str, Any]:
    return {"object": "thread", **asdict(thread)}


def thread_of(door: Door, request: Request, thread_id: str) -> Thread:
    """A thread that the request's key may see. Raises ``NotInLog``, as for one that does not exist."""
    key, thread = key_of(request, "ask"), door.agent.store.threads.get(thread_id)
    if thread.key != key.name and not key.may("admin"):
        raise NotInLog(f"There is no thread {thread_id} in the log.")
    return thread
