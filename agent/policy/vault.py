"""Folders and files of the registry: written whole or not at all, by one process at a time, for their owner only.

``registry`` calls it; what a version is stands there.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.claim import locked
from agent.errors import PonderError

MAKING = ".making-"  # what is being copied or removed; nobody reads it
PATIENCE = 30.0  # seconds for another process that changes something: it takes milliseconds


class VersionError(PonderError):
    """A version cannot be kept, found, promoted or left."""

    exit_code = 2


@contextmanager
def making(place: Path) -> Iterator[Path]:
    """A folder to make a version in. It is locked, so that others tell it from one that a killed process left."""
    with alone(place):
        sweep(place)
        made = Path(tempfile.mkdtemp(prefix=MAKING, dir=place))
        lock = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)  # it is gone where it became a version
        os.close(lock)


def sweep(place: Path) -> None:
    for left in place.glob(f"{MAKING}*"):
        lock = os.open(left, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


def copy(folder: Path, place: Path, names: Collection[str]) -> None:
    """Files of a folder, each readable by its owner only and on the disk."""
    place.mkdir(mode=0o700)
    for name in sorted(names):
        shutil.copyfile(folder / name, place / name)
        (place / name).chmod(0o600)
        sync(place / name)
    sync(place)


def write(file: Path, content: Mapping[str, Any]) -> None:
    """Replace a file at once or not at all. Its writers are one at a time, so that one name is enough meanwhile."""
    making = file.with_suffix(".new")
    making.write_text(json.dumps(content, indent=1))
    making.chmod(0o600)
    sync(making)
    making.replace(file)
    sync(file.parent)


def sync(path: Path) -> None:
    """Until it is on the disk."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """One process at a time changes what there is. Raises ``VersionError``."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    end = time.monotonic() + PATIENCE
    while (lock := locked(place / "lock")) is None:
        if time.monotonic() > end:
            raise VersionError("Another process has been changing the versions for half a minute; end it.")
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(lock)
