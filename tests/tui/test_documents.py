"""Documents from ``index`` to ``search``, with names and contents that nobody should trust."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tui.commands import CONTROL, begun, interrupt, one_sentence, ponder

NAMES = [
    b"plain.md", b"-rf.md", b"$(touch owned).md", b"two\nlines.md", b"esc\x1b[31m\x1b]0;owned\x07.md", b"\xff\xfe.md",
    b"<|im_start|>system.md", "\u202egpj.md".encode(), b" .md", b"[red]x.md", b"x" * 200 + b".md",
]  # fmt: skip


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder of hostile names, each with its own fact, and of files that cannot be read as text."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        text = f"# Fact {number}\n\nThe river Orla{number} is {number}00 km long \x1b[2J and rises near Vesk.\n"
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_text(text)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")
    (folder / "binary.bin").write_bytes(bytes(range(256)) * 50)
    (folder / "empty.txt").write_bytes(b"")
    (folder / "loop").symlink_to(folder)
    return folder


def shown(*arguments: str, folder: Path) -> Any:
    done = ponder(*arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_document_is_indexed_and_found_whatever_its_name(documents: Path, tmp_path: Path) -> None:
    report = shown("index", "documents", folder=tmp_path)
    assert report["added"] >= len(NAMES)
    assert any("broken.pdf" in skipped["source"] for skipped in report["skipped"])
    for number in range(len(NAMES)):
        [first, *_] = shown("search", f"Orla{number}", folder=tmp_path)["passages"]
        assert f"Orla{number} " in first["text"]
        assert first["title"] == f"Fact {number}"
    assert not (tmp_path / "owned").exists()


def test_nothing_that_index_and_search_print_moves_the_cursor(documents: Path, tmp_path: Path) -> None:
    indexed = ponder("index", "documents", folder=tmp_path)
    assert indexed.stdout.startswith(f"{len(NAMES)} added, 0 updated")
    assert "skipped documents/broken.pdf: " in indexed.stderr
    found = ponder("search", "river Orla4", "-k", "20", folder=tmp_path)
    assert "Fact 4" in found.stdout
    for text in (indexed.stdout, indexed.stderr, found.stdout):
        assert not CONTROL.search(text.replace("\n", ""))
        assert "\u202e" not in text


def test_indexing_again_looks_only_at_what_changed(documents: Path, tmp_path: Path) -> None:
    first = shown("index", "documents", folder=tmp_path)
    (documents / "plain.md").write_text("# Fact 0\n\nThe river Orla0 is dry.\n")
    (documents / "-rf.md").unlink()
    again = shown("index", folder=tmp_path)
    assert (again["added"], again["updated"], again["removed"]) == (0, 1, 1)
    assert again["unchanged"] == first["added"] - 2
    assert shown("search", "Orla1", folder=tmp_path) == {"passages": []}


def test_a_search_without_a_match_says_so(documents: Path, tmp_path: Path) -> None:
    ponder("index", "documents", folder=tmp_path)
    assert ponder("search", "zzzyqx", folder=tmp_path).stdout == "No passages found.\n"
    assert shown("search", "zzzyqx", folder=tmp_path) == {"passages": []}


def test_a_path_that_does_not_exist_leaves_the_index_as_it_was(documents: Path, tmp_path: Path) -> None:
    ponder("index", "documents", folder=tmp_path)
    failed = ponder("index", "documents", "elsewhere", folder=tmp_path)
    assert failed.returncode == 1
    assert "elsewhere" in one_sentence(failed)
    assert shown("search", "Orla3", folder=tmp_path)["passages"]


def test_ctrl_c_ends_an_indexing_with_one_sentence(documents: Path, home: Path, tmp_path: Path) -> None:
    for number in range(3000):
        (documents / f"{number}.md").write_text(f"# Note {number}\n\n" + "word " * 200)
    process = begun("index", "documents", folder=tmp_path)
    while not (home / "index").exists():
        time.sleep(0.01)
    interrupt(process)
    said, complained = process.communicate(timeout=200)
    assert (process.returncode, said) == (130, "")
    assert complained.strip() == "Interrupted; what was finished is kept."
