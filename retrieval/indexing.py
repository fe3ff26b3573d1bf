"""Paths become a searchable index, incrementally: only what changed is converted and embedded again.

The result is a pure function of the files, the chunk size and the encoder: an index that grew over many runs equals one
made afresh. Called by `ponder index`; searching is ``retriever``'s.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.chunker import DEFAULT_SIZE, chunk_documents
from retrieval.converter import Converter, Unreadable
from retrieval.encoder import Encoder
from retrieval.errors import PathNotFound
from retrieval.lexical import LexicalIndex
from retrieval.library import Entry, Library, View
from retrieval.loader import MAX_FILE_BYTES, Found, Skipped, extract, find_files, is_under, read_bytes
from retrieval.passage import Document

Progress = Callable[[int, int, str], None]
"""Called as work goes on with (total, done, label); the labels are "reading", "embedding", "writing"."""

_EXTRACTION = b"1"  # raise it when the same bytes would give another text, and every file is converted again
_BATCH = 64  # texts embedded at once: one or two seconds of work on two cores


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What a person may set about indexing."""

    chunk_size: int = DEFAULT_SIZE  # characters a passage has at most
    max_file_bytes: int = MAX_FILE_BYTES  # larger files are skipped


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What one run of ``index`` did."""

    added: int  # files that are new
    updated: int  # files whose content changed
    unchanged: int  # files that were only compared
    removed: int  # files that are gone, or can't be read any more
    skipped: tuple[Skipped, ...]  # what was passed over, with reasons
    documents: int  # in the whole index, also from paths of other runs
    chunks: int  # in the whole index
    embedded: int  # texts that were embedded in this run
    encoder: str | None  # the encoder that the vectors are from; None: the index is for BM25 alone
    seconds: float


@dataclass(frozen=True, slots=True)
class _Sources:
    """What an index is made of. Equal sources make equal indexes."""

    documents: dict[str, Entry]  # by absolute path
    roots: dict[str, str]
    meta: dict[str, str]


def index(
    paths: Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    encoder: Encoder | None,
    settings: IndexSettings = IndexSettings(),
    progress: Progress = lambda total, done, label: None,
) -> IndexReport:
    """Bring the index in ``folder`` up to date with the files under ``paths``; other paths in it stay as they are.

    No paths: all that were indexed before. No encoder: the index is for BM25 alone. What was converted and embedded is
    kept as it goes, the index is replaced in one step at the end, and a run that is killed leaves the old one whole.
    Raises PathNotFound, IndexBusy, IndexUnusable, ModelNotFound.
    """
    started = time.monotonic()
    with Library(folder) as library:
        before = _Sources(library.documents(), library.roots(), library.meta())
        targets = _targets(paths, before.roots)
        found, skipped = _read(targets, library, settings, progress)
        now = _updated(before, targets, found, _meta(encoder, settings))
        embedded = _rebuild(now, library, encoder, progress) if now != before else 0
        known = {path: entry.digest for path, entry in before.documents.items()}
        same = sum(known.get(path) == entry.digest for path, entry in found.items())
        added = len(found.keys() - known.keys())
        return IndexReport(
            added=added,
            updated=len(found) - same - added,
            unchanged=same,
            removed=len(known.keys() - now.documents.keys()),
            skipped=tuple(skipped),
            documents=len(now.documents),
            chunks=library.count_chunks(),
            embedded=embedded,
            encoder=encoder.name if encoder else None,
            seconds=time.monotonic() - started,
        )


def _targets(paths: Sequence[str | os.PathLike[str]], known: dict[str, str]) -> dict[str, str]:
    """What to look through (absolute -> as given): ``paths`` and earlier paths inside them, or all earlier paths."""
    if not paths:
        if not known:
            raise PathNotFound("Nothing was indexed yet: name the files or folders to index.")
        return known
    named = {os.path.abspath(path): os.fspath(path) for path in paths}
    for path, given in named.items():
        if path not in known and not os.path.exists(path):
            raise PathNotFound(f"{given} does not exist: check the path.")
    return {path: given for path, given in known.items() if any(is_under(path, root) for root in named)} | named


def _read(
    targets: dict[str, str], library: Library, settings: IndexSettings, progress: Progress
) -> tuple[dict[str, Entry], list[Skipped]]:
    """Hash every file under ``targets``, and keep the content of those that are new."""
    found: dict[str, Entry] = {}
    skipped: list[Skipped] = []
    files = list(find_files(targets, besides=library.folder))
    with Converter(max_bytes=settings.max_file_bytes) as converter:
        for done, file in enumerate(files):
            progress(len(files), done, "reading")
            if isinstance(file, Skipped):
                skipped.append(file)
                continue
            try:
                found[file.path] = _entry(file, library, converter, settings.max_file_bytes)
            except Unreadable as error:
                skipped.append(Skipped(file.source, str(error)))
    progress(len(files), len(files), "reading")
    return found, skipped


def _entry(file: Found, library: Library, converter: Converter, max_bytes: int) -> Entry:
    data = read_bytes(file.path, max_bytes)
    suffix = Path(file.path).suffix.lower()  # decides how the bytes are read
    digest = _hash(_EXTRACTION, os.fsencode(suffix), data)
    title = library.title(digest)
    if title is None:
        text, title = extract(data, suffix, converter)
        library.add_content(digest, title, text)
    return Entry(file.source, title or os.path.basename(file.source), digest)


def _updated(before: _Sources, targets: dict[str, str], found: dict[str, Entry], meta: dict[str, str]) -> _Sources:
    """The sources with everything under ``targets`` replaced by what was found there."""
    kept = {p: entry for p, entry in before.documents.items() if not any(is_under(p, root) for root in targets)}
    roots = {p: given for p, given in (before.roots | targets).items() if p not in targets or os.path.exists(p)}
    return _Sources(dict(sorted((kept | found).items())), roots, meta)


def _meta(encoder: Encoder | None, settings: IndexSettings) -> dict[str, str]:
    name, fingerprint = (encoder.name, encoder.fingerprint) if encoder else ("", "")
    return {"chunk_size": str(settings.chunk_size), "encoder": name, "fingerprint": fingerprint}


def _rebuild(sources: _Sources, library: Library, encoder: Encoder | None, progress: Progress) -> int:
    """Make the index of ``sources`` and put it in place; returns how many texts were embedded."""
    entries = sources.documents.values()
    documents = (Document(entry.title, entry.source, library.text(entry.digest)) for entry in entries)
    chunks, texts = chunk_documents(documents, int(sources.meta["chunk_size"]))
    fingerprint = sources.meta["fingerprint"].encode()
    keys = [_hash(fingerprint, text.encode()) if encoder else b"" for text in texts]
    embedded = _embed(dict(zip(keys, texts, strict=True)), library, encoder, progress) if encoder else 0
    progress(1, 0, "writing")
    lexical = LexicalIndex.build(texts).arrays()
    library.switch(View(sources.documents, chunks, keys, lexical, sources.roots, sources.meta))
    progress(1, 1, "writing")
    return embedded


def _embed(wanted: dict[bytes, str], library: Library, encoder: Encoder, progress: Progress) -> int:
    missing = library.missing_embeddings(wanted)
    for done in range(0, len(missing), _BATCH):
        progress(len(missing), done, "embedding")
        keys = missing[done : done + _BATCH]
        library.add_embeddings(keys, encoder.encode([wanted[key] for key in keys]))
    progress(len(missing), len(missing), "embedding")
    return len(missing)


def _hash(*parts: bytes) -> bytes:
    """A hash of the parts, each with its length, so that no two lists of parts look the same."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
