import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval import library
from retrieval.chunker import Chunk
from retrieval.errors import IndexBusy, IndexNotFound, IndexUnusable
from retrieval.library import Entry, Library, View, read_snapshot
from retrieval.passage import Document


def view(**changes) -> View:
    """Two documents, the first with two chunks; the texts must be in the library."""
    fields = {
        "documents": {"/d/a.md": Entry("a.md", "A", b"1"), "/d/b.md": Entry("b.md", "B", b"2")},
        "chunks": [Chunk(0, 0, 3), Chunk(0, 4, 7), Chunk(1, 0, 3)],
        "keys": [b"x", b"y", b"z"],
        "lexical": {"words": b"{}"},
        "roots": {"/d": "d"},
        "meta": {"chunk_size": "10", "encoder": "words", "fingerprint": "f"},
    }
    return View(**fields | changes)


def filled(folder: Path) -> Path:
    with Library(folder) as shelf:
        shelf.add_content(b"1", "A", "one two")
        shelf.add_content(b"2", "", "six\0\n")
        shelf.add_embeddings([b"x", b"y", b"z"], np.eye(3, dtype=np.float32))
        shelf.switch(view())
    return folder


def test_what_was_put_in_comes_out_in_order(folder):
    found = read_snapshot(filled(folder))
    assert found.documents == [Document("A", "a.md", "one two"), Document("B", "b.md", "six\0\n")]
    assert found.chunks == view().chunks
    assert found.lexical == {"words": b"{}"}
    assert found.meta["encoder"] == "words"
    assert found.vectors_N_D is not None
    assert found.vectors_N_D.tolist() == np.eye(3).tolist()
    with Library(folder) as shelf:
        assert (shelf.documents(), shelf.roots(), shelf.count_chunks()) == (view().documents, {"/d": "d"}, 3)


def test_vectors_are_left_on_disk_where_nobody_asks_for_them(folder):
    assert read_snapshot(filled(folder), with_vectors=False).vectors_N_D is None


def test_what_no_document_names_is_dropped_at_the_switch_and_only_then(folder):
    with Library(filled(folder)) as shelf:
        shelf.add_content(b"3", "C", "left over from a run that was killed")
        shelf.add_embeddings([b"w"], np.ones((1, 3)))
        assert shelf.title(b"3") == "C"
        assert shelf.missing_embeddings([b"w", b"q", b"x"]) == [b"q"]
        shelf.switch(view(documents={"/d/a.md": Entry("a.md", "A", b"1")}, chunks=[Chunk(0, 0, 3)], keys=[b"x"]))
        assert (shelf.title(b"1"), shelf.title(b"2"), shelf.title(b"3")) == ("A", None, None)
        assert shelf.missing_embeddings([b"w", b"x", b"y"]) == [b"w", b"y"]


def test_the_file_is_for_its_owner_alone(folder):
    assert (filled(folder) / "library.db").stat().st_mode & 0o777 == 0o600


def test_one_writer_at_a_time_and_readers_beside_it(folder):
    with Library(filled(folder)) as shelf:
        shelf.add_content(b"3", "C", "not searched yet")
        with pytest.raises(IndexBusy, match="try again"):
            Library(folder)
        assert len(read_snapshot(folder).documents) == 2
    Library(folder).__exit__()


def test_readers_read_while_a_large_text_waits_for_its_commit(folder):
    with Library(filled(folder)) as shelf:
        shelf.add_content(b"9", "Large", "word " * 2_000_000)
        assert len(read_snapshot(folder).documents) == 2


def test_a_folder_without_an_index_is_said(tmp_path):
    with pytest.raises(IndexNotFound, match="ponder index PATH"):
        read_snapshot(tmp_path)


def test_an_index_whose_first_run_was_killed_is_said(folder):
    with Library(folder) as shelf:
        shelf.add_content(b"1", "A", "one two")
    with pytest.raises(IndexNotFound, match="never finished"):
        read_snapshot(folder)


def test_an_index_of_a_newer_version_is_refused_and_left_alone(folder):
    with contextlib.closing(sqlite3.connect(filled(folder) / "library.db")) as db, db:
        db.execute("pragma user_version = 99")
    before = (folder / "library.db").read_bytes()
    with pytest.raises(IndexUnusable, match="newer version of ponder: update ponder"):
        read_snapshot(folder)
    with pytest.raises(IndexUnusable, match="newer version of ponder: update ponder"):
        Library(folder)
    assert (folder / "library.db").read_bytes() == before


@pytest.mark.parametrize("damage", [b"not a database, but long enough to be taken for a header " * 10, None])
def test_a_damaged_index_is_said(folder, damage):
    file = filled(folder) / "library.db"
    file.write_bytes(damage or file.read_bytes()[:6000])
    with pytest.raises(IndexUnusable, match=r"index again|permissions"):
        read_snapshot(folder)


def test_an_index_that_lost_vectors_is_said(folder):
    with contextlib.closing(sqlite3.connect(filled(folder) / "library.db")) as db, db:
        db.execute("delete from embeddings where key = ?", (b"y",))
    with pytest.raises(IndexUnusable, match="damaged"):
        read_snapshot(folder)


def test_a_place_where_no_folder_can_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(IndexUnusable, match="permissions"):
        Library(tmp_path / "file" / "index")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the database grow by no more than so many pages."""
    connect = library._connect

    def fill(pages: int) -> None:
        def limited(file: Path) -> sqlite3.Connection:
            db = connect(file)
            db.execute(f"pragma max_page_count = {db.execute('pragma page_count').fetchone()[0] + pages}")
            return db

        monkeypatch.setattr(library, "_connect", limited)

    return fill


def test_a_full_disk_is_said_and_leaves_the_old_index(folder, full_disk):
    before = read_snapshot(filled(folder))
    full_disk(2)
    with pytest.raises(IndexUnusable, match=r"full.*free disk space"), Library(folder) as shelf:
        shelf.switch(view(lexical={"words": b"x" * 100_000}))
    after = read_snapshot(folder)
    assert (after.documents, after.chunks, after.lexical) == (before.documents, before.chunks, before.lexical)
