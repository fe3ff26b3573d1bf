"""A question and its answer: the attempts side by side, and the one that is looked at in full."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import HorizontalScroll, Vertical
from textual.message import Message
from textual.widgets import Static

from agent.records import Path
from tui.printer import doubt_of, on_a_line, printable, scored, summary
from tui.turns import Attempt, Turn
from tui.widgets.step import StepView, plain

LAST_WORDS = 60  # characters of an attempt that its card shows


class AttemptCard(Static):
    """An attempt, small: its number, its score, the scores of its steps, its last words."""

    class Picked(Message):
        def __init__(self, leaf: Path) -> None:
            super().__init__()
            self.leaf = leaf

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(markup=False, classes="attempt")
        self.attempt = attempt

    def show(self, attempt: Attempt, number: int, chosen: bool, looked_at: bool) -> None:
        self.attempt = attempt
        score = "" if attempt.score is None else f" {scored(attempt.score)}"
        mark = " ✓" if chosen else " …" if attempt.under_way else ""
        steps = " ".join(scored(step.score) for step in attempt.steps[:-1] if step.score is not None)
        said = on_a_line(attempt.answer or attempt.steps[-1].thought)[-LAST_WORDS:]
        self.update(plain(f"{number}{mark}{score}{f'  ({steps})' if steps else ''}\n{said}"))
        self.set_class(chosen, "chosen")
        self.set_class(looked_at, "looked-at")

    def on_click(self) -> None:
        self.post_message(self.Picked(self.attempt.leaf))


class TurnView(Vertical):
    """Draws a ``Turn``, and again when it has grown."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(classes="turn")
        self.turn = turn
        self.looked_at: Path | None = None  # what a person picked; None: the chosen one, or the first
        self._cards: list[AttemptCard] = []
        self._steps: dict[Path, StepView] = {}
        self._bar = HorizontalScroll(classes="attempts")
        self._body, self._end = Vertical(classes="steps"), Static(markup=False, classes="ending")

    def compose(self) -> ComposeResult:
        yield Static(plain(f"> {self.turn.question}"), markup=False, classes="question")
        yield self._bar
        yield self._body
        yield self._end

    async def on_mount(self) -> None:
        await self.show()

    @property
    def attempt(self) -> Attempt | None:
        """The one that is looked at."""
        attempts = self.turn.attempts
        wanted = self.looked_at if self.looked_at is not None else self.turn.chosen
        near = [each for each in attempts if wanted is not None and each.leaf[: len(wanted)] == wanted]
        return near[0] if near else attempts[0] if attempts else None

    async def look_at(self, number: int) -> bool:
        """At the attempt of that number, from 1; whether there is one."""
        attempts = self.turn.attempts
        if not 0 < number <= len(attempts):
            return False
        self.looked_at = attempts[number - 1].leaf
        await self.show()
        return True

    async def beside(self, by: int) -> None:
        """At the attempt beside it, round and round."""
        attempts = self.turn.attempts
        if (now := self.attempt) is not None:
            await self.look_at((attempts.index(now) + by) % len(attempts) + 1)

    async def on_attempt_card_picked(self, picked: AttemptCard.Picked) -> None:
        picked.stop()
        self.looked_at = picked.leaf
        await self.show()

    async def show(self) -> None:
        """What has come since."""
        attempts, looked_at = self.turn.attempts, self.attempt
        self._bar.display = len(attempts) > 1
        while len(self._cards) < len(attempts):
            self._cards.append(AttemptCard(attempts[len(self._cards)]))
            await self._bar.mount(self._cards[-1])
        while len(self._cards) > len(attempts):
            await self._cards.pop().remove()
        for number, (card, attempt) in enumerate(zip(self._cards, attempts, strict=True), 1):
            chosen = attempt.leaf == self.turn.chosen
            card.show(attempt, number, chosen, looked_at is not None and attempt.leaf == looked_at.leaf)
        await self._show_steps(looked_at)
        self._end.update(plain(self._ending()))
        self._end.display = self.turn.done

    async def _show_steps(self, attempt: Attempt | None) -> None:
        steps = attempt.steps if attempt is not None else []
        wanted = {step.path for step in steps}
        for path in [path for path in self._steps if path not in wanted]:
            await self._steps.pop(path).remove()
        for step in steps:
            if step.path in self._steps:
                await self._steps[step.path].show(step)
            else:
                self._steps[step.path] = StepView(step, step is steps[-1])
                await self._body.mount(self._steps[step.path])

    def _ending(self) -> str:
        run = self.turn.run
        if not self.turn.done or run is None:
            return ""
        why = f"✓ {self.turn.reason}" if self.turn.reason else ""
        stopped = "Stopped; what was produced is in the log." if run.status == "cancelled" else ""
        return "\n".join(
            line for line in (why, stopped, doubt_of(run), run.error or "", printable(summary(run))) if line
        )

    def fold(self) -> None:
        for step in self._steps.values():
            step.fold()
