"""Progress bars for commands that take longer than a moment: on standard error, so that standard output stays clean.

A training has line charts of its metrics under its bar.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID

    from rl.optimise import Progress as Step


class Draw(Protocol):
    """Shows how far something is; a new label begins a new bar. Of ``metrics``, one line a step, it draws charts."""

    def __call__(
        self, total: int, done: int, label: str, note: str = "", metrics: Sequence[Mapping[str, float]] = ()
    ) -> None: ...


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
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    from tui.charts import charts

    note = TextColumn("{task.fields[note]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note)
    console = Console(stderr=True)
    if not (console.is_terminal and speaks()):
        yield lambda total, done, label, note="", metrics=(): None
        return
    progress, tasks = Progress(*columns, console=console), dict[str, "TaskID"]()
    with Live(progress, console=console, transient=True, refresh_per_second=10) as live:

        def draw(
            total: int, done: int, label: str, note: str = "", metrics: Sequence[Mapping[str, float]] = ()
        ) -> None:
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=total, note=note)
            progress.update(tasks[label], total=total, completed=done, note=note)
            below = charts(metrics, console.width - 1)
            live.update(Group(progress, Text("\n".join(below), no_wrap=True)) if below else progress)

        yield draw


def drawing(draw: Draw, folder: Path) -> Callable[[int, Step], None]:
    """Shows a training's steps, also those before it was resumed: ``metrics.jsonl`` of its folder has them all."""
    lines, place = list[dict[str, float]](), 0

    def show(steps: int, progress: Step) -> None:
        nonlocal place
        if not speaks():  # nor does it write them
            return
        with (folder / "metrics.jsonl").open() as file:
            file.seek(place)
            lines.extend(map(json.loads, file.read().splitlines()))
            place = file.tell()
        rate = progress.new_tokens / max(1e-9, progress.seconds)
        draw(steps, progress.step + 1, "training", f"loss {progress.loss:+.4f}, {rate:.0f} tokens/s", lines)

    return show
