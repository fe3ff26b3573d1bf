"""What is known of a person from earlier conversations: facts, kept in the log, and told to the runs that ask for them.

Off unless asked for: a run whose metadata has ``memory`` begins with the facts of its key, and has a tool to keep new
ones. That tool asks the person first, because a document could tell the model what to "remember". A fact that came of a
run is deleted with it. ``Store.memories`` opens them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.database import Database
from agent.errors import StoreBusy
from tools.tool import Tool, ToolError, tool

MEMORY = "memory"  # in a run's metadata
LONGEST = 1_000  # characters of a fact


@dataclass(frozen=True, slots=True)
class Memory:
    """A fact."""

    id: int
    text: str
    run_id: str | None  # in which it was said; None: it was written down by hand
    created_at: str  # ISO 8601, UTC


class Memories:
    """Those of one log, by whose door's key they are; "" is who has none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: str, text: str, run_id: str | None = None) -> Memory:
        """Keep a fact. One that is there already stays; written down by hand, it is no run's any more."""
        text = " ".join(text.split())[:LONGEST]
        with self._database.transaction() as db:
            db.execute(
                """
                INSERT INTO memories (key, text, run, created_at)
                VALUES (?, ?, (SELECT id FROM runs WHERE run_id = ?), ?)
                ON CONFLICT DO UPDATE SET run = NULL WHERE excluded.run IS NULL""",
                [key, text, run_id, datetime.now(UTC).isoformat()],
            )
        return next(each for each in self.all(key) if each.text == text)

    def all(self, key: str) -> list[Memory]:
        """Of a key, newest first."""
        query = """
            SELECT memories.id, text, run_id, memories.created_at FROM memories LEFT JOIN runs ON runs.id = run
            WHERE key = ? ORDER BY memories.id DESC"""
        with self._database.snapshot() as db:
            return [Memory(**row) for row in db.execute(query, [key])]

    def forget(self, key: str, memory: int | None = None) -> int:
        """Delete one of a key, or all; returns how many."""
        with self._database.transaction() as db:
            condition = "key = ? AND (? IS NULL OR id = ?)"
            deleted = db.execute(f"DELETE FROM memories WHERE {condition}", [key, memory, memory]).rowcount
        with suppress(StoreBusy):  # it is gone; somebody reads, and its bytes are erased later
            self._database.empty_write_ahead_log()
        return deleted


def told(memories: Sequence[Memory], count: int) -> str:
    """The newest so many, oldest first, a line each."""
    return "\n".join(f"- {memory.text}" for memory in reversed(memories[:count]))


def remembering(memories: Memories, key: str, run_id: str) -> Tool:
    """The tool with which a run keeps a fact."""

    @tool(asks=True)
    def remember(fact: str) -> str:
        """Keep a fact about the person for later conversations, when they ask for it or it will be of use again."""
        if not fact.strip():
            raise ToolError("There is nothing to keep; write the fact.")
        memories.add(key, fact, run_id)
        return "kept"

    return remember
