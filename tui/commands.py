"""What a person can do in the conversation: one list for the keys, the slash commands, the palette and the help.

``Conversation`` has a method ``do_NAME`` for each, which is given what stands behind the command.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    said: str  # what it does
    key: str = ""
    takes: str = ""  # what stands behind it
    given: str = ""  # what its key gives it


COMMANDS = (
    Command("stop", "Stop the answer; what has come stays", "escape"),
    Command("attempt", "Look at another attempt", "alt+right", "N", "+"),
    Command("attempt", "Look at the attempt before", "alt+left", "N", "-"),
    Command("turn", "Go to the question before", "alt+up", "N", "-"),
    Command("turn", "Go to the next question", "alt+down", "N", "+"),
    Command("thought", "Open or close the thought", "ctrl+t"),
    Command("source", "Open what the answer cites", "ctrl+o", "N"),
    Command("good", "Say that the answer was right", "f2", "COMMENT"),
    Command("bad", "Say that the answer was wrong", "f3", "COMMENT"),
    Command("better", "Say that the attempt you look at was better", "f4"),
    Command("keep", "Keep this thread out of trainings, or let it in", "f9", "out | in"),
    Command("edit", "Ask the question anew, in a fork of the thread", "ctrl+r"),
    Command("fork", "Go on from here in another thread", "f5"),
    Command("sessions", "Open another thread", "ctrl+l"),
    Command("new", "Begin a new thread", "ctrl+n"),
    Command("effort", "Spend more or less on the next question", "f10", "low | medium | high | max | auto"),
    Command("copy", "Copy the answer; `code` copies its last block of code", "f8", "code"),
    Command("export", "Write the thread into a file, .md or .json", "", "FILE"),
    Command("theme", "Choose the colours"),
    Command("help", "Show the keys", "f1"),
    Command("quit", "Leave; everything is in the log", "ctrl+q"),
)


def bindings() -> Iterator[Binding]:
    for each in COMMANDS:
        if each.key:
            yield Binding(each.key, f"do('{each.name}', '{each.given}')", each.said, show=False)


def read(text: str) -> tuple[Command | None, str]:
    """Of a line such as ``/bad it is 84``: the command that it begins with, the first that does, and what is behind."""
    name, _, argument = text.removeprefix("/").partition(" ")
    found = next((each for each in COMMANDS if name and each.name.startswith(name)), None)
    return found, argument.strip()


def matching(text: str) -> list[Command]:
    """Those that a line may become, each once."""
    name = text.removeprefix("/").partition(" ")[0]
    once = {each.name: each for each in reversed(COMMANDS)}
    return [each for each in COMMANDS if once[each.name] is each and each.name.startswith(name)]
