"""A person's own questions: ``question`` with ``answer`` or ``gold``.

By choice ``checker``, its ``metadata``, ``tools`` and ``documents``: texts, or objects with ``text`` and by choice
``title`` and ``source``. A search for the question finds these documents alone.
"""

from __future__ import annotations

import math

from retrieval.passage import Document
from rl.suites.row import TOOLS, Row, RowError, task_from, text, texts
from rl.tasks.task import Task
from verifiers.unit_tests import read_checks
from verifiers.verdict import VerifierError

NAME = "own"
CHECKERS = ("exact", "math", "choice", "json_schema", "unit_tests")
WITHOUT_GOLD = ("json_schema", "unit_tests")  # whose metadata says what is right


def fits(row: Row) -> bool:
    return "question" in row and ("answer" in row or "gold" in row or row.get("checker") in WITHOUT_GOLD)


def read(row: Row) -> Task:
    checker, metadata = row.get("checker", "exact"), row.get("metadata", {})
    if checker not in CHECKERS:
        raise RowError(f"has the checker {str(checker)[:40]!r}; take one of {', '.join(CHECKERS)}")
    if not isinstance(metadata, dict):
        raise RowError("has metadata that is no object")
    refuse_ungradable(checker, metadata, gold := gold_of(row, checker))
    documents = documents_of(row)
    tools = texts(row, "tools") if "tools" in row else [*TOOLS, *(["search"] if documents else [])]
    return task_from(
        NAME,
        row,
        text(row, "question"),
        gold,
        checker,
        documents=documents,
        tools=tools,
        metadata=metadata,
    )


def refuse_ungradable(checker: str, metadata: dict[str, object], gold: str) -> None:
    """Before anything is asked. Raises ``RowError``."""
    if checker == "json_schema" and "schema" not in metadata:
        raise RowError('has no "schema" in its metadata')
    if checker == "choice" and not (len(gold) == 1 and gold.isalpha()):
        raise RowError(f"has the answer {gold[:20]!r}, which is no letter")
    try:
        if checker == "unit_tests" and not read_checks(metadata.get("tests", ())):
            raise RowError('has no "tests" in its metadata')
    except VerifierError as error:
        raise RowError(f"has tests that cannot be read: {str(error).rstrip('.')}") from error


def gold_of(row: Row, checker: str) -> str:
    key = "gold" if "gold" in row else "answer"
    value = row.get(key, "" if checker in WITHOUT_GOLD else None)
    if isinstance(value, float) and not math.isfinite(value):
        raise RowError(f"has the {key} {value}, which is no number")
    return text({key: str(value)} if isinstance(value, int | float) else {key: value}, key)


def documents_of(row: Row) -> list[Document]:
    written = row.get("documents", [])
    if not isinstance(written, list):
        raise RowError("has documents that are no list")
    return [document(i, {"text": each} if isinstance(each, str) else each) for i, each in enumerate(written, 1)]


def document(number: int, written: object) -> Document:
    if not isinstance(written, dict):
        raise RowError(f"has a document {number} that is neither a text nor an object")
    source = text({"source": f"document {number}"} | written, "source")
    return Document(text({"title": source} | written, "title"), source, text(written, "text"))
