"""The index on disk: one SQLite file in a folder, which a reader sees before or after a change, never in between.

    contents    text and first heading of a file's bytes, by their hash      } grow while a run works, are used again by
    embeddings  vectors by the hash of encoder and text                      } the next; what nothing names is dropped
    documents, chunks, lexical, roots, meta: what is searched; replaced as a whole, in one transaction (``switch``)

So a killed run costs nothing that it had finished, and the old index stays whole. Readers load a snapshot and let go of
the file. Not here: where texts and vectors come from (``indexing``), and how they are searched (``retriever``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.chunker import Chunk
from retrieval.errors import IndexBusy, IndexNotFound, IndexUnusable
from retrieval.passage import Document

FORMAT = 1
_FILE = "library.db"
_WAIT_SECONDS = 30.0  # for another process's commit
_KEEP_SECONDS = 1.0  # between commits: the most work, beside the batch in hand, that a killed run loses

_SCHEMA = """
create table contents (digest blob primary key, title text not null, text text not null);
create table embeddings (key blob primary key, vector blob not null);
create table documents (row integer primary key, path blob not null, source text not null, title text not null,
                        digest blob not null);
create table chunks (row integer primary key, document integer not null, start integer not null, stop integer not null,
                     key blob not null);
create table lexical (name text primary key, data blob not null);
create table roots (path blob primary key, given blob not null);
create table meta (name text primary key, value text not null);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as the index knows it; its text is the content with that digest."""

    source: str
    title: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class View:
    """What is searched: all of it is replaced at once."""

    documents: Mapping[str, Entry]  # by absolute path; their order gives their positions
    chunks: Sequence[Chunk]  # their order gives their rows in both indexes
    keys: Sequence[bytes]  # of the chunks' embeddings, in their order; empty ones where there are no embeddings
    lexical: Mapping[str, bytes]  # LexicalIndex.arrays()
    roots: Mapping[str, str]  # the paths that were indexed: absolute path -> as the person gave it
    meta: Mapping[str, str]  # what the view depends on: chunk size, encoder


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A view as a reader has it in memory."""

    documents: list[Document]
    chunks: list[Chunk]
    lexical: dict[str, bytes]
    vectors_N_D: np.ndarray | None  # float32, one row per chunk; None where there are none, or none were asked for
    meta: dict[str, str]


def read_snapshot(folder: str | os.PathLike[str], with_vectors: bool = True) -> Snapshot:
    """All that searching needs, read at one moment. Raises IndexNotFound, IndexUnusable."""
    file = Path(folder) / _FILE
    if not file.is_file():
        raise IndexNotFound(f"There is no index in {folder}: make one with `ponder index PATH`.")
    with _named_errors(folder), contextlib.closing(_connect(file)) as db:
        db.execute("begin")
        if not (meta := _meta(db, folder)):
            raise IndexNotFound(f"The index in {folder} was never finished: run `ponder index PATH` again.")
        rows = db.execute("select d.title, source, text from documents d join contents using (digest) order by row")
        documents = [Document(*row) for row in rows]
        chunks = [Chunk(*row) for row in db.execute("select document, start, stop from chunks order by row")]
        lexical = dict(db.execute("select name, data from lexical"))
        vectors_N_D = _vectors(db, len(chunks)) if with_vectors and meta["encoder"] and chunks else None
        return Snapshot(documents, chunks, lexical, vectors_N_D, meta)


class Library:
    """The writer of one index: one per folder at a time, in any process. Use it in a ``with`` statement."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Open or make the index in ``folder``. Raises IndexBusy, IndexUnusable."""
        self.folder = Path(folder)
        with contextlib.ExitStack() as stack, _named_errors(folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            stack.enter_context(_locked(self.folder))
            file = self.folder / _FILE
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = stack.enter_context(contextlib.closing(_connect(file)))
            self._db.execute("pragma cache_spill = off")  # a large file's text must not lock readers out until a commit
            if self._db.execute("pragma user_version").fetchone() == (0,):
                self._db.executescript(f"begin immediate; {_SCHEMA} pragma user_version = {FORMAT}; commit;")
            _meta(self._db, folder)
            self._kept = time.monotonic()  # when the last commit was
            self._close = stack.pop_all()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *error: object) -> None:
        self._close.close()

    def documents(self) -> dict[str, Entry]:
        """The files that are indexed, by absolute path."""
        with _named_errors(self.folder):
            rows = self._db.execute("select path, source, title, digest from documents order by row")
            return {os.fsdecode(path): Entry(*entry) for path, *entry in rows}

    def roots(self) -> dict[str, str]:
        """The paths that were indexed: absolute path -> as the person gave it."""
        with _named_errors(self.folder):
            rows = self._db.execute("select path, given from roots order by path")
            return {os.fsdecode(path): os.fsdecode(given) for path, given in rows}

    def meta(self) -> dict[str, str]:
        with _named_errors(self.folder):
            return _meta(self._db, self.folder)

    def title(self, digest: bytes) -> str | None:
        """The title of the content with this digest ("" where it has none); None where it was never read."""
        with _named_errors(self.folder):
            row = self._db.execute("select title from contents where digest = ?", (digest,)).fetchone()
            return row[0] if row else None

    def text(self, digest: bytes) -> str:
        with _named_errors(self.folder):
            return self._db.execute("select text from contents where digest = ?", (digest,)).fetchone()[0]

    def add_content(self, digest: bytes, title: str, text: str) -> None:
        self._keep("insert or replace into contents values (?, ?, ?)", [(digest, title, text)])

    def count_chunks(self) -> int:
        with _named_errors(self.folder):
            return self._db.execute("select count(*) from chunks").fetchone()[0]

    def missing_embeddings(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of ``keys`` that have no vector yet, in their order."""
        with _named_errors(self.folder):
            stored = {key for (key,) in self._db.execute("select key from embeddings")}
            return [key for key in keys if key not in stored]

    def add_embeddings(self, keys: Sequence[bytes], vectors_N_D: np.ndarray) -> None:
        vectors = (vector.astype("<f4").tobytes() for vector in vectors_N_D)
        self._keep("insert or replace into embeddings values (?, ?)", list(zip(keys, vectors, strict=True)))

    def switch(self, view: View) -> None:
        """Replace what is searched by ``view``, and drop the contents and embeddings that it doesn't name."""
        with _named_errors(self.folder):
            if not self._db.in_transaction:
                self._db.execute("begin immediate")
            for table in ("documents", "chunks", "lexical", "roots", "meta"):
                self._db.execute(f"delete from {table}")
            documents = enumerate(view.documents.items())
            self._insert("documents", ((i, os.fsencode(p), e.source, e.title, e.digest) for i, (p, e) in documents))
            chunks = enumerate(zip(view.chunks, view.keys, strict=True))
            self._insert("chunks", ((i, c.document, c.start, c.end, key) for i, (c, key) in chunks))
            self._insert("lexical", view.lexical.items())
            self._insert("roots", ((os.fsencode(path), os.fsencode(given)) for path, given in view.roots.items()))
            self._insert("meta", view.meta.items())
            self._db.execute("delete from contents where digest not in (select digest from documents)")
            self._db.execute("delete from embeddings where key not in (select key from chunks)")
            self._db.commit()

    def _insert(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        rows = list(rows)
        if rows:
            self._db.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)

    def _keep(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Write work that the next run can use; it is committed once a second, because a commit waits for the disk."""
        with _named_errors(self.folder):
            if not self._db.in_transaction:
                self._db.execute("begin immediate")
            self._db.executemany(statement, rows)
            if time.monotonic() - self._kept > _KEEP_SECONDS:
                self._db.commit()
                self._kept = time.monotonic()


def _connect(file: Path) -> sqlite3.Connection:
    """A connection to a file that exists, for writing where that is allowed: a reader, too, undoes what a kill left.

    With a rollback journal, not WAL: an index on a read-only disk must open, and readers hold the file only briefly.
    """
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT_SECONDS, isolation_level=None)


def _meta(db: sqlite3.Connection, folder: str | os.PathLike[str]) -> dict[str, str]:
    """The view's meta values, none where there is no view yet."""
    (found,) = db.execute("pragma user_version").fetchone()
    if found > FORMAT:
        raise IndexUnusable(f"The index in {folder} is from a newer version of ponder: update ponder to use it.")
    return dict(db.execute("select name, value from meta")) if found else {}


def _vectors(db: sqlite3.Connection, count: int) -> np.ndarray:
    rows = db.execute("select vector from chunks join embeddings using (key) order by row").fetchall()
    if len(rows) != count:
        raise ValueError(f"{count - len(rows)} of {count} vectors are missing")
    return np.frombuffer(b"".join(vector for (vector,) in rows), "<f4").reshape(count, -1)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it when the process ends, however it ends."""
    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise IndexBusy(f"Another process is writing the index in {folder}: try again after it.") from error
        yield


@contextlib.contextmanager
def _named_errors(folder: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise IndexUnusable(
            f"The index in {folder} can't be used ({error}): check the folder's permissions and the free disk space."
        ) from error
    except (sqlite3.DatabaseError, KeyError, ValueError) as error:
        raise IndexUnusable(f"The index in {folder} is damaged ({error}): delete it and index again.") from error
