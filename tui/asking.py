"""A person at the terminal is asked: whether a call may be made, and what a tool's server wants to know.

For ``ponder ask``, ``ponder resume`` and the plain ``ponder chat``. A line that was typed before the question came is
not taken for an answer, and only the word "yes" agrees.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import termios
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from agent.records import Approval
from tools.person import unfit
from tui.printer import Printer, on_a_line, printable

if TYPE_CHECKING:
    from agent.events import ApprovalNeeded
    from agent.records import Run


def somebody_is_here() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


QUIET = 1.0  # seconds after a question was taken back
MARGIN = 10  # columns that a row has for what stands before it


class AtTerminal:
    """An ``Approver``: asks one thing at a time; what happens elsewhere in the run is printed afterwards."""

    def __init__(self, printer: Printer) -> None:
        self._printer, self._turn = printer, asyncio.Lock()
        self._quiet = 0.0  # until when nothing that is typed counts: `time.monotonic`
        printer.asks_nobody = False

    async def __call__(self, _: Run, needed: ApprovalNeeded) -> Approval:
        async with self._turn:
            with self._printer.held():
                for line in told(needed):
                    for row in self._rows(line):
                        self._printer.line(needed.path, row, "yellow")
                await asyncio.sleep(self._quiet - time.monotonic())  # what is typed now was meant for another question
                termios.tcflush(sys.stdin, termios.TCIFLUSH)
                try:
                    return await self._asked(needed)
                except asyncio.CancelledError:
                    self._quiet = time.monotonic() + QUIET
                    self._say("\nTaken back: it waits for no answer any more.", "yellow")
                    raise

    async def _asked(self, needed: ApprovalNeeded) -> Approval:
        if needed.form is None:
            said = await self._line("Type yes to make this call, or why not to:") or ""
            while said.lower() in ("y", "ye"):
                said = await self._line("Type the whole word yes, or why not to:") or ""
            return Approval(said == "yes", "" if said in ("yes", "no", "n") else said)
        if await self._line("Type yes to answer (Ctrl-D ends the form), anything else not to:") != "yes":
            return Approval(False)
        content = await self._filled(needed.form)
        return Approval(content is not None, content=content or {})

    def _rows(self, line: str) -> list[str]:
        """Broken where the terminal would break it, so that no row of what somebody else wrote looks like ours."""
        console = self._printer.console
        first, *more = Text(printable(line)).wrap(console, max(20, console.width - MARGIN)) or [Text("")]
        return [first.plain.rstrip(), *(f"  ┊ {row.plain.strip()}" for row in more)]

    async def _filled(self, form: Mapping[str, Any]) -> dict[str, Any] | None:
        """Field by field; None where the input ended."""
        content: dict[str, Any] = {}
        for name, field in form["properties"].items():
            required = name in form.get("required", []) and "default" not in field
            only = {**form, "required": [name] if required else []}
            while True:
                if (given := await self._line(question(name, field, required))) is None:
                    return None
                value = parsed(given, field)
                filled = {} if value is None else {name: value}
                if not (why := unfit(only, filled)):
                    break
                self._say(why, "yellow")
            content |= filled
        return content

    async def _line(self, question: str) -> str | None:
        """What is typed, without the white space around it; None where the input ends."""
        self._say("\n".join(self._rows(on_a_line(question))), "bold yellow", end=" ")
        return await typed()

    def _say(self, text: str, style: str, end: str = "\n") -> None:
        self._printer.console.print(Text(printable(text), style), end=end)


async def typed() -> str | None:
    """A line of standard input, without the white space around it; None where that has ended."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()  # a thread that waits for a line could not be interrupted
    try:
        loop.add_reader(sys.stdin, lambda: ready.done() or ready.set_result(None))
    except PermissionError:  # of a file, where nothing is waited for
        line = sys.stdin.readline()
        return line.strip() if line else None
    try:
        await ready
    finally:
        loop.remove_reader(sys.stdin)
    line = os.read(sys.stdin.fileno(), 65_536)
    return line.decode(errors="replace").strip() if line else None


def told(needed: ApprovalNeeded) -> list[str]:
    """What waits, with all that the call would be made with: what is cut could be what matters."""
    arguments = needed.arguments if isinstance(needed.arguments, Mapping) else {"arguments": needed.arguments}
    lines = [f"? {needed.name}: {on_a_line(needed.why)}"]
    for name, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        first, *more = text.splitlines() or [""]
        lines += [f"    {on_a_line(name)} = {first}", *(f"      {line}" for line in more)]
    return lines


def question(name: str, field: Mapping[str, Any], required: bool) -> str:
    """What a field of a form asks for."""
    told = field.get("title") or name
    about = f": {field['description']}" if field.get("description") else ""
    choices = options(field.get("items", field))
    plain = "yes or no" if field["type"] == "boolean" else field.get("format") or field["type"]
    kind = ", ".join(choices) or plain
    more = f"; {field['default']!r} if nothing" if "default" in field else "" if required else "; may be left out"
    return f"{told}{about} ({'some of: ' if field['type'] == 'array' else ''}{kind}{more}):"


def options(field: Mapping[str, Any]) -> list[str]:
    """What can be chosen; empty where anything can."""
    listed = field.get("oneOf") or field.get("anyOf") or []
    return [str(each) for each in field.get("enum") or [one.get("const") for one in listed if isinstance(one, dict)]]


def parsed(given: str, field: Mapping[str, Any]) -> Any:
    """A value of the field's type, or the text where it is none; None where nothing was typed."""
    text = given.strip()
    if not text:
        return None
    try:
        match field["type"]:
            case "boolean":
                return {"yes": True, "y": True, "no": False, "n": False}.get(text.lower(), text)
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case "array":
                return [part.strip() for part in text.split(",") if part.strip()]
    except ValueError:
        pass
    return text
