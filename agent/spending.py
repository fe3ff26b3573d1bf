"""What the runs of each of a door's keys came to, by day; deleting runs does not give their tokens back.

``Store.spending`` opens it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.database import Database

USED = """
    coalesce(json_extract(metadata, '$.key'), '') AS key, substr(started_at, 1, 10) AS day, count(*) AS runs,
    coalesce(sum(json_extract(usage, '$.prompt_tokens')), 0) AS prompt_tokens,
    coalesce(sum(json_extract(usage, '$.sampled_tokens') + json_extract(usage, '$.verifier_tokens')), 0) AS tokens,
    coalesce(sum(json_extract(usage, '$.seconds')), 0) AS seconds,
    coalesce(sum(json_extract(usage, '$.cost')), 0) AS cost"""
SPEND = f"INSERT INTO spent SELECT {USED} FROM runs"
ADDED = """
    ON CONFLICT DO UPDATE SET runs = runs + excluded.runs, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        tokens = tokens + excluded.tokens, seconds = seconds + excluded.seconds, cost = cost + excluded.cost"""


@dataclass(frozen=True, slots=True)
class Used:
    """What one key's runs came to."""

    key: str
    runs: int
    prompt_tokens: int
    tokens: int  # sampled, or read by verifiers
    seconds: float
    cost: float


class Spending:
    """That of one log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, moment: str, by: str | None = None) -> list[Used]:
        """What keys have used since a moment (ISO 8601); one of them where ``by`` names it. "" is who had none."""
        query = f"""
            SELECT key, sum(runs) AS runs, sum(prompt_tokens) AS prompt_tokens, sum(tokens) AS tokens,
                sum(seconds) AS seconds, sum(cost) AS cost
            FROM (
                SELECT {USED} FROM runs WHERE started_at >= ?1 GROUP BY 1, 2
                UNION ALL SELECT * FROM spent WHERE day >= substr(?1, 1, 10)
            ) WHERE ?2 IS NULL OR key = ?2 GROUP BY key ORDER BY key"""
        with self._database.snapshot() as db:
            return [Used(**row) for row in db.execute(query, [moment, by])]


def keep_spent(db: sqlite3.Connection, condition: str, values: Sequence[Any]) -> None:
    """Runs are about to be deleted: what they used stays."""
    db.execute(f"{SPEND} WHERE {condition} GROUP BY 1, 2 {ADDED}", values)
