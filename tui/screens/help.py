"""The keys, and what can be typed behind a slash."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.commands import COMMANDS
from tui.widgets.step import plain

TYPING = """Enter sends, Shift+Enter or Ctrl+J makes a new line, Up brings back what you asked before.
A question that is sent while an answer comes waits its turn. @FILE puts a file's text behind the question.
Everything below can be typed, too: /good, /attempt 2, /effort high ..."""


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [("escape,f1,question_mark,q", "leave", "Back")]

    def compose(self) -> ComposeResult:
        width = max(len(each.key) for each in COMMANDS)
        names = max(len(f"/{each.name} {each.takes}") for each in COMMANDS if len(each.takes) < 10)
        lines = [f"{each.key:{width}}  {f'/{each.name} {each.takes}':{names}}  {each.said}" for each in COMMANDS]
        with Vertical(classes="box"), VerticalScroll():
            yield Static(plain("\n".join([TYPING, "", *lines])), markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)
