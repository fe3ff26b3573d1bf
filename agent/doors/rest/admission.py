"""Who is let in to ask now: what a key may do a minute, a day and at once, and what the server can carry.

For one process; tokens of a day are counted in the log.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.doors.keys import Key
from agent.doors.rest.errors import SERVER, ApiError

MINUTE = 60.0


@dataclass(slots=True)
class Admission:
    """Counts. ``spent`` says how many tokens a key has used today."""

    concurrent: int  # questions under way at once, of all keys
    waiting: int  # that may wait for their turn
    spent: Callable[[str], int]
    clock: Callable[[], float] = time.monotonic
    _turns: asyncio.Semaphore = field(init=False)
    _inside: Counter[str] = field(init=False, default_factory=Counter)  # by key
    _queued: int = field(init=False, default=0)
    _asked: dict[str, deque[float]] = field(init=False, default_factory=dict)  # when, in the last minute, by key

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.concurrent)

    @property
    def under_way(self) -> int:
        return self._inside.total() - self._queued

    @property
    def queued(self) -> int:
        return self._queued

    @asynccontextmanager
    async def turn(self, key: Key) -> AsyncIterator[None]:
        """A place to ask in, for as long as the block lasts; waits for one.

        Raises ``ApiError``: 429 where the key has used what it may, 503 where too many wait.
        """
        self.refuse(key)
        self._inside[key.name] += 1
        try:
            await self._wait()
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._inside[key.name] -= 1

    async def _wait(self) -> None:
        self._queued += 1
        try:
            await self._turns.acquire()
        finally:
            self._queued -= 1

    def refuse(self, key: Key) -> None:
        """Raise where the key may not ask now; else note that it asks."""
        limits = key.limits
        if self._turns.locked() and self._queued >= self.waiting:
            raise ApiError(
                "Too many questions wait already; ask again in a moment.", 503, SERVER, "overloaded", headers=after(5)
            )
        if limits.concurrent is not None and self._inside[key.name] >= limits.concurrent:
            raise limit(f"{limits.concurrent} questions at once", after(1))
        if limits.tokens is not None and self.spent(key.name) >= limits.tokens:
            raise limit(f"{limits.tokens:,} tokens a day", after(3600), "insufficient_quota")
        if limits.requests is not None:
            self._note(key, limits.requests)

    def _note(self, key: Key, most: int) -> None:
        asked, now = self._asked.setdefault(key.name, deque()), self.clock()
        while asked and asked[0] <= now - MINUTE:
            asked.popleft()
        if len(asked) >= most:
            raise limit(f"{key.limits.requests} requests a minute", after(asked[0] + MINUTE - now))
        asked.append(now)


def after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def limit(what: str, headers: dict[str, str], code: str = "rate_limit_exceeded") -> ApiError:
    return ApiError(f"This key's limit of {what} is reached; ask again later.", 429, "requests", code, headers=headers)
