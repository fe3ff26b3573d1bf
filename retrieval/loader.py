"""Files become documents: found under the paths a person named, read, decoded, titled. Nothing here raises for a file.

What can't be read is skipped with a reason that the report shows. Not here: formats that need a parser (``converter``),
and what is done with a document (``indexing``).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from retrieval.converter import SUFFIXES, Converter, Unreadable

MAX_FILE_BYTES = 32 << 20

_MARKDOWN = {".md", ".markdown", ".mdx"}
_HEAD = 1 << 16  # bytes that tell a text from a binary file
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # not tab, newline, form feed, return, escape
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read."""

    path: str  # absolute: what the index knows the file by
    source: str  # as the person gave it, for showing


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that was passed over."""

    source: str  # as the person gave it
    reason: str  # why, as a person reads it


def find_files(roots: Mapping[str, str], besides: str | os.PathLike[str] = "") -> Iterator[Found | Skipped]:
    """Every file under ``roots`` (absolute path -> as the person gave it), in a stable order, each file once.

    Inside a folder, names that begin with a dot are passed over, and links are skipped, so that there are no loops and
    a folder can't lend out what lies outside it; a root itself may be either. A root that isn't there gives nothing.
    The folder ``besides``, the index's own, is not looked into: closing its file would drop SQLite's locks on it.
    """
    seen = {_identity(os.stat(besides))} if besides else set()
    waiting = sorted(roots, reverse=True)
    while waiting:
        path = waiting.pop()
        source = shown(path, roots)
        if path not in roots and os.path.islink(path):
            yield Skipped(source, "a symbolic link: name its target to index it")
            continue
        try:
            status = os.stat(path)
            names = os.listdir(path) if stat.S_ISDIR(status.st_mode) else []
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Skipped(source, _why(error))
            continue
        if _identity(status) in seen:
            continue
        seen.add(_identity(status))
        if stat.S_ISREG(status.st_mode):
            yield Found(path, source)
        elif not stat.S_ISDIR(status.st_mode):
            yield Skipped(source, "not a regular file")
        visible = sorted(name for name in names if not name.startswith("."))
        waiting.extend(os.path.join(path, name) for name in reversed(visible))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def shown(path: str, roots: Mapping[str, str]) -> str:
    """An absolute path as the person gave it, by the closest of ``roots``; bytes not in UTF-8 show as ``\\xff``."""
    root = max((root for root in roots if is_under(path, root)), key=len)
    given = os.path.join(roots[root], os.path.relpath(path, root)) if path != root else roots[root]
    return os.fsencode(given).decode("utf-8", "backslashreplace")


def is_under(path: str, root: str) -> bool:
    return path == root or path.startswith(os.path.join(root, ""))


def read_bytes(path: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The whole file. Raises Unreadable where it can't be read, is empty or is larger than ``max_bytes``."""
    try:
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise Unreadable(_why(error)) from error
    if len(data) > max_bytes:
        raise Unreadable(f"too large: {size / 1e6:.1f} MB, and the bound is {max_bytes / 1e6:.1f} MB")
    if not data:
        raise Unreadable("empty")
    return data


def extract(data: bytes, suffix: str, converter: Converter) -> tuple[str, str]:
    """(text, title) of a file's bytes by its lower-case suffix; the title is "" where the file names none.

    Newlines are ``\\n``. Raises Unreadable.
    """
    text, title = converter.convert(data, suffix) if suffix in SUFFIXES else (_decoded(data), "")
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    if not text.strip():
        raise Unreadable("there is no text in it")
    if suffix in _MARKDOWN or (suffix in SUFFIXES and suffix != ".pdf"):
        title = first_heading(text) or title
    return text, one_line(title)


def first_heading(markdown: str) -> str:
    """The text of the first Markdown heading outside a code fence; "" where there is none."""
    fenced, above = False, ""
    for line in markdown.split("\n"):
        bare = line.strip()
        if bare.startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced and _HEADING.match(line) and (heading := bare.strip("#").strip()):
            return heading
        elif not fenced and above and bare.startswith("=") and not bare.strip("="):
            return above
        above = bare
    return ""


def one_line(title: str, width: int = 200) -> str:
    """A title fit for one line: every run of whitespace a space, and no longer than ``width`` characters."""
    return " ".join(title.split())[:width].encode("utf-8", "replace").decode()


def _decoded(data: bytes) -> str:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in data[:_HEAD]:
        raise Unreadable("binary")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16" or _CONTROL.search(data[:_HEAD]):
            raise Unreadable("binary") from error
    return data.decode(_guessed_encoding(data[:_HEAD]), "replace")


def _guessed_encoding(data: bytes) -> str:
    import charset_normalizer

    best = charset_normalizer.from_bytes(data).best()
    if best is None:
        raise Unreadable("binary")
    return best.encoding


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
