"""``/v1/threads``: conversations that the server keeps. A question goes on with one by its ``thread_id``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from pydantic import Field

from agent.doors.errors import ApiError
from agent.doors.forms import told_of
from agent.doors.rest.caller import door_of, key_of, thread_of
from agent.doors.rest.openapi import Body, Deleted, Page, links, router_of
from agent.errors import StoreBusy
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


class ThreadObject(told_of(Thread)):
    """A conversation."""

    object: Literal["thread"]


class ThreadDeleted(Deleted):
    """It is gone."""

    runs: int  # that went with it


@router.post("/v1/threads", status_code=201, response_model=ThreadObject, responses={201: NEXT})
async def create(request: Request, body: CreateRequest | None = None) -> dict[str, Any]:
    """Begin a conversation."""
    door, key = door_of(request), key_of(request, "ask")
    return told(door.agent.store.threads.create(key.name))


@router.get("/v1/threads", response_model=Page[ThreadObject])
async def listed(
    request: Request,
    before: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> dict[str, Any]:
    """The conversations in which something happened last; ``before`` is the ``last_at`` of the last one before."""
    door, key = door_of(request), key_of(request, "ask")
    found = door.agent.store.threads.all(None if key.may("admin") else key.name, limit, before)
    return {"object": "list", "data": list(map(told, found)), "has_more": len(found) == limit}


@router.get("/v1/threads/{thread_id}", response_model=ThreadObject)
async def one(thread_id: ThreadId, request: Request) -> dict[str, Any]:
    return told(thread_of(request, thread_id))


@router.post("/v1/threads/{thread_id}/fork", status_code=201, response_model=ThreadObject, responses={201: NEXT})
async def fork(thread_id: ThreadId, request: Request, body: ForkRequest | None = None) -> dict[str, Any]:
    """A conversation that begins as this one stands, or as it stood after one of its runs."""
    door, key = door_of(request), key_of(request, "ask")
    thread_of(request, thread_id)
    until = None
    if body is not None and body.run_id is not None:
        run = door.agent.store.run(body.run_id)
        if run.thread_id != thread_id:
            raise ApiError(f"The run {body.run_id} is not one of the thread {thread_id}.", param="run_id")
        until = run.started_at
    return told(door.agent.store.threads.fork(thread_id, until, key.name))


@router.delete("/v1/threads/{thread_id}", response_model=ThreadDeleted)
async def deleted(thread_id: ThreadId, request: Request) -> dict[str, Any]:
    """Remove a conversation and its runs, for good; what was forked from it goes on without them."""
    door = door_of(request)
    thread_of(request, thread_id)
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
