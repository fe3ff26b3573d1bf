"""The steps that made the log's tables: each is taken once, whole or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.migrations import MIGRATIONS, migrate, version
from agent.store import Store
from tests.agent.logs import RUN


def test_an_older_log_gets_the_missing_steps_once(log_path: Path) -> None:
    def add_colour(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE runs ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")

    with Store.open(log_path) as store:
        store.begin(RUN)
    with closing(sqlite3.connect(log_path, isolation_level=None)) as db:
        for _ in range(2):
            migrate(db, [*MIGRATIONS, add_colour])
        assert version(db) == len(MIGRATIONS) + 1
        assert db.execute("SELECT colour FROM runs").fetchone() == ("blue",)


def test_a_step_that_fails_leaves_the_log_as_it_was(log_path: Path) -> None:
    def break_off(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE runs ADD COLUMN colour TEXT")
        raise KeyboardInterrupt

    Store.open(log_path).close()
    with closing(sqlite3.connect(log_path, isolation_level=None)) as db:
        with pytest.raises(KeyboardInterrupt):
            migrate(db, [*MIGRATIONS, break_off])
        assert version(db) == len(MIGRATIONS)
        assert "colour" not in [column[1] for column in db.execute("PRAGMA table_info(runs)")]
