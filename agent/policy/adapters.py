"""Adapters of a running server: every version is a name and a folder of its own, so that no two ever mix.

vLLM keeps what it has computed for a prompt under the adapter's name. Were a version loaded over another, under the
same name, later samples would start from the other's keys and values. A name therefore holds a digest of the adapter's
files, and the files are copied to where nobody changes them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from agent.claim import locked
from agent.errors import PonderError
from agent.files import write_private
from agent.policy.note import Note, folder
from agent.policy.server import whatever_happens
from agent.policy.weights import CONFIG, WEIGHTS, adapter_digest

DEADLINE = 120.0  # seconds that a server has to load one
LISTING = 60.0  # and to say which it has
LAST_RUN = 600.0  # seconds that runs have to end before it is unloaded
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # a part of a path


class AdapterError(PonderError):
    """An adapter could not be loaded or unloaded."""


class AdapterRefused(AdapterError):
    """The server answered, and does not take the adapter."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The adapters that a server has, and the one that new runs take."""

    folders: dict[str, str]  # name -> folder
    current: str | None = None
    model: str | None = None  # the base model that they were loaded for


def loaded(home: Path) -> Loaded:
    try:
        return Loaded(**json.loads((folder(home) / "adapters.json").read_bytes()))
    except FileNotFoundError:
        return Loaded({})
    except (OSError, ValueError, TypeError) as error:
        sentence = f"{folder(home) / 'adapters.json'} cannot be read ({error}); delete it and load them again."
        raise AdapterError(sentence) from error


def current_of(home: Path, note: Note) -> str | None:
    """The one that new runs of a server take; its note says so while another server's are remembered."""
    now = loaded(home)
    return now.current if now.model in (None, note.model) else note.adapter


def known_of(home: Path, note: Note) -> Collection[str]:
    """Those that a server has, or gets again when it comes up after a crash."""
    now = loaded(home)
    return now.folders if now.model in (None, note.model) else [note.adapter] if note.adapter else []


def remember(home: Path, now: Loaded) -> None:
    write_private(folder(home) / "adapters.json", json.dumps(asdict(now)))


async def load(home: Path, note: Note, source: Path, name: str = "ponder") -> str:
    """Copy an adapter, give it to the server and let new runs take it; its name there, ``ponder-3f9ac21b04de``.

    Raises ``AdapterError``; a copy that the server refuses is not kept.
    """
    place, version = kept(home, source, name)
    async with _alone(home):
        before = loaded(home)
        try:
            if version not in await served(note):
                await _post(note, "load_lora_adapter", {"lora_name": version, "lora_path": str(place)})
        except AdapterRefused:
            if version not in before.folders:
                shutil.rmtree(place)
            raise
        others = before.folders if before.model in (None, note.model) else {}
        remember(home, Loaded(others | {version: str(place)}, version, note.model))
    return version


@asynccontextmanager
async def offered(home: Path, note: Note, source: Path, name: str = "ponder") -> AsyncIterator[str]:
    """The server has the adapter while the block lasts, for those who ask for it by its name; new runs go on as before.

    One that it has already stays. Raises ``AdapterError``.
    """
    place, version = kept(home, source, name)
    async with _alone(home):
        had = version in await served(note)
        if not had:
            await _post(note, "load_lora_adapter", {"lora_name": version, "lora_path": str(place)})
            before = loaded(home)
            others = before if before.model in (None, note.model) else Loaded({}, note.adapter)
            remember(home, Loaded(others.folders | {version: str(place)}, others.current, note.model))
    try:
        yield version
    finally:
        if not had and current_of(home, note) != version:
            await whatever_happens(_take_away(home, note, version))


async def load_again(home: Path, note: Note, without: Collection[str] = ()) -> list[str]:
    """Give a server that has just come up what the one before it had; a sentence for each that it refuses.

    What it refuses is forgotten, and so are those in ``without``: new runs take the base model instead, and runs that
    began with it end with the reason. So are the adapters of another base model. Raises ``AdapterError`` where the
    server does not answer.
    """
    async with _alone(home):
        before, problems = loaded(home), list[str]()
        if before.folders and before.model not in (None, note.model):
            await served(note)
            remember(home, Loaded({}))
            return [
                f"{', '.join(before.folders)}: forgotten, since loaded for {before.model}; load those of this model."
            ]
        folders = {name: place for name, place in before.folders.items() if name not in without}
        for name, error in (await give(note, folders)).items():
            problems.append(f"{name} could not be loaded again and is forgotten: {error}")
            del folders[name]
        if folders != before.folders:
            current = before.current if before.current in folders else None
            remember(home, replace(before, folders=folders, current=current))
    return problems


async def give(note: Note, folders: Mapping[str, str]) -> dict[str, AdapterRefused]:
    """Load into a server those that it lacks; which it refuses, and why. Raises ``AdapterError``."""
    names, refused = await served(note), dict[str, AdapterRefused]()
    for name, place in folders.items():
        try:
            if name not in names:
                await _post(note, "load_lora_adapter", {"lora_name": name, "lora_path": place})
        except AdapterRefused as error:
            refused[name] = error
    return refused


async def change(home: Path, to: Callable[[Loaded], Loaded]) -> None:
    """Remember something else from now on, where a server has it already."""
    async with _alone(home):
        remember(home, to(loaded(home)))


async def unload(home: Path, note: Note, name: str, in_use: Callable[[str], int] = lambda name: 0) -> None:
    """Take an adapter away: new runs no longer get it at once, the server loses it when ``in_use`` counts 0 runs.

    The base model answers then. ``name`` may leave out the digest where only one version has it. Raises
    ``AdapterError``, also where it is still in use after ``LAST_RUN`` seconds.
    """
    async with _alone(home):
        before = loaded(home)
        known = dict.fromkeys([*before.folders, *await served(note)])
        known.pop(note.model, None)
        name = _only(known, name)
        remember(home, replace(before, current=None if before.current == name else before.current))
    end = time.monotonic() + LAST_RUN
    while runs := in_use(name):
        if time.monotonic() > end:
            raise AdapterError(f"{runs} runs still use {name}; new ones do not. Unload it when they have ended.")
        await asyncio.sleep(0.2)
    await whatever_happens(_take_away(home, note, name))  # or a later loading could meet the rest of it


async def _take_away(home: Path, note: Note, name: str) -> None:
    async with _alone(home):
        if name in await served(note):
            await _post(note, "unload_lora_adapter", {"lora_name": name})
        now = loaded(home)
        current = None if now.current == name else now.current
        remember(home, replace(now, folders={n: f for n, f in now.folders.items() if n != name}, current=current))


def _only(known: Collection[str], name: str) -> str:
    """The adapter of that name, or the only one whose name it is without the digest. Raises ``AdapterError``."""
    versions = [name] if name in known else [version for version in known if version.rpartition("-")[0] == name]
    if not versions:
        raise AdapterError(f"No adapter {name!r} is loaded ({', '.join(known) or 'none is'}).")
    if len(versions) > 1:
        raise AdapterError(f"{name!r} is the name of {len(versions)} adapters; name one of {', '.join(versions)}.")
    return versions[0]


@asynccontextmanager
async def _alone(home: Path) -> AsyncIterator[None]:
    """What is loaded, and the file that says so, are changed by one process at a time. Raises ``AdapterError``."""
    place = folder(home)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    end = time.monotonic() + DEADLINE
    while (lock := locked(place / "adapters.lock")) is None:
        if time.monotonic() > end:
            raise AdapterError("Another process has been loading or unloading an adapter for two minutes; end it.")
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        os.close(lock)


def kept(home: Path, source: Path, name: str) -> tuple[Path, str]:
    """Where the adapter's own copy lies, and its versioned name."""
    if not NAME.fullmatch(name):
        sentence = "take letters, digits, '.', '_' and '-', at most 100, the first a letter or a digit."
        raise AdapterError(f"{name!r} cannot be an adapter's name; {sentence}")
    try:
        files = {part: (source / part).read_bytes() for part in (CONFIG, WEIGHTS)}
    except OSError as error:
        raise AdapterError(f"{source} is no adapter: {CONFIG} and {WEIGHTS} are needed.") from error
    version = f"{name}-{adapter_digest(files)}"
    place = folder(home) / "adapters" / version
    if not place.exists():
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=place.parent))
        for part, content in files.items():
            (making / part).write_bytes(content)
        try:
            making.rename(place)
        except OSError:  # another process was faster
            shutil.rmtree(making)
    return place, version


async def served(note: Note) -> list[str]:
    """The names of all models and adapters that the server has. Raises ``AdapterError``."""
    return [card["id"] for card in await cards(note)]


async def cards(note: Note) -> list[dict[str, Any]]:
    """What the server says of each of them. Raises ``AdapterError``."""
    async with client_of(note, LISTING) as client:
        response = await client.get("models")
    try:
        return [card | {"id": card["id"]} for card in _accepted(note, response).json()["data"]]
    except (ValueError, LookupError, TypeError) as error:
        raise AdapterError(f"What answers at {note.base_url} is no model server; see {note.log}.") from error


async def _post(note: Note, path: str, body: dict[str, str]) -> None:
    async with client_of(note, DEADLINE) as client:
        _accepted(note, await client.post(path, json=body))


def _accepted(note: Note, response: httpx.Response) -> httpx.Response:
    if response.status_code in (401, 403, 502, 503):
        raise AdapterError(f"The server at {note.base_url} lets nobody in ({response.status_code}); see {note.log}.")
    if response.status_code != 200:
        raise AdapterRefused(f"The server at {note.base_url} refused: {_message(response)}")
    return response


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:500]
    except (ValueError, LookupError, TypeError):
        return response.text[:500]


@asynccontextmanager
async def client_of(note: Note, seconds: float) -> AsyncIterator[httpx.AsyncClient]:
    """For ``seconds`` in all: httpx's own timeout begins anew with every byte. No proxy is for the loopback."""
    client = httpx.AsyncClient(
        base_url=note.base_url, headers={"Authorization": f"Bearer {note.api_key}"}, timeout=seconds, trust_env=False
    )
    try:
        async with asyncio.timeout(seconds), client:
            yield client
    except (httpx.HTTPError, TimeoutError) as error:
        told = f"no reply in {seconds:g} s" if isinstance(error, TimeoutError) else repr(error)
        why = "" if note.starting_since else f" ({told})"
        raise AdapterError(f"The server at {note.base_url} {note.state}{why}; see {note.log}.") from error
