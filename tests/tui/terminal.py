"""The terminal's app around an agent that says what a test has written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from textual.pilot import Pilot

from agent.context import Agent
from agent.effort import EFFORTS
from agent.settings import Settings
from agent.store import Store
from agent.system_prompt import SystemPrompt
from tests.agent.scripted import Script, ScriptedPolicy
from tools.calculator import calculator
from tools.tool import Tool
from tools.toolbox import Toolbox
from tui.app import PonderApp
from tui.screens.conversation import Conversation
from tui.source import Here
from verifiers.consensus import Consensus
from verifiers.format import Format


@dataclass
class Opened:
    """A person at the terminal."""

    app: PonderApp
    pilot: Pilot[None]
    store: Store  # the log, as somebody else reads it

    @property
    def talk(self) -> Conversation:
        return next(each for each in self.app.screen_stack if isinstance(each, Conversation))

    async def until(self, holds: Callable[[], object], seconds: float = 60) -> None:
        for _ in range(int(seconds / 0.02)):
            if holds():
                await self.pilot.pause()
                return
            await self.pilot.pause(0.02)
        raise AssertionError(f"it never came to be:\n{self.shown()}")

    async def types(self, text: str) -> None:
        self.talk.prompt.say(text)
        await self.pilot.press("enter")

    async def asks(self, question: str) -> None:
        """And waits for the answer."""
        before = len(self.store.runs())
        await self.types(question)
        await self.until(lambda: len(self.store.runs()) > before and self.talk.answering is None)

    def shown(self) -> str:
        """What stands on the screen."""
        return "\n".join(strip.text.rstrip() for strip in self.app.screen._compositor.render_strips())


@asynccontextmanager
async def terminal(
    home: Path, renderer: Any, script: Script, *tools: Tool, size: tuple[int, int] = (100, 40), effort: str = "low"
) -> AsyncIterator[Opened]:
    @asynccontextmanager
    async def opens(settings: Settings) -> AsyncIterator[Agent]:
        verifiers = (Consensus(), Format())
        with Store.open(home / "log.sqlite") as store:
            async with AsyncSqliteSaver.from_conn_string(str(home / "checkpoints.sqlite")) as saver:
                yield Agent(
                    ScriptedPolicy(renderer, script), Toolbox([calculator, *tools]), verifiers,
                    {each.name: 1.0 for each in verifiers}, store, saver, SystemPrompt("tests", "You are Ponder."),
                )  # fmt: skip

    await asyncio.to_thread(home.mkdir, exist_ok=True)
    source = Here(Settings(home=home), replace(EFFORTS[effort]), opens)
    app = PonderApp(source, effort)
    with Store.open(home / "log.sqlite") as store:
        async with app.run_test(size=size, notifications=True) as pilot:
            opened = Opened(app, pilot, store)
            await opened.until(lambda: isinstance(app.screen, Conversation) and opened.talk.version)
            yield opened
