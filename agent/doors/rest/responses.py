"""``/v1/responses``: OpenAI's Responses API. A response is a run: it goes on with an earlier one by its id, can be
looked at again, followed from where a connection broke, and cancelled.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Path as InPath
from fastapi import Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import format_sse_event
from openai.types import responses as wire

from agent.doors.door import Door
from agent.doors.errors import SOON, ApiError, known
from agent.doors.rest.caller import door_of, key_of, run_of
from agent.doors.rest.chat import refuse_unknown
from agent.doors.rest.completions import Form, calls_of, chosen, content_of
from agent.doors.rest.idempotency import once
from agent.doors.rest.openapi import Deleted, Page, links, router_of
from agent.doors.rest.requests import Call, asked, call_of
from agent.doors.rest.response_object import ECHO, PREFIX, events_of, input_items, response
from agent.doors.rest.response_request import RESPONSE_ID, ResponseRequest, as_chat
from agent.doors.rest.runs import remove
from agent.doors.rest.streaming import EventStream, unless_gone
from agent.events import Event
from agent.records import Run

router = router_of("OpenAI")
ResponseId = Annotated[str, InPath(pattern=RESPONSE_ID)]
NEXT = links("response_id", "id", "responses_retrieve", "responses_inputs", "responses_cancel", "responses_delete")
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


@router.post("/v1/responses", response_model=wire.Response, responses={200: {**STREAM[200], **NEXT}})
async def respond(body: ResponseRequest, request: Request) -> Response:
    """Answer: at once, with ``stream`` as events, or with ``background`` whenever it is looked at again."""
    door, key = door_of(request), key_of(request, "ask")
    refuse_unknown(door, body.model)
    before, thread_id = earlier_than(door, request, body)
    question, how = asked(as_chat(body), door.how, door.efforts, before)
    metadata = {**how.metadata, "key": key.name, ECHO: body.echoed()}
    how = replace(how, metadata=metadata, thread_id=thread_id)
    ours, repeated = once(door, request, key, body)
    if repeated is not None:
        return await shown(door, request, door.agent.store.run(repeated), body)
    async with AsyncExitStack() as stack:
        stack.callback(ours.over)
        await unless_gone(request, stack.enter_async_context(door.admission.turn(key)))
        run = await door.conductor.start(ours.begun(door.ask(question, how)), stack)
    async with AsyncExitStack() as stack:
        if not body.background:  # it ends when the client goes away
            stack.push_async_callback(door.conductor.cancel, run.run_id)
        return await shown(door, request, run, body, stack)


async def shown(
    door: Door, request: Request, run: Run, body: ResponseRequest, stack: AsyncExitStack | None = None
) -> Response:
    """The response as the request wants it. ``stack`` is closed behind a stream of it."""
    if body.stream:
        return EventStream(streamed(door, run, -1), stack.pop_all() if stack else AsyncExitStack())
    if not body.background:
        await unless_gone(request, door.conductor.join(run.run_id))
        await unless_gone(request, door.ended(run.run_id))
    run = door.standing(door.agent.store.run(run.run_id))
    if not body.background and run.status != "running":
        chosen(run, 1)  # what came to nothing has the status of its failure
    return JSONResponse(response(run))


async def streamed(door: Door, run: Run, seen: int) -> AsyncGenerator[bytes, None]:
    """The events after the one with the number ``seen``, and what failed as the last one."""
    try:
        async with aclosing(numbered(door, run, seen)) as events:
            async for event in events:
                yield format_sse_event(data_str=json.dumps(event), event=event["type"])
    except Exception as error:  # the status has been sent
        said = known(error)
        failed = {"type": "error", "code": said.code, "message": str(said), "param": said.param, "sequence_number": 0}
        yield format_sse_event(data_str=json.dumps(failed), event="error")


async def numbered(door: Door, run: Run, seen: int) -> AsyncGenerator[dict[str, Any], None]:
    """What happens in a response; its end in any case, which of one that another process made is all there is."""
    last = None
    async with aclosing(happening(door, run.run_id)) as heard, aclosing(events_of(run, heard)) as events:
        async for event in events:
            last = event
            if event["sequence_number"] > seen:
                yield event
    if last is not None and last["sequence_number"] <= seen:
        yield last | {"sequence_number": seen + 1}


async def happening(door: Door, run_id: str) -> AsyncGenerator[Event, None]:
    async with aclosing(door.followed(run_id)) as events:
        async for _, event in events:
            yield event


# --- going on ---------------------------------------------------------------------------------------------------------


def earlier_than(door: Door, request: Request, body: ResponseRequest) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    """The instructions and the conversation before the request's input, and the thread of that conversation."""
    told = [{"role": "system", "content": body.instructions}] if body.instructions is not None else []
    if body.previous_response_id is None:
        return told, None
    run = response_run(request, body.previous_response_id)
    if run.status == "running":
        raise ApiError("The previous response has not ended.", 409, code="response_under_way", headers=SOON)
    return [*told, *conversation(door, run)], run.thread_id


def conversation(door: Door, run: Run) -> Sequence[Mapping[str, Any]]:
    """What was said until the run had ended; its instructions held for itself alone."""
    leaf, form = chosen(run, 1)[0], Form("")
    said: dict[str, Any] = {"role": "assistant", "content": content_of(run, leaf, form)}
    if calls := calls_of(run, leaf):
        said["tool_calls"] = [call_of(Call.model_validate(call), "input") for call in calls]
    return [*asked_in(door, run), said]


def asked_in(door: Door, run: Run) -> Sequence[Mapping[str, Any]]:
    """The conversation with which a run was asked."""
    if run.supplied.messages:
        instructed = run.metadata.get(ECHO, {}).get("instructions") is not None
        return run.supplied.messages[instructed:]
    told = []
    for past in reversed(door.agent.store.before(run)):
        told += [{"role": "user", "content": past.question}, {"role": "assistant", "content": past.answer or ""}]
    return [*told, {"role": "user", "content": run.question}]


# --- looking again ----------------------------------------------------------------------------------------------------


def response_run(request: Request, response_id: str) -> Run:
    """Raises ``NotInLog``."""
    return run_of(request, response_id.removeprefix(PREFIX))


@router.get("/v1/responses/{response_id}", response_model=wire.Response, responses=STREAM)
async def retrieve(
    response_id: ResponseId,
    request: Request,
    stream: bool = False,
    starting_after: Annotated[int, Query(ge=-1, le=2**53)] = -1,
) -> Response:
    """A response as it stands; with ``stream``, its events after the one numbered ``starting_after``."""
    door = door_of(request)
    run = response_run(request, response_id)
    if stream:
        return EventStream(streamed(door, run, starting_after), AsyncExitStack())
    return JSONResponse(response(door.standing(run)))


class InputItems(Page[dict[str, Any]]):
    """What was asked, in OpenAI's forms of items."""

    first_id: str | None
    last_id: str | None


@router.get("/v1/responses/{response_id}/input_items", response_model=InputItems)
async def inputs(
    response_id: ResponseId,
    request: Request,
    after: Annotated[str | None, Query(max_length=256)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """What was asked with it, the conversation before it included."""
    door = door_of(request)
    run = response_run(request, response_id)
    found = input_items(run.run_id, asked_in(door, run))
    found = found if order == "asc" else found[::-1]
    start = next((place + 1 for place, each in enumerate(found) if each["id"] == after), 0)
    page = found[start : start + limit]
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return {"object": "list", "data": page, **ends, "has_more": start + limit < len(found)}


@router.post("/v1/responses/{response_id}/cancel", response_model=wire.Response)
async def cancel(response_id: ResponseId, request: Request) -> Response:
    """Stop a response; what it sampled stays in the log. Nothing happens to one that has ended."""
    door = door_of(request)
    return JSONResponse(response(await door.stop(response_run(request, response_id))))


@router.delete("/v1/responses/{response_id}", response_model=Deleted)
async def delete(response_id: ResponseId, request: Request) -> dict[str, Any]:
    """Remove a response, and all that hangs on its run, for good."""
    door = door_of(request)
    await remove(door, response_run(request, response_id))
    return {"id": response_id, "object": "response", "deleted": True}
