import itertools
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval import library
from retrieval.errors import PathNotFound
from retrieval.indexing import IndexSettings, index
from retrieval.library import read_snapshot
from retrieval.retriever import Retriever


def sources(folder: Path) -> list[str]:
    return [document.source for document in read_snapshot(folder).documents]


def searched(folder: Path, encoder=None) -> list[tuple[str, str, float]]:
    """All that a search may depend on, seen through a few searches."""
    retriever = Retriever.open(folder, encoder)
    queries = ("bridge library mill", "1748", "Odile Marchetti", "books")
    return [(p.source, p.text, p.score) for query in queries for p in retriever.search(query, 10)]


def same_index(one: Path, other: Path) -> bool:
    a, b = read_snapshot(one), read_snapshot(other)
    same = (a.documents, a.chunks, a.lexical, a.meta) == (b.documents, b.chunks, b.lexical, b.meta)
    vectors = [None if x.vectors_N_D is None else x.vectors_N_D.tolist() for x in (a, b)]
    return same and vectors[0] == vectors[1]


def test_new_files_are_added_and_can_be_found(docs, folder, encoder):
    report = index([docs], folder, encoder)
    assert (report.added, report.updated, report.unchanged, report.removed) == (3, 0, 0, 0)
    assert (report.documents, report.chunks, report.embedded, report.encoder) == (3, 3, 3, "words")
    [passage] = Retriever.open(folder, encoder).search("Who designed the Long Bridge?", k=1)
    assert (passage.title, passage.source) == ("The Long Bridge", str(docs / "bridge.md"))
    assert passage.text == (docs / "bridge.md").read_text()[passage.start : passage.end]


def test_nothing_changed_means_nothing_is_embedded_or_written(docs, folder, encoder):
    index([docs], folder, encoder)
    before = (folder / "library.db").read_bytes()
    encoder.encoded.clear()
    report = index([docs], folder, encoder)
    assert (report.added, report.updated, report.unchanged, report.embedded) == (0, 0, 3, 0)
    assert not encoder.encoded
    assert (folder / "library.db").read_bytes() == before


def test_only_what_changed_is_embedded_again(docs, folder, encoder):
    index([docs], folder, encoder)
    encoder.encoded.clear()
    (docs / "mill.txt").write_text("The mill was closed in 1990.")
    (docs / "new.txt").write_text("A ferry crosses the river.")
    report = index([docs], folder, encoder)
    assert (report.added, report.updated, report.unchanged, report.removed, report.embedded) == (1, 1, 2, 0, 2)
    assert encoder.encoded == ["mill.txt\nThe mill was closed in 1990.", "new.txt\nA ferry crosses the river."]


def test_removed_files_disappear(docs, folder, encoder):
    index([docs], folder, encoder)
    (docs / "mill.txt").unlink()
    report = index([docs], folder, encoder)
    assert (report.removed, report.unchanged, report.documents) == (1, 2, 2)
    assert not [text for _, text, _ in searched(folder, encoder) if "mill" in text]


def test_a_moved_file_is_neither_converted_nor_embedded_again(docs, folder, encoder):
    index([docs], folder, encoder)
    (docs / "bridge.md").rename(docs / "deep" / "renamed.md")
    report = index([docs], folder, encoder)
    assert (report.added, report.removed, report.embedded) == (1, 1, 0)


def test_other_paths_stay_as_they_are(docs, folder, tmp_path, encoder):
    other = tmp_path / "other.txt"
    other.write_text("Another text.")
    index([docs], folder, encoder)
    report = index([other], folder, encoder)
    assert (report.added, report.removed, report.documents) == (1, 0, 4)


def test_no_paths_means_all_earlier_ones(docs, folder, tmp_path, encoder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index(["docs/deep"], folder, encoder)
    index(["docs/mill.txt"], folder, encoder)
    (docs / "deep" / "library.md").write_text("# Tolland Library\n\nIt is closed.\n")
    monkeypatch.chdir("/")
    report = index([], folder, encoder)
    assert (report.updated, report.unchanged) == (1, 1)
    assert sources(folder) == ["docs/deep/library.md", "docs/mill.txt"]


def test_an_earlier_path_inside_a_given_one_is_looked_at_too(docs, folder, encoder):
    (docs / ".notes").mkdir()
    (docs / ".notes" / "a.txt").write_text("A hidden note.")
    index([docs / ".notes"], folder, encoder)
    assert index([docs], folder, encoder).documents == 4
    (docs / ".notes" / "a.txt").unlink()
    assert index([docs], folder, encoder).removed == 1


def test_a_path_that_is_not_there_is_said_before_anything_changes(docs, folder, encoder):
    index([docs], folder, encoder)
    with pytest.raises(PathNotFound, match="nowhere does not exist: check the path"):
        index([docs, docs / "nowhere"], folder, encoder)
    with pytest.raises(PathNotFound, match="name the files or folders"):
        index([], folder / "another", encoder)


def test_a_path_that_was_indexed_and_is_gone_takes_its_documents_along(docs, folder, encoder):
    index([docs / "mill.txt", docs / "deep"], folder, encoder)
    (docs / "mill.txt").unlink()
    assert index([docs / "mill.txt"], folder, encoder).removed == 1
    with pytest.raises(PathNotFound):
        index([docs / "mill.txt"], folder, encoder)


def test_another_encoder_or_chunk_size_makes_the_index_anew(docs, folder, encoder):
    index([docs], folder, encoder)
    larger = type(encoder)("larger", 128)
    assert index([docs], folder, larger).embedded == 3
    vectors = read_snapshot(folder).vectors_N_D
    assert vectors is not None
    assert vectors.shape == (3, 128)
    assert index([docs], folder, larger, IndexSettings(chunk_size=20)).chunks > 3


def test_without_an_encoder_the_index_is_for_words_alone(docs, folder, encoder):
    report = index([docs], folder, None)
    assert (report.encoder, report.embedded, report.chunks) == (None, 0, 3)
    assert Retriever.open(folder, encoder).method == "BM25 alone (the index holds no vectors)"
    assert index([docs], folder, encoder).embedded == 3


def test_what_cannot_be_read_is_reported_and_the_rest_is_indexed(docs, folder, encoder):
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    (docs / "broken.docx").write_bytes(b"PK broken")
    (docs / "program").write_bytes(b"\x7fELF\0\0\0")
    (docs / "huge.txt").write_bytes(b"x" * 5000)
    (docs / "empty.md").touch()
    (docs / "loop").symlink_to(docs)
    os.mkfifo(docs / "pipe")
    report = index([docs], folder, encoder, IndexSettings(max_file_bytes=4000))
    reasons = {Path(skipped.source).name: skipped.reason for skipped in report.skipped}
    assert report.added == 3
    assert set(reasons) == {"broken.pdf", "broken.docx", "program", "huge.txt", "empty.md", "loop", "pipe"}
    assert reasons["program"] == "binary"
    assert reasons["broken.pdf"].startswith("broken: ")


def test_the_index_may_lie_among_the_documents(docs, encoder):
    for _ in range(2):
        report = index([docs], docs / "index", encoder)
        assert (report.documents, report.skipped) == (3, ())


def test_a_file_that_breaks_is_removed_and_reported(docs, folder, encoder):
    index([docs], folder, encoder)
    (docs / "mill.txt").write_bytes(b"\0\0\0\0")
    report = index([docs], folder, encoder)
    assert (report.removed, [skipped.reason for skipped in report.skipped]) == (1, ["binary"])


def test_names_and_texts_of_any_kind_are_kept(tmp_path, folder, encoder):
    (tmp_path / "docs").mkdir()
    for name in (b"caf\xe9.txt", b"new\nline.txt", "日本語.txt".encode(), b"<|im_start|>system.txt"):
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"docs", name))).write_text("the same text 😀")
    report = index([tmp_path / "docs"], folder, encoder)
    assert (report.added, report.skipped) == (4, ())
    assert index([tmp_path / "docs"], folder, encoder).unchanged == 4
    assert len(Retriever.open(folder, encoder).search("the same text 😀", 10)) == 1


def test_progress_goes_through_three_labels_to_their_totals(docs, folder, encoder):
    steps: list[tuple[int, int, str]] = []
    index([docs], folder, encoder, progress=lambda total, done, label: steps.append((total, done, label)))
    assert list(dict.fromkeys(label for _, _, label in steps)) == ["reading", "embedding", "writing"]
    for label, total in (("reading", 3), ("embedding", 3), ("writing", 1)):
        done = [done for all_, done, name in steps if name == label and all_ == total]
        assert (done[0], done[-1], done) == (0, total, sorted(done))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["mill", "bridge", "x"])), max_size=4))
def test_an_index_that_grew_equals_one_made_afresh(tmp_path_factory, encoder, states):
    root = tmp_path_factory.mktemp("grown")
    (root / "docs").mkdir()
    for state in [*states, {"a": "the last mill", "e": "a bridge"}]:
        for old in (root / "docs").iterdir():
            old.unlink()
        for name, text in state.items():
            (root / "docs" / name).write_text(text)
        index([root / "docs"], root / "grown", encoder)
    index([root / "docs"], root / "fresh", encoder)
    assert same_index(root / "grown", root / "fresh")


# --- interrupted runs -------------------------------------------------------------------------------------------------


def in_child(work: Callable[..., object], *arguments: object) -> int:
    """Run ``work`` in a process of its own; its exit code, negative where a signal ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def at_statement(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Have a function told the number of each SQL statement that the library begins."""
    connect = library._connect

    def watch(told: Callable[[int], None]) -> None:
        numbers = itertools.count(1)

        def traced(file: Path) -> sqlite3.Connection:
            db = connect(file)
            db.execute("pragma cache_size = 1")  # pages go to the file before the commit, as in a large index
            db.set_trace_callback(lambda statement: told(next(numbers)))
            return db

        monkeypatch.setattr(library, "_connect", traced)

    return watch


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_run_killed_at_any_statement_leaves_the_old_index_and_the_next_run_ends_it(
    docs, folder, tmp_path, encoder, at_statement
):
    index([docs], folder, encoder)
    old = searched(folder, encoder)
    for i in range(3):
        (docs / f"new{i}.txt").write_text(f"A new text number {i} about the mill and the bridge.")
    (docs / "deep" / "library.md").unlink()
    index([docs], tmp_path / "fresh", encoder)
    new = searched(tmp_path / "fresh", encoder)

    def die(at: int, copy: Path) -> None:
        at_statement(lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == at else None)
        index([docs], copy, encoder)

    killed = 0
    copy = shutil.copytree(folder, tmp_path / "copy0")
    while in_child(die, killed + 1, copy) == -signal.SIGKILL:
        assert searched(copy, encoder) in (old, new)
        index([docs], copy, encoder)
        assert same_index(copy, tmp_path / "fresh")
        killed += 1
        copy = shutil.copytree(folder, tmp_path / f"copy{killed}")
    assert killed > 20


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_what_a_killed_run_embedded_is_not_embedded_again(tmp_path, folder, encoder, monkeypatch):
    (tmp_path / "docs").mkdir()
    for i in range(200):
        (tmp_path / "docs" / f"{i:03}.txt").write_text(f"Text number {i}.")

    def die_halfway(total: int, done: int, label: str) -> None:
        if label == "embedding" and done == 128:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(library, "_KEEP_SECONDS", 0.0)
    assert in_child(index, [tmp_path / "docs"], folder, encoder, IndexSettings(), die_halfway) == -signal.SIGKILL
    assert index([tmp_path / "docs"], folder, encoder).embedded == 200 - 128


def test_an_interrupt_anywhere_leaves_an_index_that_works(docs, folder, encoder):
    index([docs], folder, encoder)
    old = searched(folder, encoder)
    (docs / "mill.txt").write_text("Another mill.")
    for stop_at in ("reading", "embedding", "writing"):

        def interrupt(total: int, done: int, label: str, stop_at: str = stop_at) -> None:
            if label == stop_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            index([docs], folder, encoder, progress=interrupt)
        assert searched(folder, encoder) == old
    assert index([docs], folder, encoder).updated == 1
