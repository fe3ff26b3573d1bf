"""One step of an attempt: what was thought, what was called, what was said."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Collapsible, Markdown, Static

from tui.printer import arguments_text, printable
from tui.turns import Card, Step

LONGEST = 20_000  # characters of a tool's output or of a thought that are shown; the log has all of it


def plain(text: str) -> Content:
    """Text of anybody's, which cannot be markup and cannot move the cursor."""
    return Content(printable(text.replace("\t", "    ")))


def shortened(text: str) -> str:
    left = len(text) - LONGEST
    return text if left <= 0 else f"{text[:LONGEST]}\n… {left} more characters are in the log."


class CardView(Collapsible):
    """A call of a tool: closed, a line; open, all of it."""

    def __init__(self, card: Card) -> None:
        self._body = Static(markup=False)
        super().__init__(self._body, title="", classes="card")
        self.show(card)

    def show(self, card: Card) -> None:
        result = card.result
        mark = "…" if result is None else "✗" if result.error is not None else "✓"
        tier = f" [{result.sandbox_tier}]" if result and result.sandbox_tier else ""
        seconds = f" {result.seconds:.2f} s" if result else ""
        self.title = Content(printable(f"{mark} {card.name}({arguments_text(card.arguments)}){tier}{seconds}"))  # type: ignore[assignment]
        lines = [f"{name} = {value}" for name, value in self._arguments(card).items()]
        said = [shortened(result.text)] if result else []
        self._body.update(plain("\n".join([*lines, *said])))

    @staticmethod
    def _arguments(card: Card) -> Mapping[str, object]:
        return card.arguments if isinstance(card.arguments, Mapping) else {"arguments": card.arguments}


class StepView(Vertical):
    """Draws a ``Step``, and again when it has grown."""

    def __init__(self, step: Step, last: bool) -> None:
        super().__init__(classes="step")
        self._thought = Static(markup=False, classes="thought-text")
        self._folded = Collapsible(self._thought, title="Thought", collapsed=False, classes="thought")
        self._notes = Static(markup=False, classes="notes")
        self._text = Markdown(open_links=False, classes="said")
        self._cards: dict[int, CardView] = {}
        self._shown = ("", "", 0, False)  # thought, text, notes, whether it had ended
        self._step, self._last = step, last

    def compose(self) -> ComposeResult:
        yield self._folded
        yield self._text
        yield self._notes

    async def on_mount(self) -> None:
        await self.show(self._step)

    async def show(self, step: Step) -> None:
        """What has come since."""
        thought, text, notes, ended = self._shown
        self._folded.display = bool(step.thought)
        if step.thought != thought:
            self._thought.update(plain(shortened(step.thought)))
        if (step.text and not text) or (step.ending and not ended):
            self._folded.collapsed = True  # the answer begins
        if step.text != text or (step.ending and not ended):
            await self._text.update(printable(step.text))
        self._text.display = bool(step.text)
        if len(step.notes) != notes:
            self._notes.update(plain("\n".join(f"! {note}" for note in step.notes)))
        self._notes.display = bool(step.notes)
        for index, card in step.cards.items():
            if index in self._cards:
                self._cards[index].show(card)
            else:
                self._cards[index] = CardView(card)
                await self.mount(self._cards[index], before=self._notes)
        self._shown = (step.thought, step.text, len(step.notes), step.ending is not None)

    def fold(self) -> None:
        """The thought, open or closed."""
        self._folded.collapsed = not self._folded.collapsed
