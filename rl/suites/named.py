"""The suites behind a name that is no family's: a file's path, with /tier or without, or ``hf:`` and a data set."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

from rl.evaluate import Suite
from rl.suites import hub
from rl.suites.files import SUFFIXES, SuiteError, Tell
from rl.suites.hub import HUB
from rl.suites.sample import sampled


def is_file(name: str) -> bool:
    """Whether the name looks like a file's or a data set's, there or not."""
    return name.startswith(HUB) or Path(name).suffix in SUFFIXES or Path(name).parent.suffix in SUFFIXES


def suites_in(name: str, questions: int, seed: int, tell: Tell, taken: Container[str] = ()) -> list[Suite]:
    """A sample of so many of each tier, called as the file, or by the whole name where that is taken.

    Raises ``SuiteError``.
    """
    called, tier, paths = place_of(name)
    called = name if called in taken else called
    found = sampled(paths, questions, seed, tell)
    if tier and tier not in map(str, found):
        raise SuiteError(f"{name} has no tier {tier}; it has {', '.join(map(str, found))}.")
    return [
        Suite(called, each, [replace(task, family=called) for task in tasks])
        for each, tasks in found.items()
        if tier in ("", str(each))
    ]


def place_of(name: str) -> tuple[str, str, Sequence[Path]]:
    """What to call it, the tier ("" for all) and the files. Raises ``SuiteError``."""
    if name.startswith(HUB):
        wanted = hub.named(name.removeprefix(HUB))
        return wanted.name, "", hub.files_of(wanted)
    path = Path(name).expanduser()
    tier = "" if path.suffix in SUFFIXES else path.name
    path = path.parent if tier else path
    return path.stem, tier, [path]
