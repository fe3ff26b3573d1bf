"""What every request is handed, whichever door it came to: the agent that answers, and how."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from agent.doors.admission import Admission
from agent.doors.asking import Approvals
from agent.doors.conductor import conducting
from agent.doors.errors import ApiError
from agent.doors.metrics import Metrics
from agent.effort import EFFORTS
from agent.errors import NotInLog, RunUnderWay
from agent.events import Event, Finished, RunStarted
from agent.renewal import assembled
from agent.run import asked_by, stream, within

INTERRUPTED = "interrupted"  # how a run stands that its server left in the middle, and that can be resumed
DRAIN = 20.0  # seconds that runs under way have when the door is closed
LOOK = 0.2  # seconds between looks at a run of another process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.context import Agent
    from agent.doors.conductor import Conductor
    from agent.doors.keys import Key, Scope
    from agent.effort import Effort
    from agent.records import Feedback, Run
    from agent.renewal import Renewed
    from agent.run import Ask
    from agent.settings import Settings
    from agent.threads import Thread


@dataclass(frozen=True, slots=True)
class Door:
    """One agent, open to requests."""

    renewed: Renewed
    settings: Settings
    how: Ask  # a question is answered where its request says nothing of that
    efforts: Mapping[str, Effort]  # by name, within the limits of the settings
    admission: Admission
    conductor: Conductor
    metrics: Metrics
    approvals: Approvals = field(default_factory=Approvals)
    since: int = field(default_factory=lambda: int(time.time()))  # Unix time

    @property
    def agent(self) -> Agent:
        """The one that answered last; its log is that of all."""
        return self.renewed.agent

    async def now(self) -> Agent:
        """The one that answers now."""
        return await self.renewed.now()

    async def ask(self, question: str, how: Ask) -> AsyncGenerator[Event, None]:
        """What happens when the agent is asked. Raises ``QuestionError`` at the first step."""
        async with aclosing(self.counted(stream(await self.now(), question, how))) as events:
            async for event in events:
                yield event

    async def counted(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The same events; a run that has begun is counted when it has ended, however that went."""
        run: Run | None = None
        try:
            async with aclosing(events):
                async for event in events:
                    run = event.run if isinstance(event, RunStarted | Finished) else run
                    yield event
        finally:
            if run is not None:
                with suppress(NotInLog):  # deleted meanwhile
                    self.metrics.ended(self.standing(self.agent.store.run(run.run_id)))

    async def followed(self, run_id: str, seen: int = 0) -> AsyncGenerator[tuple[int | None, Event], None]:
        """What happens in a run that this process drives, after the first ``seen`` events, each with its number; in any
        case its end, which has no number where it was not heard of here.
        """
        ended = False
        async with aclosing(self.conductor.follow(run_id, seen)) as happening:
            async for number, event in happening:
                ended = isinstance(event, Finished)
                yield number, event
        if not ended:
            yield None, Finished(self.standing(await self.ended(run_id)))

    def run_of(self, key: Key, run_id: str) -> Run:
        """A run that the key may see. Raises ``NotInLog``, as for one that does not exist."""
        run = self.agent.store.run(run_id)
        if run.metadata.get("key") != key.name and not key.may("admin"):
            raise NotInLog(f"There is no run {run_id} in the log.")
        return run

    def thread_of(self, key: Key, thread_id: str) -> Thread:
        """A thread that the key may see. Raises ``NotInLog``, as for one that does not exist."""
        thread = self.agent.store.threads.get(thread_id)
        if thread.key != key.name and not key.may("admin"):
            raise NotInLog(f"There is no thread {thread_id} in the log.")
        return thread

    @contextmanager
    def taken(self, thread_id: str) -> Iterator[None]:
        """A thread answers one question at a time. Raises ``RunUnderWay``."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self.agent.store.claim(f"thread-{thread_id}"))
            except RunUnderWay as error:
                raise RunUnderWay(
                    f"The thread {thread_id} answers a question already; wait for it, or cancel it."
                ) from error
            yield

    async def stop(self, run: Run) -> Run:
        """The run when it has been stopped, or as it has ended. Raises ``RunUnderWay``."""
        store = self.agent.store
        if run.status != "running" or await self.conductor.cancel(run.run_id):
            return store.run(run.run_id)
        with store.claim(run.run_id):  # nobody drives it
            if (run := store.run(run.run_id)).status == "running":
                said = "The run was cancelled after it had been interrupted."
                store.finish(replace(run, status="cancelled", error=said))
        return store.run(run.run_id)

    def rate(self, key: Key, feedback: Feedback) -> int:
        """Keep what somebody says of a run; how much was said of it by now. Raises ``ApiError`` and ``NotInLog``."""
        run = self.run_of(key, feedback.run_id)
        if feedback.preferred is not None and feedback.preferred not in {a[-1].path for a in run.trajectories()}:
            raise ApiError(f"Run {run.run_id} has no candidate at {list(feedback.preferred)}.", param="preferred")
        if feedback.value is None and feedback.preferred is None and not feedback.comment:
            raise ApiError("Say something: a value, a comment or a preferred candidate.")
        self.agent.store.add_feedback(feedback)
        return len(self.agent.store.feedback(run.run_id))

    async def let_go(self, run_id: str) -> None:
        """Nobody drives that run from then on. Raises ``RunUnderWay`` where another process does."""
        if not await self.conductor.cancel(run_id) and self.agent.store.is_claimed(run_id):
            raise RunUnderWay(f"Run {run_id} is under way in another process; cancel it first, or wait for it.")

    def standing(self, run: Run) -> Run:
        """A run as it is shown: nobody drives one that was under way when its server was ended."""
        lost = run.status == "running" and not self.agent.store.is_claimed(run.run_id)
        return replace(run, status=INTERRUPTED) if lost else run

    async def ended(self, run_id: str) -> Run:
        """A run when it has ended, whichever process drives it, or when nobody does."""
        store = self.agent.store
        while (run := store.run(run_id)).status == "running" and store.is_claimed(run_id):  # noqa: ASYNC110 - a process
            await asyncio.sleep(LOOK)
        return run


@asynccontextmanager
async def open_door(settings: Settings) -> AsyncIterator[Door]:
    """With the agent of the settings. Raises whatever ``assemble`` does."""
    async with assembled(settings) as renewed, conducting(DRAIN) as conductor:
        yield opened(renewed, settings, conductor)


def opened(renewed: Renewed, settings: Settings, conductor: Conductor) -> Door:
    """The agent's door, under the limits of the settings. Raises ``SettingsError``."""
    efforts = {name: within(settings, effort) for name, effort in EFFORTS.items()}
    spent = partial(spent_today, renewed.agent)
    admission = Admission(settings.concurrent, settings.waiting, renewed.agent.store, spent)
    return Door(
        renewed,
        settings,
        asked_by(settings, efforts[settings.effort]),
        efforts,
        admission,
        conductor,
        Metrics(admission),
    )


def spent_today(agent: Agent, key: str) -> int:
    """Tokens that a key's runs took since midnight, UTC."""
    return sum(used.tokens for used in agent.store.spending.since(datetime.now(UTC).date().isoformat(), by=key))


def permitted(key: Key, scope: Scope) -> Key:
    """The same key. Raises ``ApiError`` where it may not do what ``scope`` says."""
    if not key.may(scope):
        raise ApiError(f"The key {key.name} has not the scope {scope!r}.", 403, code="missing_scope")
    return key
