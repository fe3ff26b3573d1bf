"""Which format a row has, told by its keys, and the task that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rl.suites import choices, competition, gsm8k, humaneval, own
from rl.suites.row import Row, RowError
from rl.tasks.task import Task


class Format(Protocol):
    """A module of this package."""

    @property
    def NAME(self) -> str: ...

    def fits(self, row: Row) -> bool: ...

    def read(self, row: Row) -> Task: ...


FORMATS: Sequence[Format] = (humaneval, competition, choices, gsm8k, own)  # the first that fits: the plainest is last


def task_of(row: object) -> Task:
    """Raises ``RowError``: the row is no object, fits no format, or lacks a value that its format has."""
    if not isinstance(row, dict):
        raise RowError("is no JSON object")
    row = {str(key): value for key, value in row.items() if value is not None}  # as Parquet has what is not there
    for each in FORMATS:
        if each.fits(row):
            return each.read(row)
    keys = ", ".join(sorted(map(str, row))[:8])[:200] or "none"
    raise RowError(f"fits no format (its keys: {keys})")
