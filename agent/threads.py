"""Threads of the log: which there are, whose they are, and which one began as a fork of another.

A thread is what its runs name; only one that was made before its first run, or as a fork, has a row of its own. A fork
refers to the runs that its parent had: what is deleted there is gone here too. ``Store.threads`` opens it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.database import Database
from agent.errors import NotInLog

PARENTS = 100  # forks of forks that are followed


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation."""

    thread_id: str
    key: str | None  # of a door, by which it was begun
    created_at: str  # ISO 8601, UTC
    parent: str | None  # the thread that it was forked from
    before: str | None  # what the parent's runs began earlier than, that belong to it
    runs: int  # its own
    title: str | None  # its first question
    last_at: str  # when its last run began, or it was made


SELECT = """
    WITH known AS (
        SELECT thread_id, key, created_at, parent, before FROM threads
        UNION ALL
        SELECT thread_id, json_extract(metadata, '$.key'), min(started_at), NULL, NULL FROM runs
        WHERE thread_id NOT IN (SELECT thread_id FROM threads) GROUP BY thread_id  -- the key of the first run
    )
    SELECT known.*, count(runs.id) FILTER (WHERE json_extract(metadata, '$.summary_of') IS NULL) AS runs,
        coalesce(max(runs.started_at), known.created_at) AS last_at,
        (
            SELECT question FROM runs
            WHERE thread_id = known.thread_id AND json_extract(metadata, '$.summary_of') IS NULL
            ORDER BY started_at, id LIMIT 1
        ) AS title
    FROM known LEFT JOIN runs USING (thread_id)
    WHERE {condition} GROUP BY known.thread_id ORDER BY last_at DESC, thread_id LIMIT ?
    """


class Threads:
    """Those of one log."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database, self._clock = database, clock

    def create(self, key: str | None = None) -> Thread:
        """A new one, with nothing in it."""
        return self._insert(key, None, None)

    def fork(self, parent: str, until: str | None = None, key: str | None = None) -> Thread:
        """A new one that begins as ``parent`` stands, or as it stood after a run that began at ``until``.

        Raises ``NotInLog`` where there is no such thread.
        """
        self.get(parent)
        at = self._clock() if until is None else datetime.fromisoformat(until) + timedelta(microseconds=1)
        return self._insert(key, parent, at.isoformat())

    def _insert(self, key: str | None, parent: str | None, before: str | None) -> Thread:
        thread_id = uuid.uuid4().hex[:12]
        row = (thread_id, key, self._clock().isoformat(), parent, before)
        with self._database.transaction() as db:
            db.execute("INSERT INTO threads (thread_id, key, created_at, parent, before) VALUES (?, ?, ?, ?, ?)", row)
        return self.get(thread_id)

    def get(self, thread_id: str) -> Thread:
        """Raises ``NotInLog``."""
        with self._database.snapshot() as db:
            row = db.execute(SELECT.format(condition="known.thread_id = ?"), [thread_id, 1]).fetchone()
        if row is None:
            raise NotInLog(f"There is no thread {thread_id} in the log.")
        return Thread(**row)

    def all(self, key: str | None = None, limit: int = 20, before: str | None = None) -> list[Thread]:
        """The last ones that something happened in; of one key where it is given. ``before`` is a ``last_at``."""
        condition = "(? IS NULL OR known.key = ?) AND (? IS NULL OR coalesce(runs.started_at, known.created_at) < ?)"
        with self._database.snapshot() as db:
            rows = db.execute(SELECT.format(condition=condition), [key, key, before, before, limit])
            return [Thread(**row) for row in rows]

    def forget(self, thread_id: str) -> bool:
        """Remove what is not its runs'; whether there was something."""
        with self._database.transaction() as db:
            return db.execute("DELETE FROM threads WHERE thread_id = ?", [thread_id]).rowcount > 0

    def lineage(self, thread_id: str, before: str) -> list[tuple[str, str]]:
        """The thread and those that it was forked from, each with the time that its runs began earlier than."""
        found = [(thread_id, before)]
        with self._database.snapshot() as db:
            while len(found) < PARENTS:
                query = "SELECT parent, before FROM threads WHERE thread_id = ? AND parent IS NOT NULL"
                row = db.execute(query, [found[-1][0]]).fetchone()
                if row is None:
                    break
                found.append((row["parent"], min(row["before"], found[-1][1])))
        return found
