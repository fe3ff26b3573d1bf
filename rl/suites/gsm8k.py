"""GSM8K (Cobbe et al. 2021): ``question``, and ``answer`` with worked steps and ``#### N`` in its last line."""

from __future__ import annotations

from rl.suites.row import Row, RowError, task_from, text
from rl.tasks.task import Task

NAME = "gsm8k"
MARK = "####"


def fits(row: Row) -> bool:
    return "question" in row and MARK in str(row.get("answer", "")) and "choices" not in row


def read(row: Row) -> Task:
    gold = text(row, "answer").rpartition(MARK)[2].strip()
    if not gold:
        raise RowError(f"has nothing after {MARK}")
    return task_from(NAME, row, text(row, "question"), gold, "math")
