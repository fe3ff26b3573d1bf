"""What every request is handed: the agent that answers, and how."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from agent.doors.rest.admission import Admission
from agent.doors.rest.asking import Approvals
from agent.doors.rest.errors import ApiError
from agent.doors.rest.metrics import Metrics
from agent.effort import EFFORTS
from agent.errors import RunUnderWay
from agent.events import Event, Finished, RunStarted
from agent.run import asked_by, stream, within

INTERRUPTED = "interrupted"  # how a run stands that its server left in the middle, and that can be resumed
LOOK = 0.2  # seconds between looks at a run of another process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

    from agent.context import Agent
    from agent.doors.keys import Key, Scope
    from agent.doors.rest.conductor import Conductor
    from agent.effort import Effort
    from agent.records import Run
    from agent.renewal import Renewed
    from agent.run import Ask
    from agent.settings import Settings


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
                self.metrics.ended(run if run.status != "running" else self.agent.store.run(run.run_id))

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
    return sum(used.tokens for used in agent.store.used(since=datetime.now(UTC).date().isoformat(), by=key))


def door_of(request: Request) -> Door:
    return request.app.state.door


def key_of(request: Request, scope: Scope) -> Key:
    """Whose request it is. Raises ``ApiError`` where that may not do what ``scope`` says."""
    key: Key = request.state.key
    if not key.may(scope):
        raise ApiError(f"The key {key.name} has not the scope {scope!r}.", 403, code="missing_scope")
    return key
