"""Prompts in the log as a tree: a node's row keeps what its prompt has beyond that of the row it builds on, its base.

Used by ``Store`` alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from agent.packing import unpack_ids
from agent.records import Path
from agent.rows import path_text


def base_of(db: sqlite3.Connection, run: int, parent: Path) -> int | None:
    """The row that a node's prompt builds on: its parent's, or the run's first where it has none."""
    query = (
        "SELECT coalesce((SELECT id FROM nodes WHERE run = ? AND path = ?), (SELECT min(id) FROM nodes WHERE run = ?))"
    )
    (base,) = db.execute(query, [run, path_text(parent), run]).fetchone()
    return base


def sequence(db: sqlite3.Connection, node: int) -> tuple[int, ...]:
    """A node's prompt and sample together."""
    *_, (_, prompt, tokens) = with_tokens(chain(db, node))
    return prompt + tokens


def chain(db: sqlite3.Connection, node: int) -> Iterable[sqlite3.Row]:
    """The rows that a node's prompt is made of, its own last. A base is always older, so its key is smaller."""
    query = """
        WITH RECURSIVE chain (id, base) AS (
            SELECT id, base FROM nodes WHERE id = ?
            UNION ALL SELECT nodes.id, nodes.base FROM nodes JOIN chain ON nodes.id = chain.base
        )
        SELECT nodes.* FROM nodes JOIN chain USING (id) ORDER BY id"""
    return db.execute(query, [node]).fetchall()


def with_tokens(rows: Iterable[sqlite3.Row]) -> Iterator[tuple[sqlite3.Row, tuple[int, ...], tuple[int, ...]]]:
    """Each row with its whole prompt and its sampled tokens; a row's base comes before it."""
    sequences: dict[int | None, tuple[int, ...]] = {None: ()}
    for row in rows:
        prompt = sequences[row["base"]][: row["shared"]] + unpack_ids(row["suffix"])
        tokens = unpack_ids(row["token_ids"])
        sequences[row["id"]] = prompt + tokens
        yield row, prompt, tokens
