"""Answers that last: server-sent events, and the client that goes away before the end.

Whoever has gone is noticed at once, by listening, not by failing to write; what was being made for it is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.types import Receive, Scope, Send

T = TypeVar("T")
KEEP_ALIVE = 15.0  # seconds of silence after which a comment is sent, for proxies


class EventStream(EventSourceResponse):
    """Events as they come, of a generator that is closed when the client goes away, and ``stack`` after it."""

    def __init__(self, events: AsyncGenerator[bytes, None], stack: AsyncExitStack) -> None:
        super().__init__(kept_alive(events), headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._events, self._stack = events, stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack, aclosing(self._events):
            await first(self.stream_response(send), self.listen_for_disconnect(receive))


async def kept_alive(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """With a comment wherever nothing comes for a while."""
    coming: asyncio.Future[bytes] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events))
            await asyncio.wait({coming}, timeout=KEEP_ALIVE)
            if not coming.done():
                yield format_sse_event(comment="keep-alive")
                continue
            event, coming = coming, None
            try:
                yield event.result()
            except StopAsyncIteration:
                return
    finally:
        if coming is not None:
            await ended(coming)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` comes to. Raises ``ClientDisconnect``, after cancelling it, where the client goes away."""

    async def gone() -> T:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        raise ClientDisconnect

    return await first(work, gone())


async def first(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, T]) -> T:
    """What the first of the two comes to; the other one is cancelled, and waited for."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        await asyncio.gather(*map(ended, tasks))


async def ended(task: asyncio.Future[Any]) -> None:
    """Cancelled where it is not done, and waited for."""
    if not task.done():
        task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # it has been looked at
