"""For who starts and watches servers: whether this one lives, and whether it takes questions. What it used, by key."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from agent.doors.rest.door import door_of, key_of

router = APIRouter(tags=["Server"])


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready(request: Request) -> dict[str, Any]:
    """Questions are taken: the model is there, and the log can be read."""
    door = door_of(request)
    return {"status": "ok", "policy": str(door.agent.policy.version), "under_way": door.admission.under_way}


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """For Prometheus; of this process alone. Scope admin."""
    key_of(request, "admin")
    return Response(door_of(request).metrics.told(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/usage")
async def usage(request: Request, since: date | None = None) -> dict[str, Any]:
    """What was used since a day (UTC), today by default: by this key; by every key for one with the scope admin."""
    key, door = key_of(request, "ask"), door_of(request)
    day = (since or datetime.now(UTC).date()).isoformat()
    used = door.agent.store.used(day, None if key.may("admin") else key.name)
    return {"object": "list", "since": day, "data": list(map(asdict, used))}
