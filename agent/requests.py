"""Requests that name themselves, so that one which is sent twice is carried out once (the Idempotency-Key header, IETF
draft-ietf-httpapi-idempotency-key-header). ``Store.requests`` opens it; doors ask it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.database import Database

KEPT = timedelta(days=1)  # a name may be used again after that


@dataclass(frozen=True, slots=True)
class Request:
    """One that was begun."""

    fingerprint: str  # of what was asked for
    run_id: str | None  # None: it is being begun at this moment, or its process ended before it had


class Requests:
    """Those of one log, by whose key they came with and how they are called."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database, self._clock = database, clock

    def begin(self, key: str, name: str, fingerprint: str) -> Request | None:
        """Take the name; the request that has it already, where there is one."""
        now = self._clock()
        with self._database.transaction() as db:
            db.execute("DELETE FROM requests WHERE created_at < ?", [(now - KEPT).isoformat()])
            query = "SELECT fingerprint, run_id FROM requests WHERE key = ? AND name = ?"
            row = db.execute(query, [key, name]).fetchone()
            if row is not None:
                return Request(**row)
            row = (key, name, fingerprint, now.isoformat())
            db.execute("INSERT INTO requests (key, name, fingerprint, created_at) VALUES (?, ?, ?, ?)", row)
        return None

    def carried_out(self, key: str, name: str, run_id: str) -> None:
        """By that run."""
        with self._database.transaction() as db:
            db.execute("UPDATE requests SET run_id = ? WHERE key = ? AND name = ?", [run_id, key, name])

    def forget(self, key: str, name: str) -> None:
        """It came to nothing, and may be sent again."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM requests WHERE key = ? AND name = ? AND run_id IS NULL", [key, name])
