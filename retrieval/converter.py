"""PDF, HTML and office files become text, in a process of their own, because their parsers crash, hang and swell.

The parent's side is ``Converter``: bytes in, text out, or ``Unreadable`` with the reason. The child's side is
``serve``: it is limited in memory, ends with its parent, and is started again after a file that killed it. Text and
Markdown need none of this (``loader`` reads them). Called by ``loader``.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from multiprocessing.connection import Connection, Pipe

SECONDS = 120.0  # a file that takes longer is given up
MEMORY_BYTES = 4 << 30  # address space of the child; a bomb that wants more becomes a reason
EXPANSION = 20  # an office file is a zip: most bytes inside it for each byte of the largest file that may be read

_OFFICE = {".docx": "DocxConverter", ".pptx": "PptxConverter", ".xlsx": "XlsxConverter", ".epub": "EpubConverter"}
_PAGES = {".html": "HtmlConverter", ".htm": "HtmlConverter", ".xhtml": "HtmlConverter"}
_SERVE = "import sys; from retrieval.converter import serve; serve(*sys.argv[1:])"
SUFFIXES = frozenset({".pdf", *_OFFICE, *_PAGES})


class Unreadable(Exception):
    """A file that can't be made into text; the message is the reason, as a person reads it."""


class Converter:
    """A child process that converts one file after another; started by the first, ended by ``close``."""

    def __init__(self, seconds: float = SECONDS, max_bytes: int = 32 << 20) -> None:
        self._seconds = seconds
        self._expanded_bytes = EXPANSION * max_bytes
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Converter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def convert(self, data: bytes, suffix: str) -> tuple[str, str]:
        """(text, title) of a file with one of ``SUFFIXES``; the title is "" where the format names none.

        Raises Unreadable.
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send_bytes(suffix.encode())
            pipe.send_bytes(data)
            if not pipe.poll(self._seconds):
                self.close()
                raise Unreadable(f"converting it took longer than {self._seconds:g} s")
            reply = json.loads(pipe.recv_bytes())
        except (EOFError, OSError) as error:
            self.close()
            raise Unreadable("broken: its parser crashed") from error
        if "reason" in reply:
            raise Unreadable(reply["reason"])
        return reply["text"], reply["title"]

    def close(self) -> None:
        if self._pipe is not None and self._child is not None:
            self._pipe.close()
            self._child.kill()
            self._child.wait()
        self._pipe = self._child = None

    def _start(self) -> Connection:
        self._pipe, theirs = Pipe()
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE, str(theirs.fileno()), str(self._seconds), str(self._expanded_bytes)],
            pass_fds=[theirs.fileno()],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
                "OPENBLAS_NUM_THREADS": "1",  # each thread reserves address space, which is what is limited
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        return self._pipe


def serve(descriptor: str, seconds: str, expanded_bytes: str) -> None:
    """The child: answer each (suffix, bytes) with {"text", "title"} or {"reason"}, until the parent is gone."""
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    pipe = Connection(int(descriptor))
    while True:
        try:
            suffix, data = pipe.recv_bytes().decode(), pipe.recv_bytes()
        except EOFError:
            return
        signal.alarm(int(float(seconds)) + 10)  # ends this process even where its parent was killed in the meantime
        pipe.send_bytes(json.dumps(_reply(data, suffix, int(expanded_bytes))).encode())
        signal.alarm(0)


def _reply(data: bytes, suffix: str, expanded_bytes: int) -> dict[str, str]:
    try:
        text, title = _pdf(data) if suffix == ".pdf" else _markdown(data, suffix, expanded_bytes)
        return {"text": text, "title": title}
    except Unreadable as error:
        return {"reason": str(error)}
    except ImportError as error:
        return {"reason": f"needs a package that is not installed ({error})"}
    except MemoryError:
        return {"reason": f"converting it needs more than {MEMORY_BYTES >> 30} GiB of memory"}
    except Exception as error:  # parsers raise anything at all on broken files, and any of it is a reason
        return {"reason": f"broken: {' '.join(str(error).split())[:200] or type(error).__name__}"}


def _pdf(data: bytes) -> tuple[str, str]:
    import pypdfium2

    try:
        pages = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise Unreadable("it is protected by a password") from error
        raise
    text = "\n\n".join(page.get_textpage().get_text_range() for page in pages)
    if len(pages) and not text.strip():
        raise Unreadable("its pages hold no text; a scan needs OCR first")
    return text.replace("\ufffe", ""), ""  # pdfium's mark where it joined a word that was hyphenated at a line's end


def _markdown(data: bytes, suffix: str, expanded_bytes: int) -> tuple[str, str]:
    from markitdown import StreamInfo, converters

    if suffix in _OFFICE:
        try:
            entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
        except zipfile.BadZipFile as error:
            raise Unreadable(f"broken: not a {suffix[1:]} file, or a protected one") from error
        if sum(entry.file_size for entry in entries) > expanded_bytes:
            raise Unreadable(f"it would unpack to more than {expanded_bytes >> 20} MiB")
    converter = getattr(converters, (_OFFICE | _PAGES)[suffix])()
    result = converter.convert(io.BytesIO(data), StreamInfo(extension=suffix))
    return result.markdown, result.title or ""
