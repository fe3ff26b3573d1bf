"""Where the conversation's events come from: an agent in this process, in a thread of its own, so that no key waits for
the model.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from agent.approval import Approval
    from agent.context import Agent
    from agent.effort import Effort
    from agent.events import ApprovalNeeded, Event
    from agent.records import Feedback, Run
    from agent.settings import Settings
    from agent.threads import Thread

    Opens = Callable[[Settings], AbstractAsyncContextManager[Agent]]

T = TypeVar("T")
RUNS = 1_000  # of a thread that are shown


class Source(Protocol):
    """What a screen needs of an agent, wherever that is."""

    async def open(self) -> str:
        """Until it can be asked; what it is, in a word. Raises ``PonderError``."""
        ...

    def ask(self, question: str, thread: str, effort: str, learn: bool) -> AsyncGenerator[Event, None]:
        """What happens. Closing it cancels the run. ``learn``: whether trainings may take it."""
        ...

    def give(self, question: str, word: Approval) -> None:
        """A person's word on what waits for one, by its id."""
        ...

    async def threads(self, limit: int = 100) -> list[Thread]: ...

    async def runs(self, thread: str) -> list[Run]:
        """All that were asked in it or in what it was forked from, oldest first."""
        ...

    async def fork(self, thread: str, until: str | None = None) -> str:
        """A thread that begins as that one stands, or stood after the run that began at ``until``."""
        ...

    async def delete(self, thread: str) -> int:
        """With its runs; how many those were."""
        ...

    async def keep(self, thread: str, out: bool) -> None:
        """Out of every training, or in."""
        ...

    async def documents(self, sources: Collection[str]) -> dict[str, str]:
        """Whole texts, of those that are indexed here."""
        ...

    async def run(self, run_id: str) -> Run:
        """As it stands in the log."""
        ...

    async def rate(self, feedback: Feedback) -> None: ...

    async def close(self) -> None: ...


class Here:
    """An agent of these settings. ``opens`` makes it, in its own loop: ``assemble`` unless another is given."""

    def __init__(self, settings: Settings, effort: Effort, opens: Opens | None = None) -> None:
        self._settings, self._effort, self._opens = settings, effort, opens
        self._stack = AsyncExitStack()
        self._agent: Agent | None = None
        self._words: dict[str, asyncio.Future[Approval]] = {}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="agent").start()

    async def open(self) -> str:
        async def opened() -> str:
            from agent.assemble import assemble

            opens = self._opens or assemble
            self._agent = await self._stack.enter_async_context(opens(self._settings))
            return str(self._agent.policy.version)

        return await self._there(opened())

    async def ask(self, question: str, thread: str, effort: str, learn: bool) -> AsyncGenerator[Event, None]:
        here, happening = asyncio.get_running_loop(), asyncio.Queue["Event | None"]()

        async def asked() -> None:
            from agent.effort import EFFORTS
            from agent.run import asked_by, stream, within

            chosen = self._effort if effort == self._effort.name else within(self._settings, EFFORTS[effort])
            how = replace(asked_by(self._settings, chosen, thread), approver=self._asked)
            how = how if learn else replace(how, metadata={**how.metadata, "train": "no"})
            try:
                async with aclosing(stream(self._ready, question, how)) as events:
                    async for event in events:
                        here.call_soon_threadsafe(happening.put_nowait, event)
            finally:
                here.call_soon_threadsafe(happening.put_nowait, None)

        asking = asyncio.run_coroutine_threadsafe(asked(), self._loop)
        try:
            while (event := await happening.get()) is not None:
                yield event
            await asyncio.wrap_future(asking)
        finally:
            if asking.cancel() or not asking.done():
                while await happening.get() is not None:  # until it has been cancelled, and logged
                    pass

    async def _asked(self, _: Run, needed: ApprovalNeeded) -> Approval:
        word = self._words[needed.id] = self._loop.create_future()
        try:
            return await word
        finally:
            del self._words[needed.id]

    def give(self, question: str, word: Approval) -> None:
        def given() -> None:
            waiting = self._words.get(question)
            if waiting is not None and not waiting.done():
                waiting.set_result(word)

        self._loop.call_soon_threadsafe(given)

    async def threads(self, limit: int = 100) -> list[Thread]:
        return await asyncio.to_thread(lambda: self._ready.store.threads.all(limit=limit))

    async def runs(self, thread: str) -> list[Run]:
        from agent.store import RunFilter

        def found() -> list[Run]:
            store = self._ready.store
            lineage = store.threads.lineage(thread, datetime.now(UTC).isoformat())
            which = (RunFilter(thread_id=each, before=before, summaries=False) for each, before in lineage)
            runs = [store.run(run.run_id) for each in which for run in store.runs(each, limit=RUNS)]
            return sorted(runs, key=lambda run: run.started_at)

        return await asyncio.to_thread(found)

    async def fork(self, thread: str, until: str | None = None) -> str:
        return (await asyncio.to_thread(self._ready.store.threads.fork, thread, until)).thread_id

    async def delete(self, thread: str) -> int:
        from agent.assemble import forget_checkpoints
        from agent.store import RunFilter

        def deleted() -> int:
            store, which = self._ready.store, RunFilter(thread_id=thread)
            ids = [run.run_id for run in store.runs(which)]
            count = store.delete(which)
            store.threads.forget(thread)
            forget_checkpoints(self._settings, ids)
            return count

        return await asyncio.to_thread(deleted)

    async def keep(self, thread: str, out: bool) -> None:
        from agent.store import RunFilter

        change = {"train": "no" if out else None}
        await asyncio.to_thread(self._ready.store.describe, RunFilter(thread_id=thread), change)

    async def documents(self, sources: Collection[str]) -> dict[str, str]:
        from agent.assemble import index_folder
        from retrieval.errors import RetrievalError
        from retrieval.library import read_snapshot

        def read() -> dict[str, str]:
            with suppress(RetrievalError):
                known = read_snapshot(index_folder(self._settings), with_vectors=False).documents
                return {each.source: each.text for each in known if each.source in sources}
            return {}

        return await asyncio.to_thread(read)

    async def run(self, run_id: str) -> Run:
        return await asyncio.to_thread(self._ready.store.run, run_id)

    async def rate(self, feedback: Feedback) -> None:
        await asyncio.to_thread(self._ready.store.add_feedback, feedback)

    async def close(self) -> None:
        await self._there(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)

    @property
    def _ready(self) -> Agent:
        assert self._agent is not None, "`open` comes first"
        return self._agent

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))
