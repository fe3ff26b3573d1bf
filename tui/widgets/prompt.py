"""Where a person types: Enter sends, Shift+Enter or Ctrl+J makes a new line, Up brings back what was asked before."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import TextArea


class Prompt(TextArea):
    class Sent(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(
            id="prompt", soft_wrap=True, show_line_numbers=False, highlight_cursor_line=False, compact=True,
            placeholder="Ask something. ? shows the keys.",
        )  # fmt: skip
        self.asked: list[str] = []  # before, the last one last
        self._back = 0  # how far

    def send(self) -> None:
        if text := self.text.strip():
            self.asked.append(text)
            self._back = 0
            self.text = ""
            self.post_message(self.Sent(text))

    def say(self, text: str) -> None:
        """Have it stand there, to be changed and sent."""
        self.text = text
        self.move_cursor(self.document.end)

    async def _on_key(self, event: events.Key) -> None:
        """In the order in which they were typed: a binding with priority would send before all letters are here."""
        if event.key in ("enter", "shift+enter", "ctrl+j"):
            event.prevent_default()
            event.stop()
            self.send() if event.key == "enter" else self.insert("\n")
            return
        if event.key == "question_mark" and not self.text:
            event.prevent_default()
            event.stop()
            await self.screen.run_action("do('help')")
            return
        asked = self.asked[-self._back] if self._back else ""
        if event.key in ("up", "down") and self.text == asked and self.asked:
            self._back = max(0, min(len(self.asked), self._back + (1 if event.key == "up" else -1)))
            self.say(self.asked[-self._back] if self._back else "")
            event.prevent_default()
            event.stop()
            return
        await super()._on_key(event)
