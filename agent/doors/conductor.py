"""Runs that go on whoever listens: each is driven by a task of its own, and what happens in it is kept until it ends.

Whoever follows a run gets all of it, from the first event or from where a connection broke. Of a run that has ended, or
that another process drives, the log has the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

from agent.events import Event, RunStarted
from agent.records import Run
from agent.run import LEFT

KEPT, KEPT_SECONDS = 256, 300.0  # runs that have ended, of which is told what happened in them
_log = logging.getLogger("ponder.doors")


@dataclass(slots=True)
class UnderWay:
    """A run that this process drives."""

    run: Run
    happened: list[Event]
    more: asyncio.Event = field(default_factory=asyncio.Event)  # set, and replaced, with each event
    over: bool = False
    task: asyncio.Task[None] | None = None

    def tell(self, event: Event) -> None:
        self.happened.append(event)
        self._wake()

    def end(self) -> None:
        self.over = True
        self._wake()

    def _wake(self) -> None:
        self.more.set()
        self.more = asyncio.Event()


class Conductor:
    """All runs that this process drives apart from any request."""

    def __init__(self) -> None:
        self._under_way: dict[str, UnderWay] = {}
        self._ended: dict[str, UnderWay] = {}  # a while ago

    async def start(self, events: AsyncGenerator[Event, None], stack: AsyncExitStack) -> Run:
        """Begin to drive a run, and return it as it begins; ``stack`` is closed when it has ended.

        Raises what the first step of the run does; then nothing is driven, and the stack is the caller's.
        """
        begun = await anext(events)
        assert isinstance(begun, RunStarted)
        ours = UnderWay(begun.run, [begun])
        self._under_way[begun.run.run_id] = ours
        ours.task = asyncio.create_task(self._drive(ours, events, stack.pop_all()))
        return begun.run

    async def _drive(self, ours: UnderWay, events: AsyncGenerator[Event, None], stack: AsyncExitStack) -> None:
        try:
            async with stack, aclosing(events):
                async for event in events:
                    ours.tell(event)
        except Exception:
            _log.exception("run %s broke off", ours.run.run_id)
        finally:
            del self._under_way[ours.run.run_id]
            self._keep(ours)
            ours.end()

    def _keep(self, ours: UnderWay) -> None:
        """What happened in a run can be heard for a while after its end: a connection may just have broken."""
        run_id = ours.run.run_id
        self._ended[run_id] = ours
        while len(self._ended) > KEPT:
            del self._ended[next(iter(self._ended))]
        asyncio.get_running_loop().call_later(KEPT_SECONDS, self._over, ours)

    def _over(self, ours: UnderWay) -> None:
        if self._ended.get(ours.run.run_id) is ours:
            del self._ended[ours.run.run_id]

    def forget(self, run_id: str) -> None:
        """A run that was deleted is heard of no more."""
        self._ended.pop(run_id, None)

    def drives(self, run_id: str) -> bool:
        return run_id in self._under_way

    async def follow(self, run_id: str, seen: int = 0) -> AsyncGenerator[tuple[int, Event], None]:
        """The events of a run that is driven here, each with its number from 1 on, after the first ``seen``; then as
        they come. Nothing where it was not driven here, or ended long ago.
        """
        ours = self._under_way.get(run_id) or self._ended.get(run_id)
        if ours is not None and seen > len(ours.happened):
            seen = 0  # a number of an earlier process, which says nothing here
        while ours is not None:
            more = ours.more
            for event in ours.happened[seen:]:
                seen += 1
                yield seen, event
            if ours.over and seen == len(ours.happened):
                return
            if seen == len(ours.happened):
                await more.wait()

    async def cancel(self, run_id: str) -> bool:
        """Stop a run that is driven here, and wait for that; whether there was one."""
        ours = self._under_way.get(run_id)
        if ours is None or ours.task is None:
            return False
        ours.task.cancel()
        await asyncio.wait([ours.task])
        return True

    async def join(self, run_id: str) -> None:
        """Wait until a run that is driven here has ended."""
        ours = self._under_way.get(run_id)
        if ours is not None and ours.task is not None:
            await asyncio.wait([ours.task])

    async def join_within(self, run_id: str, seconds: float) -> None:
        """As ``join``, for so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.join(run_id)

    async def close(self, seconds: float) -> None:
        """Wait so long for what is under way, then leave it in the middle: the next server can go on with it."""
        tasks = [ours.task for ours in self._under_way.values() if ours.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel(LEFT)
            await asyncio.gather(*late, return_exceptions=True)


@asynccontextmanager
async def conducting(seconds: float) -> AsyncIterator[Conductor]:
    """A conductor for as long as the block lasts, and ``seconds`` more for what is under way then."""
    conductor = Conductor()
    try:
        yield conductor
    finally:
        await conductor.close(seconds)
