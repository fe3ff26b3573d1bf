"""``ponder chat`` on a terminal: the app that shows the screens. Elsewhere ``chat`` is the plain one."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from textual.app import App

from tui.printer import on_a_line, printable
from tui.screens.conversation import Conversation

if TYPE_CHECKING:
    from tui.source import Source


LEAVING = 10.0  # seconds for the model and the tools to be let go


WARNS = logging.getLogger("ponder.mcp")  # of tools that cannot be had


class Noticed(logging.Handler):
    """A warning, wherever it is given, as a notice on the screen."""

    def __init__(self, app: App[None]) -> None:
        super().__init__(logging.WARNING)
        self.app = app

    def emit(self, record: logging.LogRecord) -> None:
        said = printable(on_a_line(record.getMessage()))
        self.app.call_later(partial(self.app.notify, said, severity="warning", timeout=20, markup=False))


class PonderApp(App[None]):
    """A conversation with a source."""

    TITLE = "Ponder"
    CSS_PATH = "app.tcss"

    def __init__(self, source: Source, effort: str) -> None:
        super().__init__()
        self.source, self.effort = source, effort

    def on_mount(self) -> None:
        self.warnings = Noticed(self)
        for handler in list(WARNS.handlers):
            WARNS.removeHandler(handler)  # it prints, and would print over the screen
        WARNS.addHandler(self.warnings)
        self.push_screen(Conversation(self.source, self.effort))

    async def on_unmount(self) -> None:
        WARNS.removeHandler(self.warnings)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.source.close(), LEAVING)
