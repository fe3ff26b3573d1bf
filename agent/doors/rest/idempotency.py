"""A request that is sent twice under one Idempotency-Key is carried out once, whichever worker it reaches."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.doors.errors import SOON, ApiError
from agent.errors import RunUnderWay
from agent.events import Event, RunStarted

if TYPE_CHECKING:
    from fastapi import Request
    from pydantic import BaseModel

    from agent.doors.door import Door
    from agent.doors.keys import Key
    from agent.store import Store

NAME = re.compile(r"[\x21-\x7e]{1,256}")


@dataclass(frozen=True, slots=True)
class Once:
    """A request under its name; a request without one is carried out whenever it comes."""

    store: Store
    key: str
    name: str | None
    held: ExitStack  # while it is being begun: a claim, which the kernel lets go of where the process ends

    async def begun(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The same events; the run that begins is the request's."""
        async with aclosing(events):
            async for event in events:
                if isinstance(event, RunStarted) and self.name is not None:
                    self.store.requests.carried_out(self.key, self.name, event.run.run_id)
                    self.held.close()
                yield event

    def over(self) -> None:
        """Where no run was begun, it may be sent again."""
        if self.name is not None:
            self.store.requests.forget(self.key, self.name)
        self.held.close()


def once(door: Door, request: Request, key: Key, body: BaseModel) -> tuple[Once, str | None]:
    """The request, and the run that carried it out already.

    Raises ``ApiError``: 422 where the name is that of another request, 409 while the first one is being begun.
    """
    name = request.headers.get("idempotency-key")
    ours = Once(door.agent.store, key.name, name, ExitStack())
    if name is None:
        return ours, None
    if not NAME.fullmatch(name):
        raise ApiError("An Idempotency-Key has 1 to 256 printable ASCII characters.", code="invalid_idempotency_key")
    asked = f"{request.url.path}\n{body.model_dump_json()}"
    fingerprint = hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()
    requests, busy = door.agent.store.requests, False
    try:
        ours.held.enter_context(door.agent.store.claim(f"request-{claimed_as(key.name, name)}"))
    except RunUnderWay:
        busy = True
    earlier = requests.begin(key.name, name, fingerprint)
    if earlier is not None and earlier.run_id is None and not busy:  # its process ended before it had begun a run
        requests.forget(key.name, name)
        earlier = requests.begin(key.name, name, fingerprint)
    if earlier is None:
        return ours, None
    ours.held.close()
    if earlier.fingerprint != fingerprint:
        raise ApiError("This Idempotency-Key is that of another request.", 422, code="idempotency_mismatch")
    if earlier.run_id is None:
        raise ApiError("The first request of this name is being begun.", 409, code="idempotency_busy", headers=SOON)
    return ours, earlier.run_id


def claimed_as(key: str, name: str) -> str:
    return hashlib.sha256(f"{key}\n{name}".encode()).hexdigest()[:24]
