"""Files in PONDER_HOME: written whole or not at all, for their owner only."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.claim import locked
from agent.errors import SettingsError

PATIENCE = 10.0  # seconds for another process that changes a file: it takes milliseconds


def write_private(file: Path, text: str) -> None:
    """Replace ``file`` at once or not at all, readable by its owner only. Raises ``SettingsError``."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as temporary:  # created with mode 0600
            temporary.write(text)
        os.replace(temporary.name, file)
    except OSError as error:
        sentence = f"{file} cannot be written ({error.strerror}); set PONDER_HOME to a folder of yours."
        raise SettingsError(sentence) from error


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """One process at a time reads ``file`` and writes it anew. Raises ``SettingsError``."""
    end = time.monotonic() + PATIENCE
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while (lock := locked(file.with_suffix(".lock"))) is None:
            if time.monotonic() > end:
                raise SettingsError(f"Another process has been changing {file} for {PATIENCE:g} seconds; end it.")
            time.sleep(0.01)
    except OSError as error:
        sentence = f"{file} cannot be written ({error.strerror}); set PONDER_HOME to a folder of yours."
        raise SettingsError(sentence) from error
    try:
        yield
    finally:
        os.close(lock)
