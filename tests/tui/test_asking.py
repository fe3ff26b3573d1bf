"""A person at a terminal, a real one, is asked about calls; a stray key or an old line agrees to nothing."""

import asyncio
import io
import os
import pty
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from rich.console import Console

from agent.approval import Approval
from agent.events import AnswerDelta, ApprovalNeeded
from tests.tools.test_person import FORM
from tests.tui.conftest import HOSTILE, run_of
from tui.asking import AtTerminal, parsed, question
from tui.printer import Printer

NEEDED = ApprovalNeeded((0,), 0, "post", {"letter": f"Dear Ann {HOSTILE}"}, "Calls are asked about.")


@dataclass
class Terminal:
    keys: int  # where a person types
    screen: io.StringIO
    printer: Printer

    def types(self, *lines: str) -> None:
        """Each when something more is asked."""

        def typing() -> None:
            seen = 0
            for line in lines:
                while not self.screen.getvalue()[seen:].endswith(": "):
                    time.sleep(0.01)
                seen = len(self.screen.getvalue())
                time.sleep(0.1)  # the question stands: the terminal reads
                os.write(self.keys, line.encode())

        threading.Thread(target=typing, daemon=True).start()

    async def asked(self, needed: ApprovalNeeded = NEEDED) -> Approval:
        return await asyncio.wait_for(AtTerminal(self.printer)(run_of("run", "thread", "2026-01-01"), needed), 20)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    keys, tty = pty.openpty()
    with os.fdopen(tty) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        screen = io.StringIO()
        yield Terminal(keys, screen, Printer(Console(file=screen, width=1000, soft_wrap=True, highlight=False)))
    os.close(keys)


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("yes\n", Approval(True)),
        ("yes, please\n", Approval(False, "yes, please")),
        ("\n", Approval(False)),
        ("no\n", Approval(False)),
        ("write to Bo instead\n", Approval(False, "write to Bo instead")),
        ("\x04", Approval(False)),  # Ctrl-D
    ],
)
async def test_only_yes_agrees_and_anything_else_is_why_not(terminal: Terminal, typed: str, word: Approval) -> None:
    terminal.types(typed)
    assert await terminal.asked() == word
    assert "    letter = Dear Ann" in terminal.screen.getvalue()
    assert "\x1b" not in terminal.screen.getvalue()


async def test_a_letter_is_not_the_word(terminal: Terminal) -> None:
    terminal.types("y\n", "yes\n")
    assert await terminal.asked() == Approval(True)
    assert "Type the whole word yes" in terminal.screen.getvalue()


async def test_a_yes_to_what_was_taken_back_agrees_to_nothing_else(terminal: Terminal) -> None:
    asker = AtTerminal(terminal.printer)
    run = run_of("run", "thread", "2026-01-01")
    first = asyncio.create_task(asker(run, NEEDED))
    await asyncio.sleep(0.2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    os.write(terminal.keys, b"yes\n")
    second = asyncio.create_task(asker(run, replace(NEEDED, name="delete")))
    while terminal.screen.getvalue().count("Type yes") < 2:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert not second.done()
    assert "Taken back" in terminal.screen.getvalue()
    os.write(terminal.keys, b"no\n")
    assert not (await asyncio.wait_for(second, 10)).approved


async def test_no_row_of_what_a_server_says_looks_like_one_of_ours(terminal: Terminal) -> None:
    console = Console(file=terminal.screen, width=40, soft_wrap=True, highlight=False)
    terminal.printer.console = console
    terminal.types("no\n")
    forged = f"Who?{' ' * 60}1│ declined\n 1│ ? calculator: 12 * 7{'.' * 30} 1│ declined"
    await terminal.asked(ApprovalNeeded((0,), 0, "greet", {"a": forged}, forged))
    rows = [row[at : at + 40] for row in terminal.screen.getvalue().splitlines() for at in range(0, len(row), 40)]
    assert len(rows) > 5
    ours = (" 1│ ? greet: ", " 1│     a = ", " 1│   ┊ ")
    assert [row for row in rows if "declined" in row and not row.startswith(ours)] == []


async def test_a_line_that_was_typed_before_the_question_is_no_answer(terminal: Terminal) -> None:
    os.write(terminal.keys, b"yes\n")
    await asyncio.sleep(0.1)
    terminal.types("no\n")
    assert await terminal.asked() == Approval(False)


async def test_what_happens_meanwhile_is_shown_afterwards(terminal: Terminal) -> None:
    waiting = asyncio.create_task(terminal.asked())
    await asyncio.sleep(0.1)
    terminal.printer.show(AnswerDelta((1,), "Elsewhere.\n"))
    assert "Elsewhere" not in terminal.screen.getvalue()
    terminal.types("yes\n")
    assert (await waiting).approved
    assert "Elsewhere" in terminal.screen.getvalue()


async def test_a_question_that_is_given_up_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    waiting = asyncio.create_task(terminal.asked())
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    terminal.types("yes\n")
    assert (await terminal.asked()).approved


async def test_a_form_is_filled_in_field_by_field_and_asks_again_for_what_does_not_fit(terminal: Terminal) -> None:
    terminal.types("yes\n", "\n", "many\n", "7\n", "red, blue\n")
    given = await terminal.asked(ApprovalNeeded((0,), 0, "greet", {}, "The server of greet asks: Who?", FORM))
    assert given == Approval(True, content={"age": 7, "colours": ["red", "blue"]})
    assert "age: 'many' is not of type 'integer'." in terminal.screen.getvalue()


@pytest.mark.parametrize("lines", [("no\n",), ("yes\n", "Bo\n", "\x04")])
async def test_a_form_that_is_not_filled_in_is_declined(terminal: Terminal, lines: tuple[str, ...]) -> None:
    terminal.types(*lines)
    given = await terminal.asked(ApprovalNeeded((0,), 0, "greet", {}, "The server of greet asks: Who?", FORM))
    assert not given.approved


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ({"type": "string"}, "name (string; may be left out):"),
        ({"type": "boolean", "default": True, "title": "Sure?"}, "Sure? (yes or no; True if nothing):"),
        ({"type": "string", "enum": ["a", "b"], "description": "Which"}, "name: Which (a, b; may be left out):"),
        ({"type": "string", "oneOf": [{"const": "a", "title": "A"}]}, "name (a; may be left out):"),
        ({"type": "array", "items": {"enum": ["a"]}}, "name (some of: a; may be left out):"),
    ],
)
def test_a_field_says_what_can_be_typed(field: dict[str, Any], shown: str) -> None:
    assert question("name", field, required=False) == shown


@pytest.mark.parametrize(
    ("typed", "kind", "value"),
    [
        ("yes", "boolean", True),
        ("No", "boolean", False),
        ("perhaps", "boolean", "perhaps"),
        ("7", "integer", 7),
        ("7.5", "integer", "7.5"),
        ("7.5", "number", 7.5),
        ("a, b,", "array", ["a", "b"]),
        (" ", "string", None),
    ],
)
def test_what_is_typed_is_of_its_fields_type(typed: str, kind: str, value: Any) -> None:
    assert parsed(typed, {"type": kind}) == value
