"""The note that a serving process leaves in PONDER_HOME, so that every command finds its server by itself.

There may be two: of the model that answers, and of the process reward model that judges.

It counts only while its lock is held: the kernel lets go of that however the process ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from agent.claim import locked
from agent.errors import SettingsError
from agent.files import write_private

Role = Literal["server", "process_reward"]  # the folder's name


@dataclass(frozen=True, slots=True)
class Note:
    """Where a model is served. What has a default here was not in the first notes."""

    base_url: str  # up to and with /v1
    api_key: str = field(repr=False)
    model: str  # the base model's name there
    pid: int  # of the process that watches over the server
    log: str  # the file that the server writes to
    starting_since: float | None = None  # seconds of the epoch; None once it answers
    weights: str = ""  # a folder or a name on the hub; "" where ``model`` is that
    root: str = ""  # what was asked to be served, whose promoted versions it takes; "" for a server that takes none
    adapter: str | None = None  # the promoted one, which new runs take from the moment that they take this server
    context_length: int | None = None  # tokens, once it answers
    leaving: tuple[str, ...] = ()  # addresses of servers that finish the runs that began with them

    @property
    def state(self) -> str:
        """What to say of a server that does not answer."""
        if self.starting_since is None:
            return "does not answer"
        return f"is still starting, {max(0, time.time() - self.starting_since):.0f} s so far"


class AlreadyServing(SettingsError):
    """Another process serves a model for this PONDER_HOME."""


def folder(home: Path, role: Role = "server") -> Path:
    return home / role


@contextmanager
def left(home: Path, note: Note, role: Role = "server") -> Iterator[None]:
    """Leave the note for as long as the block lasts. Raises ``AlreadyServing``."""
    place = folder(home, role)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _own(place / "lock")
    if lock is None:
        found = read(home, role)
        stop = "`ponder model stop --process-reward`" if role == "process_reward" else "`ponder model stop`"
        where = f"; {stop} ends it ({found.base_url}, process {found.pid})" if found else ""
        raise AlreadyServing(f"Such a model is being served already{where}.")
    try:
        write(home, note, role)
        yield
    finally:
        (place / "note.json").unlink(missing_ok=True)
        os.close(lock)


def write(home: Path, note: Note, role: Role = "server") -> None:
    """Put another note in the place of one's own."""
    write_private(folder(home, role) / "note.json", json.dumps(asdict(note)))


def read(home: Path, role: Role = "server") -> Note | None:
    """The note of a process that is alive; None where nothing is served."""
    place = folder(home, role)
    if not _held(place / "lock"):
        return None
    try:
        found = json.loads((place / "note.json").read_bytes())
        return Note(**found | {"leaving": tuple(found.get("leaving", ()))})
    except (OSError, ValueError, TypeError, AttributeError):  # it is about to be written, or is being taken away
        return None


def serves(home: Path, then: Note, role: Role = "server") -> bool:
    """Whether the process that left the note ``then`` still serves, or starts its server again after a crash.

    A server in whose place another one answers new runs is served until the last run that began with it.
    """
    now = read(home, role)
    return now is not None and now.pid == then.pid and then.base_url in (now.base_url, *now.leaving)


def _own(lock: Path) -> int | None:
    """The lock; None where a server has it. Whoever looks at it has it for a moment."""
    for _ in range(20):
        if (file := locked(lock)) is not None:
            return file
        time.sleep(0.01)
    return None


def _held(lock: Path) -> bool:
    """Whether a server has the lock. It is shared with others who look, so that none takes another for a server."""
    try:
        file = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
