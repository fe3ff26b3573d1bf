"""MATH (Hendrycks et al. 2021): ``problem``, ``solution`` with ``\\boxed{...}``, ``level``, ``subject`` (or ``type``).

The tier is the level, 1 to 5, and 0 where the row has none. A row's ``answer`` (MATH-500 has one) is the gold one.
"""

from __future__ import annotations

import re

from rl.suites.row import Row, RowError, task_from, text
from rl.tasks.task import Task
from verifiers.answers import final_answer

NAME = "math"
BARE = re.compile(r"\\boxed\s+([^\s$.]+)")  # \boxed 5, as a few of its solutions have it


def fits(row: Row) -> bool:
    return "problem" in row and "solution" in row


def read(row: Row) -> Task:
    gold = text(row, "answer").strip() if isinstance(row.get("answer"), str) else boxed(text(row, "solution"))
    if not gold:
        raise RowError(r"has no \boxed{...} in its solution")
    subject = row.get("subject", row.get("type", ""))
    return task_from(
        NAME, row, text(row, "problem"), gold, "math", tier=level(row.get("level")), metadata={"subject": str(subject)}
    )


def boxed(solution: str) -> str:
    """What the solution's last box holds; "" where there is none."""
    last = solution[max(0, solution.rfind(r"\boxed")) :]
    bare = BARE.match(last)
    return bare[1] if bare else final_answer(last) or "" if last.startswith(r"\boxed") else ""


def level(written: object) -> int:
    """``"Level 3"`` and 3 are 3; anything else is 0."""
    match = re.fullmatch(r"(?:Level )?([1-5])", str(written))
    return int(match[1]) if match else 0
