"""``/v1/versions``: which weights there are and which of them answer; for keys with the scope admin."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import Field

from agent.doors.door import Door
from agent.doors.forms import Told, told_of
from agent.doors.rest.caller import door_of, key_of
from agent.doors.rest.openapi import Body, Listed, router_of
from agent.policy import registry

router = router_of("Versions")


class PromoteRequest(Body):
    version: Annotated[str, Field(min_length=1, max_length=64)]  # its id, or the beginning of it
    force: bool = False  # also one that the gate rejected


class VersionObject(told_of(registry.Version)):
    """One set of weights."""

    object: Literal["version"]


class Versions(Listed[VersionObject]):
    """All there are."""

    promoted: str | None  # which answers; null: the base


class Answering(Told):
    """What answers."""

    promoted: str | None  # null: the base
    answers: str  # at this moment: a server may take a while


@router.get("/v1/versions", response_model=Versions)
async def listed(request: Request) -> dict[str, Any]:
    """Every version with what it was made from and what the gate said, and the one that answers."""
    home = permitted(request).settings.home
    found = [{"object": "version", **asdict(version)} for version in registry.versions(home)]
    return {"object": "list", "data": found, "promoted": registry.current(home).promoted}


@router.post("/v1/versions/promote", response_model=Answering)
async def promote(body: PromoteRequest, request: Request) -> dict[str, Any]:
    """Let a version answer: new runs take it as soon as it is loaded, runs under way keep theirs."""
    door = permitted(request)
    registry.promote(door.settings.home, body.version, body.force)
    return await answering(door)


@router.post("/v1/versions/rollback", response_model=Answering)
async def rollback(request: Request) -> dict[str, Any]:
    """Go back to the version that was promoted before, or to the base."""
    door = permitted(request)
    registry.rollback(door.settings.home)
    return await answering(door)


async def answering(door: Door) -> dict[str, Any]:
    """What is promoted, and what answers at this moment: a server may take a while."""
    agent = await door.now()
    policy = agent.policy.at(None).version
    return {"promoted": registry.current(door.settings.home).promoted, "answers": str(policy)}


def permitted(request: Request) -> Door:
    key_of(request, "admin")
    return door_of(request)
