"""A row of a data set, and the ``Task`` that a format's reader makes of it, wherever it stood.

A reader is a pure function of the row. It raises ``RowError`` for a row that has the format's keys and not its values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from retrieval.passage import Document
from rl.tasks.task import Task

Row = Mapping[str, Any]
TOOLS = ("calculator", "python")  # that a question may be answered with, where the row does not say


class RowError(ValueError):
    """What is wrong with a row, as the end of a sentence that begins with its place."""


def task_from(
    form: str,
    row: Row,
    question: str,
    gold: str,
    checker: str,
    *,
    tier: int = 0,
    documents: Sequence[Document] = (),
    tools: Sequence[str] = TOOLS,
    metadata: Mapping[str, object] | None = None,
) -> Task:
    """The task of a row. Its id is a digest of format, row and question as asked: an edited row is another task."""
    if not question.strip():
        raise RowError("asks nothing")
    digest = hashlib.sha256(json.dumps([form, question, row], sort_keys=True, default=str).encode()).hexdigest()
    return Task(
        f"{form}/{digest[:16]}",
        form,
        tier,
        question,
        gold,
        (),
        tuple(documents),
        tuple(tools),
        dict(metadata or {}),
        checker,
    )


def text(row: Row, key: str) -> str:
    """A text of the row. Raises ``RowError`` where there is none, or one that cannot be written as UTF-8."""
    value = row.get(key)
    if not isinstance(value, str):
        raise RowError(f"has no text under {key!r}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RowError(f"has half a character under {key!r}") from error
    return value


def texts(row: Row, key: str) -> list[str]:
    """A list of texts of the row; numbers are written out. Raises ``RowError`` where there is none."""
    values = row.get(key)
    if not isinstance(values, list | tuple) or not all(isinstance(value, str | int | float) for value in values):
        raise RowError(f"has no list of texts under {key!r}")
    return [text({key: str(value)}, key) for value in values]
