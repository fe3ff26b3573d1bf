"""Which process drives a run: a file lock, which the kernel lets go of however the process ends.

``run.drive`` holds it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.errors import RunUnderWay


@contextmanager
def claimed(folder: Path, run_id: str, address: str = "") -> Iterator[None]:
    """Drive the run alone; the lock is a file in ``folder``, which is created. ``address`` is where others may ask who
    drives it. Raises ``RunUnderWay``.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{run_id}.lock"
    file = locked(path)
    if file is None:
        raise RunUnderWay(f"Run {run_id} is under way in another process; wait for it, or stop that process first.")
    try:
        os.truncate(file, 0)
        os.write(file, address.encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def claimed_at(folder: Path, run_id: str) -> str | None:
    """The address of the process that drives the run at this moment, "" where it has none; None: nobody does."""
    path = folder / f"{run_id}.lock"
    if not path.exists():
        return None
    file = locked(path)
    if file is not None:
        os.close(file)
        return None
    with suppress(FileNotFoundError):
        return path.read_text()
    return None


def locked(path: Path) -> int | None:
    """The locked file's descriptor; None where somebody else has it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        if os.fstat(file).st_nlink:  # otherwise its owner removed it between the two calls
            return file
        os.close(file)
