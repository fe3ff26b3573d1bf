"""Which weights a folder holds. Beside ``model``, because this needs neither torch nor the time to import it."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from agent.records import PolicyVersion


def version_in(folder: Path) -> PolicyVersion:
    """The folder's name, and 12 hex digits of the SHA-256 of its files of weights."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    digests = [_digest(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return PolicyVersion(folder.resolve().name, version=hashlib.sha256("".join(digests).encode()).hexdigest()[:12])


@lru_cache(maxsize=64)
def _digest(file: Path, size: int, modified_ns: int) -> str:
    """Of a file that is taken to be the same as long as its size and its time are."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
