"""Threads of the log: find one by its words, open it, fork it, delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.printer import on_a_line
from tui.widgets.step import plain

if TYPE_CHECKING:
    from agent.threads import Thread
    from tui.source import Source

Chosen = tuple[Literal["open", "fork"], str]


class Sessions(ModalScreen[Chosen | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "Back"),
        ("down", "move(1)", "Next"),
        ("up", "move(-1)", "Before"),
        ("f5", "fork", "Fork"),
        Binding("ctrl+d", "delete", "Delete", priority=True),
    ]

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.threads: list[Thread] = []
        self.doomed = ""  # the thread that a second ctrl+d deletes

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Input(placeholder="Words of the first question")
            yield OptionList()
            yield Static(
                "Enter opens · F5 forks · Ctrl+D twice deletes, with all its runs · Escape goes back", id="how"
            )

    async def on_mount(self) -> None:
        self.threads = await self.source.threads()
        self.show("")

    def on_input_changed(self, typed: Input.Changed) -> None:
        self.show(typed.value)

    def show(self, words: str) -> None:
        """Those threads whose first question has all the words."""
        wanted, listed = words.lower().split(), self.query_one(OptionList)
        listed.clear_options()
        for thread in self.threads:
            title = on_a_line(thread.title or "nothing was asked yet")
            if all(word in title.lower() for word in wanted):
                line = f"{thread.last_at[:16].replace('T', ' ')}  {thread.runs:>3}  {title}"
                listed.add_option(Option(plain(line), thread.thread_id))
        if listed.option_count:
            listed.highlighted = 0

    @property
    def thread(self) -> str | None:
        listed = self.query_one(OptionList)
        return None if listed.highlighted is None else listed.get_option_at_index(listed.highlighted).id

    def on_input_submitted(self) -> None:
        self.dismiss(("open", self.thread) if self.thread else None)

    def on_option_list_option_selected(self) -> None:
        self.on_input_submitted()

    def action_move(self, by: int) -> None:
        listed = self.query_one(OptionList)
        if listed.highlighted is not None:
            listed.highlighted = (listed.highlighted + by) % listed.option_count

    def action_fork(self) -> None:
        if self.thread:
            self.dismiss(("fork", self.thread))

    @work
    async def action_delete(self) -> None:
        if (doomed := self.thread) is None:
            return
        if self.doomed != doomed:
            self.doomed = doomed
            self.query_one("#how", Static).update("Ctrl+D again deletes this thread and all its runs for good.")
            return
        count = await self.source.delete(doomed)
        self.threads = [each for each in self.threads if each.thread_id != doomed]
        self.show(self.query_one(Input).value)
        self.query_one("#how", Static).update(f"{count} runs were deleted.")

    def action_leave(self) -> None:
        self.dismiss(None)
