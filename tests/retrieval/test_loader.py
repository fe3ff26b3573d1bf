import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.converter import Converter, Unreadable
from retrieval.loader import Found, Skipped, extract, find_files, first_heading, one_line, read_bytes


def found(*roots: Path | str) -> list[str]:
    return [file.source for file in find_files({str(root): str(root) for root in roots}) if isinstance(file, Found)]


def skipped(*roots: Path | str) -> dict[str, str]:
    files = find_files({str(root): str(root) for root in roots})
    return {file.source: file.reason for file in files if isinstance(file, Skipped)}


def read(data: bytes, suffix: str = ".txt") -> tuple[str, str]:
    return extract(data, suffix, Converter())


def test_files_are_found_in_a_stable_order_and_each_once(docs):
    expected = [str(docs / name) for name in ("bridge.md", "deep/library.md", "mill.txt")]
    assert found(docs) == expected
    assert sorted(found(docs, docs / "deep", docs / "mill.txt")) == sorted(expected)


def test_a_file_is_shown_as_the_person_gave_its_folder(docs):
    files = list(find_files({str(docs): "some/docs/"}))
    assert [file.source for file in files] == [f"some/docs/{n}" for n in ("bridge.md", "deep/library.md", "mill.txt")]
    assert [file.source for file in find_files({str(docs / "mill.txt"): "./mill.txt"})] == ["./mill.txt"]


def test_hidden_names_are_passed_over_unless_they_are_named(docs):
    (docs / ".git").mkdir()
    (docs / ".git" / "config").write_text("x")
    (docs / ".notes.md").write_text("x")
    assert not [source for source in found(docs) if "/." in source.removeprefix(str(docs))]
    assert found(docs / ".notes.md", docs / ".git") == [str(docs / ".git/config"), str(docs / ".notes.md")]


def test_links_are_skipped_so_that_a_loop_ends_and_nothing_outside_is_read(docs, tmp_path):
    (tmp_path / "secret.txt").write_text("outside")
    (docs / "loop").symlink_to(docs)
    (docs / "secret.txt").symlink_to(tmp_path / "secret.txt")
    (docs / "broken").symlink_to(docs / "nowhere")
    assert len(found(docs)) == 3
    assert set(skipped(docs)) == {str(docs / name) for name in ("loop", "secret.txt", "broken")}
    assert all("symbolic link" in reason for reason in skipped(docs).values())


def test_a_link_that_is_named_itself_is_followed(docs, tmp_path):
    (tmp_path / "link").symlink_to(docs)
    assert len(found(tmp_path / "link")) == 3


def test_what_is_not_a_file_is_skipped(docs):
    os.mkfifo(docs / "pipe")
    assert skipped(docs) == {str(docs / "pipe"): "not a regular file"}


def test_a_root_that_is_not_there_gives_nothing(tmp_path):
    assert found(tmp_path / "nowhere") == []


def test_folders_of_any_depth_are_walked(tmp_path):
    deep = tmp_path
    for _ in range(600):
        deep = deep / "d"
        deep.mkdir()
    (deep / "note.txt").write_text("deep")
    assert len(found(tmp_path)) == 1


def test_a_name_that_is_not_utf8_is_found_and_can_be_shown(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt")
    with open(path, "wb") as file:
        file.write(b"x")
    [file] = find_files({str(tmp_path): "docs"})
    assert isinstance(file, Found)
    assert file.source == "docs/caf\\xe9.txt"
    assert os.path.exists(file.path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_skipped(docs):
    (docs / "deep").chmod(0)
    (docs / "mill.txt").chmod(0)
    assert skipped(docs) == {str(docs / "deep"): "permission denied"}
    with pytest.raises(Unreadable, match="permission denied"):
        read_bytes(str(docs / "mill.txt"))
    (docs / "deep").chmod(0o700)


def test_a_file_is_read_up_to_the_bound_and_not_beyond(tmp_path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"x" * 1_000_000)
    assert len(read_bytes(str(path), 1_000_000)) == 1_000_000
    with pytest.raises(Unreadable, match=r"too large: 1.0 MB, and the bound is 0.5 MB"):
        read_bytes(str(path), 500_000)


def test_files_that_are_empty_or_gone_have_a_reason(tmp_path):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(Unreadable, match="empty"):
        read_bytes(str(tmp_path / "empty.txt"))
    with pytest.raises(Unreadable, match="no such file"):
        read_bytes(str(tmp_path / "gone.txt"))


@pytest.mark.parametrize(
    "data",
    ["Größe: 5 €\nZeile".encode(), "Größe: 5 €\r\nZeile".encode("utf-8-sig"), "Größe: 5 €\rZeile".encode("utf-16")],
)
def test_unicode_in_any_form_becomes_the_same_text(data):
    assert read(data) == ("Größe: 5 €\nZeile", "")


def test_text_in_an_older_encoding_is_guessed():
    text = "Die Mühle wurde im Jahr 1748 gegründet; sie gehört der Familie Sörn und macht schönes Papier. " * 5
    assert read(text.encode("cp1252"))[0] == text


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x7fELF\x02\x01\x01\0\0\0\0", id="program"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", id="picture"),
        pytest.param(bytes(range(256)) * 20, id="all bytes"),
        pytest.param(b"\xff\xfe\x00\xd8\x41\x00", id="half a surrogate pair"),
    ],
)
def test_binary_files_are_told_from_text(data):
    with pytest.raises(Unreadable, match="binary"):
        read(data)


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_become_valid_text_or_a_reason(data):
    try:
        text, title = read(data)
    except Unreadable:
        return
    assert text.strip()
    assert "\r" not in text
    assert (text + title).encode()


def test_white_space_alone_is_no_text():
    with pytest.raises(Unreadable, match="no text"):
        read(b" \n\t ")


@pytest.mark.parametrize(
    ("markdown", "heading"),
    [
        ("# The Mill\n\ntext", "The Mill"),
        ("text\n\n   ## The Mill ##\n# later", "The Mill"),
        ("The Mill\n========\n", "The Mill"),
        ("```\n# a comment\n```\n# The Mill", "The Mill"),
        ("#hashtag\n#\n\n====\nno heading", ""),
        ("", ""),
        ("# " + " " * 100_000 + "x", "x"),
    ],
)
def test_the_first_heading_is_found(markdown, heading):
    assert first_heading(markdown) == heading


def test_only_formats_with_headings_are_searched_for_one():
    assert read(b"# a comment\nx = 1", ".py")[1] == ""
    assert read(b"# A title\ntext", ".md")[1] == "A title"


def test_a_title_is_one_line_of_bounded_length():
    assert one_line(" The\n  Mill\u2028 ") == "The Mill"
    assert len(one_line("x" * 10_000)) == 200
