"""Progress bars for commands that take longer than a moment: on standard error, so that standard output stays clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar() -> Iterator[Callable[[int, int, str], None]]:
    """A function ``(total, done, label)`` that draws; a new label begins a new bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, int] = {}

        def draw(total: int, done: int, label: str, note: str = "") -> None:
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=total, note=note)
            progress.update(tasks[label], total=total, completed=done, note=note)  # type: ignore[arg-type]

        yield draw
