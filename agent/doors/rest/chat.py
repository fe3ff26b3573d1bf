"""``/v1/chat/completions`` and ``/v1/models``: what clients of OpenAI's API call."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import format_sse_event
from openai.types import Model
from openai.types.chat import ChatCompletion

from agent.doors.door import Door
from agent.doors.errors import ApiError, known
from agent.doors.rest.caller import door_of, key_of
from agent.doors.rest.completions import Form, chunks, completion
from agent.doors.rest.idempotency import once
from agent.doors.rest.openapi import Listed, router_of
from agent.doors.rest.requests import EFFORTS, MODEL, ChatRequest, asked
from agent.doors.rest.streaming import EventStream, unless_gone
from agent.events import Event, Finished, RunStarted
from agent.run import last_run

if TYPE_CHECKING:
    from agent.records import Run

router = router_of("OpenAI")
DONE = format_sse_event(data_str="[DONE]")


@router.post(
    "/v1/chat/completions", response_model=ChatCompletion, responses={200: {"content": {"text/event-stream": {}}}}
)
async def complete(body: ChatRequest, request: Request) -> Response:
    """Answer a conversation: at once, or with ``stream`` as server-sent events."""
    door, key = door_of(request), key_of(request, "ask")
    refuse_unknown(door, body.model)
    question, how = asked(body, door.how, door.efforts)
    how = replace(how, metadata={**how.metadata, "key": key.name})
    usage = bool(body.stream_options and body.stream_options.include_usage)
    form = Form(body.model, body.n or 1, body.stops, usage)
    ours, earlier = once(door, request, key, body)
    if earlier is not None:
        return await repeated(door, request, earlier, form, bool(body.stream))
    async with AsyncExitStack() as stack:
        stack.callback(ours.over)
        await unless_gone(request, stack.enter_async_context(door.admission.turn(key)))
        if not body.stream:
            run = await unless_gone(request, answered(ours.begun(door.ask(question, how))))
            return JSONResponse(completion(run, form).model_dump(mode="json", exclude_unset=True))
        events = await stack.enter_async_context(aclosing(ours.begun(door.ask(question, how))))
        begun = await anext(events)  # what is wrong with a question is said here, with a status
        assert isinstance(begun, RunStarted)
        return EventStream(streamed(begun.run, events, form), stack.pop_all())


async def repeated(door: Door, request: Request, run_id: str, form: Form, streams: bool) -> Response:
    """The answer of a run that an earlier request began, once it has one."""
    run = await unless_gone(request, door.ended(run_id))
    if not streams:
        return JSONResponse(completion(run, form).model_dump(mode="json", exclude_unset=True))

    async def told() -> AsyncGenerator[Event, None]:
        yield Finished(run)

    return EventStream(streamed(run, told(), replace(form, live=False)), AsyncExitStack())


async def answered(events: AsyncGenerator[Event, None]) -> Run:
    async with aclosing(events):
        return await last_run(events)


async def streamed(begun: Run, events: AsyncGenerator[Event, None], form: Form) -> AsyncGenerator[bytes, None]:
    """The chunks of a completion as events, and what failed as the last one."""
    try:
        async with aclosing(chunks(begun, events, form)) as made:
            async for chunk in made:
                yield format_sse_event(data_str=json.dumps(chunk))
    except Exception as error:  # the status has been sent: what is left to say has its place in the stream
        yield format_sse_event(data_str=json.dumps(known(error).body))
    yield DONE


def models_of(door: Door) -> list[str]:
    """The names under which the agent answers: with the default effort, or with the one that is named."""
    return [MODEL, *(f"{MODEL}-{name}" for name in door.efforts), door.agent.policy.version.model]


def refuse_unknown(door: Door, name: str) -> None:
    """Raises ``ApiError``."""
    if name not in (names := models_of(door)) and name.removeprefix(f"{MODEL}-") not in EFFORTS:
        message = f"There is no model {name[:64]!r} here; take one of {', '.join(names)}."
        raise ApiError(message, 404, code="model_not_found", param="model")


@router.get("/v1/models", response_model=Listed[Model], response_model_exclude_unset=True)
async def models(request: Request) -> dict[str, Any]:
    """What answers."""
    door = door_of(request)
    return {"object": "list", "data": [model(door, name).model_dump(exclude_unset=True) for name in models_of(door)]}


@router.get("/v1/models/{name:path}", response_model=Model, response_model_exclude_unset=True)
async def model_named(name: str, request: Request) -> dict[str, Any]:
    door = door_of(request)
    refuse_unknown(door, name)
    return model(door, name).model_dump(exclude_unset=True)


def model(door: Door, name: str) -> Model:
    return Model(id=name, created=door.since, object="model", owned_by="ponder")
