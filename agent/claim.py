"""Which process drives a run: a file lock, which the kernel lets go of however the process ends.

``run.drive`` holds it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import RunUnderWay


@contextmanager
def claimed(folder: Path, run_id: str) -> Iterator[None]:
    """Drive the run alone; the lock is a file in ``folder``, which is created. Raises ``RunUnderWay``."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{run_id}.lock"
    file = locked(path)
    if file is None:
        raise RunUnderWay(f"Run {run_id} is under way in another process; wait for it, or stop that process first.")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def is_claimed(folder: Path, run_id: str) -> bool:
    """Whether some process drives the run at this moment."""
    path = folder / f"{run_id}.lock"
    if not path.exists():
        return False
    file = locked(path)
    if file is not None:
        os.close(file)
    return file is None


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
