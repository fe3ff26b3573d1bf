"""One SQLite file: how it is opened, its transactions, its failures by name. What is in it is ``store``'s."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from agent import errors
from agent.migrations import APPLICATION_ID, MIGRATIONS, migrate, version

LITTLE_ROOM = 64 * 1024  # bytes; SQLite's shared memory alone takes 32 KiB
ERASING_SECONDS = 1.0  # how long a reader is waited for when something was deleted: nobody writes meanwhile
BUSY_SECONDS = 10.0  # how long one process waits for another's write; a write takes milliseconds


class Database:
    """A connection that all threads of a process share. Made by ``Database.open``."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._old_pages = False  # whether what was deleted stands beside the file still
        self._lock = threading.RLock()  # a transaction belongs to the connection, not to the thread that began it

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open the file, made readable by its owner only where there is none, and bring its tables up to date.

        Raises ``StoreTooNew``, ``StoreReadOnly``, ``StoreFull``, ``StoreDamaged`` or ``StoreBusy``; the file is then as
        it was.
        """
        with _named_errors(path), _alone(path):
            _create(path)
            _refuse_what_is_not_ours(path)
            connection = _connect(path, "rw")
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")  # survives kill -9; a power cut may cost moments
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
                migrate(connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside, or none of it."""
        with self._lock, _named_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:  # after some errors SQLite has rolled back by itself
                    self._connection.execute("ROLLBACK")
            if self._old_pages:
                self._empty(0)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """One moment of the file, however many queries look at it."""
        with self._lock, _named_errors(self.path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    def vacuum(self) -> None:
        """Rewrite the file without the room of what was deleted; writers wait."""
        with self._lock, _named_errors(self.path):
            self._connection.execute("VACUUM")

    def empty_write_ahead_log(self) -> None:
        """Move all pages into the file itself, so that no old one stays beside it.

        Raises ``StoreBusy`` where a reader keeps them alive; then it is tried again after each transaction.
        """
        self._empty(ERASING_SECONDS)
        if self._old_pages:
            raise errors.StoreBusy(f"Another process reads {self.path}: the bytes are erased when it has ended.")

    def _empty(self, seconds: float) -> None:
        with self._lock, _named_errors(self.path):
            self._connection.execute(f"PRAGMA busy_timeout = {int(1000 * seconds)}")
            (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._connection.execute(f"PRAGMA busy_timeout = {int(1000 * BUSY_SECONDS)}")
            self._old_pages = bool(busy)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time looks at a new file and prepares it; SQLite's own lock does not span the two.

    Raises ``StoreBusy`` after ``BUSY_SECONDS``.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_be_made(path, error) from error
    try:
        until = time.monotonic() + BUSY_SECONDS
        while not _locked(folder):
            if time.monotonic() > until:
                raise errors.StoreBusy(f"Another process has held {path} for {BUSY_SECONDS:.0f} s; try again later.")
            time.sleep(0.01)
        yield
    finally:
        os.close(folder)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _create(path: Path) -> None:
    """An empty file with mode 0600, where there is none; SQLite gives its side files the same mode."""
    try:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        raise _cannot_be_made(path, error) from error


def _cannot_be_made(path: Path, error: OSError) -> errors.StoreReadOnly:
    return errors.StoreReadOnly(f"{path} cannot be made: {error.strerror}; set PONDER_HOME to a folder of yours.")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(address, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
    db.row_factory = sqlite3.Row
    return db


def _refuse_what_is_not_ours(path: Path) -> None:
    """Look before touching: a log from a newer Ponder and another program's file stay as they are."""
    with closing(_connect(path, "ro")) as db:
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and owner != APPLICATION_ID:
            raise errors.StoreDamaged(
                f"{path} belongs to another program; set PONDER_HOME to a folder of Ponder's own."
            )
        if version(db) > len(MIGRATIONS):
            raise errors.StoreTooNew(
                f"{path} was written by a newer Ponder (log version {version(db)}, this one knows {len(MIGRATIONS)}); "
                "upgrade Ponder, or set PONDER_HOME to another folder."
            )


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _named(path, error) from error
    except zlib.error as error:
        raise errors.StoreDamaged(f"{path} holds a damaged array; bring back a copy, or delete that run.") from error


def _named(path: Path, error: sqlite3.Error) -> errors.StoreError:
    """The error that a person reads, by SQLite's primary result code."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case code if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
            return errors.StoreFull(f"The disk of {path} is full; free some space, then `ponder resume` the run.")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return errors.StoreReadOnly(f"{path} cannot be written; set PONDER_HOME to a folder of yours.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return errors.StoreBusy(
                f"Another process has held {path} for {BUSY_SECONDS:.0f} s; try again when it ended."
            )
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return errors.StoreDamaged(f"{path} is not a log or is damaged; move it away, or bring back a copy.")
        case _:
            return errors.StoreError(f"The log {path} failed ({error}); look after its disk, nothing logged is lost.")


def _is_full(path: Path) -> bool:
    """SQLite calls it an input or output error where its shared memory finds no room."""
    return shutil.disk_usage(path.parent).free < LITTLE_ROOM
