"""Progress bars for commands that take longer than a moment: on standard error, so that standard output stays clean."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID


class Draw(Protocol):
    """Shows how far something is; a new label begins a new bar."""

    def __call__(self, total: int, done: int, label: str, note: str = "") -> None: ...


@contextmanager
def loading(what: str = "Loading the model") -> Iterator[None]:
    """A sign of life on standard error, where a person looks, while the block lasts; Ctrl-C ends it at once."""
    from rich.console import Console

    console = Console(stderr=True)
    shown = console.status(f"{what} …", spinner="dots") if console.is_terminal else nullcontext()
    with heard_at_once(), shown:
        yield


@contextmanager
def heard_at_once() -> Iterator[None]:
    """Ctrl-C raises ``KeyboardInterrupt`` here and now; asyncio would wait for the next await, 16 s on a slow disk."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # it is ignored: the command was started in the background
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def speaks() -> bool:
    """Whether this is the process that a person sees: of several, as ``accelerate launch`` numbers them, the first."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def bar() -> Iterator[Draw]:
    """A bar for as long as the block lasts, on a terminal, of one process."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    note = TextColumn("{task.fields[note]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note)
    console = Console(stderr=True)
    hidden = not (console.is_terminal and speaks())
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        tasks: dict[str, TaskID] = {}

        def draw(total: int, done: int, label: str, note: str = "") -> None:
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=total, note=note)
            progress.update(tasks[label], total=total, completed=done, note=note)

        yield draw
