"""A sample of a file's questions that is the same on every machine, and mostly the same after the file was edited."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from rl.suites.files import SuiteError, Tell, rows
from rl.suites.formats import task_of
from rl.suites.row import RowError
from rl.tasks.task import Task, digest

SHOWN = 5  # lines that a complaint names


def sampled(paths: Sequence[Path], questions: int, seed: int, tell: Tell) -> dict[int, list[Task]]:
    """Of each tier, the ``questions`` tasks whose ids have the lowest hashes with ``seed``, in that order.

    A larger sample begins with the smaller one. A row that stands there twice is one question. Raises ``SuiteError``.
    """
    heaps: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)  # lowest hashes, negated: the highest is first
    kept: dict[str, Task] = {}
    for task in tasks(paths, tell):
        if task.task_id in kept:
            continue
        kept[task.task_id] = task
        place, heap = (-digest(f"{seed}/{task.task_id}"), task.task_id), heaps[task.tier]
        if len(heap) < questions:
            heapq.heappush(heap, place)
        else:
            del kept[heapq.heappushpop(heap, place)[1]]
    return {tier: [kept[task_id] for _, task_id in sorted(heaps[tier], reverse=True)] for tier in sorted(heaps)}


def tasks(paths: Sequence[Path], tell: Tell) -> Iterator[Task]:
    """Of all rows. Raises ``SuiteError`` at the end, naming lines that are no question."""
    bad: list[str] = []
    found = 0
    for path in paths:
        for number, row in rows(path, tell):
            try:
                if isinstance(row, RowError):
                    raise row
                yield task_of(row)
            except RowError as error:
                bad.append(f"{path}:{number} {error}" if not bad else f"{path.name}:{number}")
            found += 1
    if bad:
        raise SuiteError(complaint(bad))
    if not found:
        raise SuiteError(f"{paths[0]} holds no questions; write one JSON object a line.")


def complaint(bad: Sequence[str]) -> str:
    others = ", ".join(bad[1:SHOWN]) + (f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else "")
    also = f"; {others} cannot be asked either" if others else ""
    return f"{bad[0]}{also}; docs/evaluation.md has the formats: mend such lines, or remove them."
