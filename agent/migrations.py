"""The log's tables, as the list of steps that made them. ``store`` runs the steps that a file has not had yet.

A step is never changed once it was released: a new one is appended. ``PRAGMA user_version`` counts the steps taken.
"""

import sqlite3
from collections.abc import Callable, Sequence

APPLICATION_ID = 0x506F6E64  # "Pond": tells a log from any other SQLite file


def create_log(db: sqlite3.Connection) -> None:
    """Runs, the nodes of their trees, the tools that were started at a node, what people said.

    A node's prompt is the first ``shared`` tokens of node ``base`` (prompt and sample together) and then ``suffix``:
    each token of a tree is stored once. JSON columns hold the fields of ``agent.records`` under their own names.
    """
    db.execute("""
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, thread_id TEXT NOT NULL, question TEXT NOT NULL,
            effort TEXT NOT NULL, strategy TEXT NOT NULL, settings TEXT NOT NULL, stopping_rule TEXT NOT NULL,
            root_seed TEXT NOT NULL, policy TEXT NOT NULL, started_at TEXT NOT NULL, status TEXT NOT NULL,
            chosen TEXT, answer TEXT, verdicts TEXT NOT NULL, usage TEXT NOT NULL, error TEXT,
            reference INTEGER NOT NULL, metadata TEXT NOT NULL
        )""")
    db.execute("CREATE INDEX runs_by_thread ON runs (thread_id)")
    db.execute("CREATE INDEX runs_by_start ON runs (started_at)")
    db.execute("""
        CREATE TABLE nodes (
            id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, path TEXT NOT NULL,
            base INTEGER, shared INTEGER NOT NULL, suffix BLOB NOT NULL,
            token_ids BLOB NOT NULL, logprobs BLOB NOT NULL, finish_reason TEXT NOT NULL,
            policy TEXT NOT NULL, params TEXT NOT NULL, first_token_seconds REAL NOT NULL, total_seconds REAL NOT NULL,
            cached_prompt_tokens INTEGER NOT NULL, template_hash TEXT NOT NULL, not_trainable TEXT,
            ending TEXT NOT NULL, thought TEXT NOT NULL, text TEXT NOT NULL, calls TEXT NOT NULL,
            verdicts TEXT NOT NULL, note TEXT NOT NULL,
            UNIQUE (run, path)
        )""")
    db.execute("""
        CREATE TABLE tool_calls (
            node INTEGER NOT NULL REFERENCES nodes ON DELETE CASCADE, position INTEGER NOT NULL,
            name TEXT NOT NULL, arguments TEXT NOT NULL, started_at TEXT NOT NULL,
            result BLOB, -- null until it finished
            PRIMARY KEY (node, position)
        ) WITHOUT ROWID""")
    db.execute("""
        CREATE TABLE feedback (
            id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
            value REAL, comment TEXT NOT NULL, preferred TEXT, created_at TEXT NOT NULL
        )""")
    db.execute("CREATE INDEX feedback_by_run ON feedback (run)")


def add_bridge(db: sqlite3.Connection) -> None:
    """What a search put between a node and its parent."""
    db.execute("ALTER TABLE nodes ADD COLUMN bridge TEXT NOT NULL DEFAULT ''")


def add_supplied(db: sqlite3.Connection) -> None:
    """The conversation and the tools of a caller who keeps them itself."""
    db.execute("ALTER TABLE runs ADD COLUMN supplied TEXT NOT NULL DEFAULT '{}'")


def add_threads(db: sqlite3.Connection) -> None:
    """Threads that were made before their first run, or as forks of others."""
    db.execute("""
        CREATE TABLE threads (
            thread_id TEXT PRIMARY KEY, key TEXT, created_at TEXT NOT NULL, parent TEXT, before TEXT
        ) WITHOUT ROWID""")


def add_requests(db: sqlite3.Connection) -> None:
    """Requests of doors that name themselves."""
    db.execute("""
        CREATE TABLE requests (
            key TEXT NOT NULL, name TEXT NOT NULL, fingerprint TEXT NOT NULL, run_id TEXT, created_at TEXT NOT NULL,
            PRIMARY KEY (key, name)
        ) WITHOUT ROWID""")


def add_asked(db: sqlite3.Connection) -> None:
    """When keys with a limit asked, in the last minute."""
    db.execute("CREATE TABLE asked (key TEXT NOT NULL, at REAL NOT NULL)")  # seconds since 1970
    db.execute("CREATE INDEX asked_by_key ON asked (key, at)")


def add_memories(db: sqlite3.Connection) -> None:
    """Facts that later conversations are told."""
    db.execute("""
        CREATE TABLE memories (
            id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, text TEXT NOT NULL,
            run INTEGER REFERENCES runs (id) ON DELETE CASCADE, created_at TEXT NOT NULL, UNIQUE (key, text)
        )""")


def add_spent(db: sqlite3.Connection) -> None:
    """What deleted runs had used, by key and day: deleting gives no tokens back."""
    db.execute("""
        CREATE TABLE spent (
            key TEXT NOT NULL, day TEXT NOT NULL, runs INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
            tokens INTEGER NOT NULL, seconds REAL NOT NULL, cost REAL NOT NULL, PRIMARY KEY (key, day)
        ) WITHOUT ROWID""")


STEPS = (create_log, add_bridge, add_supplied, add_threads, add_requests, add_asked, add_memories, add_spent)
MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = STEPS


def version(db: sqlite3.Connection) -> int:
    return db.execute("PRAGMA user_version").fetchone()[0]


def migrate(db: sqlite3.Connection, steps: Sequence[Callable[[sqlite3.Connection], None]] = MIGRATIONS) -> None:
    """Take the steps that are missing, all or none. Two processes that open a file at once take them once."""
    if version(db) >= len(steps):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version(db) :]:
            step(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(steps)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
