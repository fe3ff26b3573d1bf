"""The note that a serving process leaves in PONDER_HOME, so that every command finds its server by itself.

There may be two: of the model that answers, and of the process reward model that judges.

It counts only while its lock is held: the kernel lets go of that however the process ends.
"""

from __future__ import annotations

import json
import os
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
    """Where a model is served."""

    base_url: str  # up to and with /v1
    api_key: str = field(repr=False)
    model: str  # the base model's name there
    pid: int  # of the process that watches over the server
    log: str  # the file that the server writes to


class AlreadyServing(SettingsError):
    """Another process serves a model for this PONDER_HOME."""


def folder(home: Path, role: Role = "server") -> Path:
    return home / role


@contextmanager
def left(home: Path, note: Note, role: Role = "server") -> Iterator[None]:
    """Leave the note for as long as the block lasts. Raises ``AlreadyServing``."""
    place = folder(home, role)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = locked(place / "lock")
    if lock is None:
        found = read(home, role)
        stop = "`ponder model stop --process-reward`" if role == "process_reward" else "`ponder model stop`"
        where = f"; {stop} ends it ({found.base_url}, process {found.pid})" if found else ""
        raise AlreadyServing(f"Such a model is being served already{where}.")
    try:
        write_private(place / "note.json", json.dumps(asdict(note)))
        yield
    finally:
        (place / "note.json").unlink(missing_ok=True)
        os.close(lock)


def read(home: Path, role: Role = "server") -> Note | None:
    """The note of a process that is alive; None where nothing is served."""
    place = folder(home, role)
    if not (place / "lock").exists():
        return None
    lock = locked(place / "lock")
    if lock is not None:
        os.close(lock)
        return None
    try:
        return Note(**json.loads((place / "note.json").read_bytes()))
    except (OSError, ValueError, TypeError):  # it is about to be written, or is being taken away
        return None
