"""``ponder chat`` on a terminal: the app that shows the screens. Elsewhere ``chat`` is the plain one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from textual.app import App

from tui.screens.conversation import Conversation

if TYPE_CHECKING:
    from tui.source import Source


LEAVING = 10.0  # seconds for the model and the tools to be let go


class PonderApp(App[None]):
    """A conversation with a source."""

    TITLE = "Ponder"
    CSS_PATH = "app.tcss"

    def __init__(self, source: Source, effort: str) -> None:
        super().__init__()
        self.source, self.effort = source, effort

    def on_mount(self) -> None:
        self.push_screen(Conversation(self.source, self.effort))

    async def on_unmount(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.source.close(), LEAVING)
