"""Requests of doors, as all processes of a home see them: those that name themselves, so that one which is sent twice
is carried out once (the Idempotency-Key header, IETF draft-ietf-httpapi-idempotency-key-header), and how many a key
made in the last minute. ``Store.requests`` opens it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.database import Database

KEPT = timedelta(days=1)  # a name may be used again after that
MINUTE = 60.0  # seconds


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
            # Of one that was cancelled the client had gone, and comes again.
            cancelled = "run_id IN (SELECT run_id FROM runs WHERE status = 'cancelled')"
            db.execute(f"DELETE FROM requests WHERE key = ? AND name = ? AND {cancelled}", [key, name])
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

    def within(self, key: str, most: int) -> float:
        """Count a request of the key, where it is one of no more than ``most`` in any minute; 0.

        Otherwise the seconds until it may ask again; then nothing is counted.
        """
        now = self._clock().timestamp()
        with self._database.transaction() as db:
            db.execute("DELETE FROM asked WHERE at <= ?", [now - MINUTE])
            query = "SELECT at FROM asked WHERE key = ? ORDER BY at DESC LIMIT 1 OFFSET ?"
            first = db.execute(query, [key, most - 1]).fetchone()
            if first is not None:
                return first["at"] + MINUTE - now
            db.execute("INSERT INTO asked (key, at) VALUES (?, ?)", [key, now])
        return 0.0
