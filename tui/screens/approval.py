"""A call waits for a person's word: shown whole, and agreed to by a word that no stray key writes."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from agent.events import Approval, ApprovalNeeded
from tui.asking import told
from tui.widgets.step import plain


class ApprovalScreen(ModalScreen["Approval"]):
    """Ends with the person's word; Escape declines."""

    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "decline", "Do not make the call")]

    def __init__(self, needed: ApprovalNeeded) -> None:
        super().__init__()
        self.needed = needed

    def compose(self) -> ComposeResult:
        with Vertical(id="asked"):
            with VerticalScroll():
                yield Static(plain("\n".join(told(self.needed))), markup=False)
            yield Input(placeholder="Type yes to make this call, or why not to; Escape declines")

    def on_input_submitted(self, typed: Input.Submitted) -> None:
        said = typed.value.strip()
        self.dismiss(Approval(said == "yes", "" if said in ("yes", "no") else said))

    def action_decline(self) -> None:
        self.dismiss(Approval(False))
