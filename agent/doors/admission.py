"""Who is let in to ask now: what a key may do a minute, a day and at once, and what this process can carry.

What a key may do is counted in the home, for all processes that share it; turns are this process's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.doors.errors import SERVER, ApiError
from agent.doors.keys import Key
from agent.errors import RunUnderWay

if TYPE_CHECKING:
    from agent.store import Store


@dataclass(slots=True)
class Admission:
    """Counts. ``spent`` says how many tokens a key has used today."""

    concurrent: int  # questions under way at once, of all keys
    waiting: int  # that may wait for their turn
    store: Store
    spent: Callable[[str], int]
    changed: Callable[[], None] = lambda: None  # called whenever one of the counts is another
    _turns: asyncio.Semaphore = field(init=False)
    _inside: int = field(init=False, default=0)
    _queued: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.concurrent)

    @property
    def under_way(self) -> int:
        return self._inside - self._queued

    @property
    def queued(self) -> int:
        return self._queued

    @asynccontextmanager
    async def turn(self, key: Key) -> AsyncIterator[None]:
        """A place to ask in, for as long as the block lasts; waits for one.

        Raises ``ApiError``: 429 where the key has used what it may, 503 where too many wait.
        """
        with self._let_in(key):
            await self._wait()
            try:
                yield
            finally:
                self._turns.release()

    async def _wait(self) -> None:
        self._queued += 1
        self.changed()
        try:
            await self._turns.acquire()
        finally:
            self._queued -= 1
            self.changed()

    @contextmanager
    def _let_in(self, key: Key) -> Iterator[None]:
        limits = key.limits
        if self._turns.locked() and self._queued >= self.waiting:
            raise ApiError(
                "Too many questions wait already; ask again in a moment.", 503, SERVER, "overloaded", headers=after(5)
            )
        with ExitStack() as stack:
            if limits.concurrent is not None:
                self._take_place(key, limits.concurrent, stack)
            if limits.tokens is not None and self.spent(key.name) >= limits.tokens:
                raise limit(
                    f"{limits.tokens:,} sampled tokens a day (UTC)", after(until_midnight()), "insufficient_quota"
                )
            if limits.requests is not None and (wait := self.store.requests.within(key.name, limits.requests)):
                raise limit(f"{limits.requests} questions a minute", after(wait))
            self._inside += 1
            self.changed()
            try:
                yield
            finally:
                self._inside -= 1
                self.changed()

    def _take_place(self, key: Key, most: int, stack: ExitStack) -> None:
        """One of the key's, which no process has; the kernel frees those of a process that was killed."""
        name = hashlib.sha256(key.name.encode()).hexdigest()[:12]
        for place in range(most):
            try:
                return stack.enter_context(self.store.claim(f"key-{name}-{place}"))
            except RunUnderWay:
                continue
        raise limit(f"{most} at once", after(1))


def until_midnight() -> float:
    """Seconds, UTC."""
    now = datetime.now(UTC)
    return 86_400 - (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def limit(what: str, headers: dict[str, str], code: str = "rate_limit_exceeded") -> ApiError:
    said = f"This key's limit of {what} is reached; ask again in {headers['Retry-After']} seconds."
    return ApiError(said, 429, "requests", code, headers=headers)
