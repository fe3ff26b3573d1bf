"""A passage that an answer cites, in its document, at its very place."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from retrieval.passage import Passage
from tui.printer import printable
from tui.widgets.step import plain

AROUND = 2_000  # characters of the document before and behind it


class PassageScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "Back"),
        ("left", "beside(-1)", "The one before"),
        ("right", "beside(1)", "Next"),
    ]

    def __init__(self, passages: list[Passage], documents: dict[str, str], number: int = 1) -> None:
        """``documents``: whole texts by their source, where they are known. ``number``: which is shown, from 1."""
        super().__init__()
        self.passages, self.documents = passages, documents
        self.index = min(max(number, 1), len(passages)) - 1

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(markup=False, id="of")
            with VerticalScroll():
                yield Static(markup=False, id="text")

    def on_mount(self) -> None:
        self.show()

    def show(self) -> None:
        passage = self.passages[self.index]
        where = f"{passage.source}:{passage.start}-{passage.end}"
        more = f" · {self.index + 1} of {len(self.passages)}, ← →" if len(self.passages) > 1 else ""
        self.query_one("#of", Static).update(plain(f"[{self.index + 1}] {passage.title} ({where}){more}"))
        whole = self.documents.get(passage.source, "")
        before, behind = whole[max(0, passage.start - AROUND) : passage.start], whole[passage.end :][:AROUND]
        if whole[passage.start : passage.end] != passage.text:  # it has changed since, or is not here
            before = behind = ""
        shown = (
            Content(printable(before)) + Content.styled(printable(passage.text), "reverse") + Content(printable(behind))
        )
        self.query_one("#text", Static).update(shown)
        line = printable(before).count("\n")
        self.call_after_refresh(self.query_one(VerticalScroll).scroll_to, y=max(0, line - 3), animate=False)

    def action_beside(self, by: int) -> None:
        self.index = (self.index + by) % len(self.passages)
        self.show()

    def action_leave(self) -> None:
        self.dismiss(None)
