"""``/v1/memories``: what runs that ask for it are told of earlier conversations. A key has its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Path, Request
from pydantic import Field

from agent.doors.errors import ApiError
from agent.doors.forms import Told, told_of
from agent.doors.rest.caller import door_of, key_of
from agent.doors.rest.openapi import Body, Deleted, Listed, links, router_of
from agent.errors import NotInLog
from agent.memories import LONGEST, Memory

router = router_of("Memories")


class MemoryRequest(Body):
    """A fact."""

    text: Annotated[str, Field(min_length=1, max_length=LONGEST)]


class MemoryObject(told_of(Memory)):
    """A fact."""

    object: Literal["memory"]


class AllDeleted(Told):
    """They are gone."""

    object: Literal["list"]
    deleted: Literal[True]
    count: int


@router.get("/v1/memories", response_model=Listed[MemoryObject])
async def listed(request: Request) -> dict[str, Any]:
    """What is kept, newest first."""
    door, key = door_of(request), key_of(request, "ask")
    return {"object": "list", "data": list(map(shown, door.agent.store.memories.all(key.name)))}


@router.post(
    "/v1/memories",
    status_code=201,
    response_model=MemoryObject,
    responses={201: links("memory_id", "id", "memories_deleted")},
)
async def kept(body: MemoryRequest, request: Request) -> dict[str, Any]:
    """Keep a fact."""
    door, key = door_of(request), key_of(request, "ask")
    if not body.text.strip():
        raise ApiError("The text is empty; write what is to be kept.", param="text")
    return shown(door.agent.store.memories.add(key.name, body.text))


@router.delete("/v1/memories", response_model=AllDeleted)
async def all_deleted(request: Request) -> dict[str, Any]:
    """Forget all of them, for good."""
    door, key = door_of(request), key_of(request, "ask")
    return {"object": "list", "deleted": True, "count": door.agent.store.memories.forget(key.name)}


@router.delete("/v1/memories/{memory_id}", response_model=Deleted)
async def deleted(memory_id: Annotated[int, Path(ge=1, lt=2**63)], request: Request) -> dict[str, Any]:
    """Forget one, for good."""
    door, key = door_of(request), key_of(request, "ask")
    if not door.agent.store.memories.forget(key.name, memory_id):
        raise NotInLog(f"There is no memory {memory_id} in the log.")
    return {"id": memory_id, "object": "memory", "deleted": True}


def shown(memory: Memory) -> dict[str, Any]:
    return {"object": "memory", **asdict(memory)}
