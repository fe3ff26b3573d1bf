"""A call waits for a person's word: shown whole, and agreed to by a word that no stray key writes. Or its tool wants to
know something: a form, field by field.
"""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from agent.events import ApprovalNeeded
from agent.records import Approval
from tools.person import unfit
from tui.asking import parsed, question, told
from tui.printer import on_a_line, printable
from tui.widgets.step import plain

WORD = "Type yes to make this call, or why not to; Escape declines"
NEXT = "Enter goes on to the next; Escape answers nothing"


class ApprovalScreen(ModalScreen[Approval | None]):
    """Ends with the person's word; Escape declines; None: the question was taken back."""

    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "decline", "Do not make the call")]

    def __init__(self, needed: ApprovalNeeded) -> None:
        super().__init__()
        self.needed = needed
        self.fields: dict[str, Any] = dict(needed.form["properties"]) if needed.form is not None else {}

    def compose(self) -> ComposeResult:
        with Vertical(id="asked"), VerticalScroll():
            yield Static(plain("\n".join(told(self.needed))), markup=False)
            if self.needed.form is None:
                yield Input(placeholder=WORD)
            for name, field in self.fields.items():
                yield Static(plain(on_a_line(question(name, field, self._requires(name)))), markup=False)
                yield Input(placeholder=NEXT)
            yield Static(markup=False, id="wrong")

    def _requires(self, name: str) -> bool:
        form = self.needed.form or {}
        return name in form.get("required", []) and "default" not in self.fields[name]

    def on_input_submitted(self, typed: Input.Submitted) -> None:
        if self.needed.form is None:
            said = typed.value.strip()
            self.dismiss(Approval(said == "yes", "" if said in ("yes", "no") else said))
            return
        inputs = list(self.query(Input))
        if typed.input is not inputs[-1]:
            inputs[inputs.index(typed.input) + 1].focus()
            return
        pairs = zip(self.fields, inputs, strict=True)
        given = {name: value for name, each in pairs if (value := parsed(each.value, self.fields[name])) is not None}
        required = [name for name in self.fields if self._requires(name)]
        if why := unfit({**self.needed.form, "required": required}, given):
            self.query_one("#wrong", Static).update(plain(printable(why)))
            return
        self.dismiss(Approval(True, content=given))

    def action_decline(self) -> None:
        self.dismiss(Approval(False))
