"""``/v1/runs``: questions that go on whoever listens, their candidates and trees, and what people think of them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from fastapi import Header, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import format_sse_event
from pydantic import Field
from pydantic_core import to_jsonable_python

from agent.doors.door import INTERRUPTED, Door
from agent.doors.forms import Told, told_of
from agent.doors.rest.caller import door_of, key_of, run_of, thread_of
from agent.doors.rest.idempotency import once
from agent.doors.rest.openapi import STREAM, Body, Deleted, OfRun, Page, links, router_of
from agent.doors.rest.requests import EFFORTS
from agent.doors.rest.streaming import EventStream, unless_gone
from agent.doors.rest.threads import NAME
from agent.doors.telling import (
    Candidate,
    Happening,
    NodeObject,
    RunObject,
    Status,
    candidates_told,
    event_told,
    node_told,
    run_told,
)
from agent.errors import StoreBusy
from agent.events import Event
from agent.memories import MEMORY
from agent.records import Feedback, Run
from agent.run import new_id, resume
from agent.store import RunFilter

router = router_of("Runs")
SHORT = 512  # characters of a tag
NEXT = links(
    "run_id", "run_id", "runs_one", "runs_candidates", "runs_tree", "runs_followed", "runs_cancelled", "runs_resumed",
    "runs_deleted", "approvals_waiting",
)  # fmt: skip
ENDED: dict[str, Any] = {"model": RunObject, "description": "It has ended."}
UNDER_WAY: dict[str, Any] = {"model": RunObject, "description": "It has not ended yet."}
RunId = Annotated[str, Field(pattern=NAME)]


class RunRequest(Body):
    """A question."""

    question: Annotated[str, Field(max_length=2_000_000)]
    thread_id: Annotated[str, Field(pattern=NAME)] | None = None
    effort: Literal["low", "medium", "high", "max", "auto"] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    train: bool = True  # False: nobody may learn from it
    memory: bool = False  # whether it is told what is known from earlier conversations, and may keep more
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=SHORT)]], Field(max_length=16)] = Field(
        default_factory=dict
    )
    wait: Annotated[float, Field(ge=0, le=600)] = 0  # seconds for which the answer is waited for


class FeedbackRequest(Body):
    """What somebody thinks of a run."""

    run_id: RunId
    value: Annotated[float, Field(ge=-1, le=1)] | None = None  # -1 wrong .. 1 right
    comment: Annotated[str, Field(max_length=10_000)] = ""
    preferred: Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=1_000)] | None = None


class FeedbackObject(Told):
    """It is kept."""

    object: Literal["feedback"]
    run_id: str
    count: int  # of all that was said of the run


class Said(told_of(Feedback)):
    """What somebody said of a run."""


@router.post("/v1/runs", status_code=202, response_model=RunObject, responses={202: NEXT, 200: ENDED | NEXT})
async def start(body: RunRequest, request: Request) -> Response:
    """Ask a question. It goes on when the client has gone: follow its events, wait for it, or look again later."""
    door, key = door_of(request), key_of(request, "ask")
    effort = door.efforts[EFFORTS[body.effort]] if body.effort else door.how.effort
    metadata = {**door.how.metadata, "key": key.name}
    metadata |= {"client": dict(body.metadata)} if body.metadata else {}
    metadata |= {} if body.train else {"train": "no"}
    metadata |= {MEMORY: "yes"} if body.memory else {}
    thread_id = body.thread_id or new_id()
    how = replace(door.how, effort=effort, thread_id=thread_id, seed=body.seed, metadata=metadata)
    how = replace(how, approver=door.approvals.ask)
    if body.thread_id is not None:
        thread_of(request, body.thread_id)
    ours, earlier = once(door, request, key, body)
    if earlier is not None:
        return await answered(door, request, door.agent.store.run(earlier), body.wait)
    async with AsyncExitStack() as stack:
        stack.callback(ours.over)
        stack.enter_context(door.taken(thread_id))
        await unless_gone(request, stack.enter_async_context(door.admission.turn(key)))
        run = await door.conductor.start(ours.begun(door.ask(body.question, how)), stack)
    return await answered(door, request, run, body.wait)


async def answered(door: Door, request: Request, run: Run, seconds: float) -> Response:
    """The run as it stands after so many seconds, or when it has ended."""
    if seconds:
        await unless_gone(request, door.conductor.join_within(run.run_id, seconds))
    run = door.agent.store.run(run.run_id)
    status = 202 if run.status == "running" else 200
    return JSONResponse(run_told(door.standing(run)), status, headers={"Location": f"/v1/runs/{run.run_id}"})


@router.get("/v1/runs", response_model=Page[RunObject])
async def listed(
    request: Request,
    thread_id: Annotated[str | None, Query(pattern=NAME)] = None,
    status: Status | None = None,
    before: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> dict[str, Any]:
    """The newest runs; ``before`` is the time at which the last one of the page before began."""
    door, key = door_of(request), key_of(request, "ask")
    logged = "running" if status == INTERRUPTED else status
    which = RunFilter(thread_id=thread_id, status=logged, before=before, key=None if key.may("admin") else key.name)
    found = door.agent.store.runs(which, limit)
    shown = [each for run in found if (each := door.standing(run)).status == status or status is None]
    return {"object": "list", "data": list(map(run_told, shown)), "has_more": len(found) == limit}


@router.get("/v1/runs/{run_id}", response_model=RunObject, responses={202: UNDER_WAY})
async def one(run_id: RunId, request: Request, wait: Annotated[float, Query(ge=0, le=600)] = 0) -> Response:
    """A run as it stands; with ``wait``, when it has ended, but no later than after so many seconds."""
    door = door_of(request)
    return await answered(door, request, run_of(request, run_id), wait)


@router.get("/v1/runs/{run_id}/candidates", response_model=OfRun[Candidate])
async def candidates(run_id: RunId, request: Request) -> dict[str, Any]:
    """Every attempt that came to an end, what verifiers said of it, and which one was chosen."""
    run = run_of(request, run_id)
    return {"object": "list", "run_id": run_id, "data": candidates_told(run)}


@router.get("/v1/runs/{run_id}/tree", response_model=OfRun[NodeObject])
async def tree(run_id: RunId, request: Request) -> dict[str, Any]:
    """Every node that was sampled, by its path."""
    run = run_of(request, run_id)
    return {"object": "list", "run_id": run_id, "data": [node_told(node) for node in run.nodes]}


@router.get("/v1/runs/{run_id}/events", response_model=Happening, openapi_extra=STREAM)
async def followed(
    run_id: RunId, request: Request, last_event_id: Annotated[str | None, Header(max_length=64)] = None
) -> Response:
    """What happens in a run, from its beginning, or after the event with the id ``Last-Event-ID``.

    A run that ended more than five minutes ago, or before the server began, has its end alone: look at its tree. One
    that was interrupted ends with ``run.interrupted``.
    """
    door = door_of(request)
    run = run_of(request, run_id)
    seen = int(last_event_id) if (last_event_id or "").isdecimal() else 0  # type: ignore[arg-type]
    return EventStream(events_of(door, run, seen), AsyncExitStack())


async def events_of(door: Door, run: Run, seen: int) -> AsyncGenerator[bytes, None]:
    async with aclosing(door.followed(run.run_id, seen)) as happening:
        async for number, event in happening:
            yield sent(event, number)


def sent(event: Event, number: int | None) -> bytes:
    told = event_told(event)
    return format_sse_event(data_str=json.dumps(told), event=told["type"], id=None if number is None else str(number))


@router.post("/v1/runs/{run_id}/cancel", response_model=RunObject)
async def cancelled(run_id: RunId, request: Request) -> Response:
    """Stop a run; what it sampled stays in the log. Nothing happens to one that has ended."""
    door = door_of(request)
    return JSONResponse(run_told(await door.stop(run_of(request, run_id))))


@router.post("/v1/runs/{run_id}/resume", status_code=202, response_model=RunObject, responses={200: ENDED})
async def resumed(run_id: RunId, request: Request) -> Response:
    """Go on with a run that was interrupted: its server was ended in the middle."""
    door, key = door_of(request), key_of(request, "ask")
    run = run_of(request, run_id)
    async with AsyncExitStack() as stack:
        stack.enter_context(door.taken(run.thread_id))
        await unless_gone(request, stack.enter_async_context(door.admission.turn(key)))
        await door.conductor.start(door.counted(resume(await door.now(), run_id, door.approvals.ask)), stack)
    return await answered(door, request, run, 0)


@router.delete("/v1/runs/{run_id}", response_model=Deleted)
async def deleted(run_id: RunId, request: Request) -> dict[str, Any]:
    """Remove a run and all that hangs on it, for good."""
    door = door_of(request)
    await remove(door, run_of(request, run_id))
    return {"id": run_id, "object": "run", "deleted": True}


async def remove(door: Door, run: Run) -> None:
    await door.let_go(run.run_id)
    door.conductor.forget(run.run_id)
    with suppress(StoreBusy):  # it is gone; somebody reads, and its bytes are erased later
        door.agent.store.delete(RunFilter(run_id=run.run_id))


@router.post("/v1/feedback", status_code=201, response_model=FeedbackObject)
async def feedback(body: FeedbackRequest, request: Request) -> dict[str, Any]:
    """Say what a run was worth, or which candidate was better than the chosen one: trainings can ask for it."""
    preferred = None if body.preferred is None else tuple(body.preferred)
    said = Feedback(body.run_id, body.value, body.comment, preferred)
    count = door_of(request).rate(key_of(request, "ask"), said)
    return {"object": "feedback", "run_id": body.run_id, "count": count}


@router.get("/v1/runs/{run_id}/feedback", response_model=OfRun[Said])
async def said_of(run_id: RunId, request: Request) -> dict[str, Any]:
    """What people said of a run, oldest first."""
    door = door_of(request)
    run_of(request, run_id)
    found = [to_jsonable_python(asdict(each)) for each in door.agent.store.feedback(run_id)]
    return {"object": "list", "run_id": run_id, "data": found}
