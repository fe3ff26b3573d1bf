"""Answers that last: server-sent events, and the client that goes away before the end.

Whoever has gone is noticed at once, by listening, not by failing to write; what was being made for it is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.types import Message, Receive, Scope, Send

T = TypeVar("T")
KEEP_ALIVE = 15.0  # seconds of silence after which a comment is sent, for proxies
COMMENT = format_sse_event(comment="keep-alive")


class EventStream(EventSourceResponse):
    """Events as they come, of a generator that is closed when the client goes away, and ``stack`` after it; comments
    where nothing comes for a while.
    """

    def __init__(self, events: AsyncGenerator[bytes, None], stack: AsyncExitStack) -> None:
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._events, self._stack = events, stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        talk = Talk(send)
        async with self._stack, aclosing(self._events):
            await first(self.stream_response(talk.say), self.listen_for_disconnect(receive), talk.keep_alive())


class Talk:
    """What is sent, and when that was last: no task is made for any one event."""

    def __init__(self, send: Send) -> None:
        self._send, self._clock = send, asyncio.get_running_loop().time
        self._last = self._clock()

    async def say(self, message: Message) -> None:
        self._last = self._clock()
        await self._send(message)

    async def keep_alive(self) -> None:
        """Never ends; the answer's beginning has long been sent when it says something first."""
        while True:
            silent = self._clock() - self._last
            if silent >= KEEP_ALIVE:
                await self.say({"type": "http.response.body", "body": COMMENT, "more_body": True})
            else:
                await asyncio.sleep(KEEP_ALIVE - silent)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` comes to. Raises ``ClientDisconnect``, after cancelling it, where the client goes away."""

    async def gone() -> T:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        raise ClientDisconnect

    return await first(work, gone())


async def first(*works: Coroutine[Any, Any, T]) -> T:
    """What the first of them comes to; the others are cancelled, and waited for."""
    tasks = [asyncio.ensure_future(work) for work in works]
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
