"""For who starts and watches servers: whether this one lives, and whether it takes questions. What it used, by key."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BeforeValidator

from agent.doors.forms import Told, told_of
from agent.doors.rest.caller import door_of, key_of
from agent.doors.rest.openapi import KEYED, Listed, router_of
from agent.spending import Used

router = router_of("Server", keyed=False)


class Ready(Told):
    """Questions are taken."""

    status: Literal["ok"]
    policy: str
    under_way: int  # questions that are answered at this moment


class KeyUsage(told_of(Used)):
    """What one key's runs came to."""


class UsageList(Listed[KeyUsage]):
    """Of each key."""

    since: str  # a day


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=Ready)
async def ready(request: Request) -> dict[str, Any]:
    """Questions are taken: the model is there, and the log can be read."""
    door = door_of(request)
    door.agent.store.runs(limit=1)
    return {"status": "ok", "policy": str(door.agent.policy.version), "under_way": door.admission.under_way}


@router.get("/metrics", response_class=PlainTextResponse, dependencies=[KEYED])
async def metrics(request: Request) -> Response:
    """For Prometheus, of all workers. Scope admin."""
    key_of(request, "admin")
    return Response(door_of(request).metrics.told(), media_type=CONTENT_TYPE_LATEST)


def day(said: object) -> date:
    """Of a calendar, as ISO 8601 writes it; pydantic's own would take a number for seconds. Raises ``ValueError``."""
    return datetime.strptime(str(said), "%Y-%m-%d").date()


@router.get("/v1/usage", response_model=UsageList, dependencies=[KEYED])
async def usage(request: Request, since: Annotated[date | None, BeforeValidator(day)] = None) -> dict[str, Any]:
    """What was used since a day (UTC), today by default: by this key; by every key for one with the scope admin."""
    key, door = key_of(request, "ask"), door_of(request)
    first = (since or datetime.now(UTC).date()).isoformat()
    used = door.agent.store.spending.since(first, None if key.may("admin") else key.name)
    return {"object": "list", "since": first, "data": list(map(asdict, used))}
