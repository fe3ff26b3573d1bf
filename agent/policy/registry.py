"""The registry of versions: which weights there are, where they come from, which of them answers.

    versions/<id>/version.json   what is known of it; written once, and again when a gate has judged it
    versions/<id>/weights/       a complete model's folder, or an adapter's; never changed
    versions/current.json        the promoted one, those that a rollback goes back to, every change so far

A version is named by its weights, and is there whole or not at all, also after kill -9. Which one answers is said in
one file, so there is never a second. ``rl`` and ``ponder promote`` write here; every door reads. Nothing here loads a
model or talks to a server: ``deployment`` and ``assemble`` do what ``target`` says.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from agent.policy.vault import MAKING, VersionError, alone, copy, making, sweep, sync, write
from agent.policy.weights import CONFIG, RECORD, WEIGHTS, adapter_digest, version_in, weight_files

Kind = Literal["full", "lora"]
State = Literal["candidate", "promoted", "retired", "rejected"]
NAME = "ponder"  # before the digest, as adapters are called
KEPT = {".json", ".jinja", ".txt", ".model", ".tiktoken"}  # beside the weights; the rest is the training's own
CURRENT = "current.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a version comes from, as whoever made it says."""

    base: str  # what the weights go on top of: a folder, a name on the hub or an id here; of a full one, its root
    base_version: str = ""  # by ``version_in``; "" is looked up where ``base`` is a folder
    parent: str | None = None  # the version that it was trained from; None: the base
    data: Mapping[str, Any] = field(default_factory=dict)  # hash, counts, mixture
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    code: str = ""  # version of the program that made it


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Origin):
    """One set of weights."""

    id: str
    kind: Kind
    created_at: str  # ISO 8601, UTC
    evaluation: Mapping[str, Any] | None = None  # what a gate said; its "summary" is what a table shows
    state: State = "candidate"  # on disk "candidate" or "rejected"; the others follow from ``Current``


@dataclass(frozen=True, slots=True)
class Change:
    """A promotion, or the way back from one."""

    promoted: str | None  # the version that answered from then on; None: the base
    at: str  # ISO 8601, UTC
    why: str


@dataclass(frozen=True, slots=True)
class Current:
    """Which version answers, and how it came to that."""

    promoted: str | None = None  # None: the base
    before: tuple[str, ...] = ()  # what a rollback goes back to, the nearest last
    history: tuple[Change, ...] = ()

    def to(self, promoted: str | None, before: tuple[str, ...], why: str) -> Current:
        return Current(promoted, before, (*self.history, Change(promoted, _now(), why)))


@dataclass(frozen=True, slots=True)
class Target:
    """The weights that new runs should get."""

    model: str  # a folder of weights, or a name on the hub
    name: str  # what those weights are served as: the id of a full version
    adapter: str | None = None  # the id of the adapter on top of them
    version: str | None = None  # the promoted one; None: the base


# --- what there is ----------------------------------------------------------------------------------------------------


def add(home: Path, folder: Path, origin: Origin) -> Version:
    """Copy a model's folder, or an adapter's, into the registry; the version that stands there where it does already.

    Raises ``VersionError`` where the folder lacks something that an answer takes, or the parent is unknown.
    """
    folder = folder.resolve()
    known = _place(home) / _name(folder)
    if known.name in _ids(home) and (known / "weights").is_dir():
        return find(home, known.name)
    origin = _settled(home, folder, origin)
    with making(_place(home)) as made:
        copy(folder, made / "weights", _parts(folder))
        version = Version(**asdict(origin), id=_name(made / "weights"), kind=_kind(folder), created_at=_now())
        write(made / RECORD, asdict(version))
        place = made.parent / version.id
        with alone(_place(home)):
            if not place.exists():
                made.rename(place)
            elif not (place / "weights").exists():  # they were pruned
                (made / "weights").rename(place / "weights")
            sync(place.parent)
    return find(home, version.id)


def versions(home: Path) -> list[Version]:
    """All of them, the oldest first. Raises ``VersionError`` where a file is damaged."""
    now = current(home)
    once = {change.promoted for change in now.history}
    found = [_read(home, name) for name in _ids(home)]
    return sorted((_stated(version, now, once) for version in found), key=lambda each: (each.created_at, each.id))


def find(home: Path, beginning: str) -> Version:
    """The version whose id, or whose digest, begins like this. Raises ``VersionError`` where none or several do."""
    fitting = [each for each in versions(home) if beginning and _begins(each.id, beginning)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise VersionError(f"There is no version {beginning!r}; `ponder versions` shows those there are.")
    raise VersionError(f"{beginning!r} begins {', '.join(each.id for each in fitting)}; write more of it.")


def weights_of(home: Path, version: str) -> Path:
    """The folder of a version's weights. Raises ``VersionError`` where they were pruned."""
    folder = _place(home) / version / "weights"
    if not folder.is_dir():
        raise VersionError(f"The weights of {version} are not there any more; train it again, or promote another.")
    return folder


def named(home: Path, model: str | None) -> Version | None:
    """The version that the setting ``model`` names by its whole id."""
    return find(home, model) if model is not None and model in _ids(home) else None


def lineage(home: Path, version: Version) -> list[Version]:
    """The version, its parent, and so on down to the one that was trained from the base."""
    known = {each.id: each for each in versions(home)}
    line = [version]
    while (parent := known.get(line[-1].parent or "")) and parent not in line:
        line.append(parent)
    return line


def record_evaluation(home: Path, version: str, evaluation: Mapping[str, Any], passed: bool) -> Version:
    """Keep what a gate said of a version; one that did not pass is rejected."""
    with alone(_place(home)):
        judged = replace(find(home, version), evaluation=evaluation, state="candidate" if passed else "rejected")
        write(_place(home) / judged.id / RECORD, asdict(judged))
    return find(home, judged.id)


def prune(home: Path) -> list[str]:
    """Remove the weights of rejected and retired versions, except where a version that is kept goes on top of them.

    What one rollback goes back to is kept, and every record. Returns the ids of those whose weights are gone.
    """
    with alone(_place(home)):
        sweep(_place(home))
        now = current(home)
        all_ = {each.id: each for each in versions(home)}
        kept = {each.id for each in all_.values() if each.state in ("candidate", "promoted")} | {*now.before[-1:]}
        kept |= {all_[name].base for name in kept if name in all_}
        gone = [name for name in all_ if name not in kept and (_place(home) / name / "weights").is_dir()]
        write(_place(home) / CURRENT, asdict(replace(now, before=tuple(i for i in now.before if i in kept))))
        for name in gone:
            leaving = _place(home) / f"{MAKING}pruned-{name}"
            (_place(home) / name / "weights").rename(leaving)
            shutil.rmtree(leaving)
        return gone


def code_version() -> str:
    """Of this program, for ``Origin.code``: the package's, and the commit where it is a checkout."""
    root = Path(__file__).parents[2]
    package = importlib.metadata.version("ponder")
    with suppress(OSError, subprocess.SubprocessError):
        line = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
        if (root / ".git").exists():
            done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=True)
            return f"{package}+{done.stdout.strip()}"
    return package


# --- which one answers ------------------------------------------------------------------------------------------------


def current(home: Path) -> Current:
    """Raises ``VersionError`` where the file is damaged."""
    file = _place(home) / CURRENT
    try:
        read = json.loads(file.read_bytes())
        history = tuple(Change(**change) for change in read["history"])
        return Current(read["promoted"], tuple(read["before"]), history)
    except FileNotFoundError:
        return Current()
    except (OSError, ValueError, TypeError, LookupError) as error:
        sentence = f"{file} cannot be read ({error}); delete it, and promote a version again."
        raise VersionError(sentence) from error


def promoted(home: Path) -> Version | None:
    """The version that answers; None: the base does."""
    name = current(home).promoted
    return None if name is None else find(home, name)


def promote(home: Path, version: str, despite: bool = False) -> Version:
    """Let a version answer new runs. Raises ``VersionError``, also for one that a gate rejected unless ``despite``."""
    with alone(_place(home)):
        chosen, now = find(home, version), current(home)
        weights_of(home, chosen.id)
        if chosen.kind == "lora" and chosen.base in _ids(home):
            weights_of(home, chosen.base)
        if chosen.state == "rejected" and not despite:
            raise VersionError(f"{chosen.id} was rejected by the gate; `ponder promote {chosen.id} --force` takes it.")
        if chosen.id != now.promoted:
            before = now.before if now.promoted is None else (*now.before, now.promoted)
            write(_place(home) / CURRENT, asdict(now.to(chosen.id, before, "promoted")))
    return find(home, chosen.id)


def rollback(home: Path) -> Version | None:
    """Go back to what was promoted before; None: to the base. Raises ``VersionError`` where that answers already."""
    with alone(_place(home)):
        now = current(home)
        if now.promoted is None:
            raise VersionError("No version is promoted: the base answers, and there is nothing to go back to.")
        *before, back = now.before or (None,)
        write(_place(home) / CURRENT, asdict(now.to(back, tuple(i for i in before if i), "rolled back")))
    return promoted(home)


def undo(home: Path, failed: Target, served: Target, reason: str) -> bool:
    """Take back the last change, which could not be served; whether it still was the last."""
    with alone(_place(home)):
        now = current(home)
        if now.promoted != failed.version or failed.version == served.version:
            return False
        if served.version in now.before:  # a promotion
            before = now.before[: now.before.index(served.version)]
        else:  # of a version after nothing, or a rollback
            before = () if served.version is None or failed.version is None else (*now.before, failed.version)
        write(_place(home) / CURRENT, asdict(now.to(served.version, before, f"undone: {reason}")))
        return True


def target(home: Path, root: str) -> Target:
    """What should answer where ``root`` (a folder or a name on the hub) does by default.

    The promoted version, where it descends from ``root``; otherwise ``root`` itself. Raises ``VersionError``.
    """
    version = promoted(home)
    if version is None or not descends(home, version, root):
        return Target(root, root)
    return target_of(home, version, root)


def target_of(home: Path, version: Version, root: str | None = None) -> Target:
    """The weights of a version, and of what it goes on top of: ``root`` where that is no version itself."""
    if version.kind == "full":
        return Target(str(weights_of(home, version.id)), version.id, None, version.id)
    if version.base in _ids(home):
        return Target(str(weights_of(home, version.base)), version.base, version.id, version.id)
    return Target(root or version.base, root or version.base, version.id, version.id)


def descends(home: Path, version: Version, root: str) -> bool:
    """Whether a version was made from ``root``. An adapter fits only those very weights; a full one stands alone."""
    bottom = find(home, version.base) if version.base in _ids(home) else version
    folder = Path(root)
    if not folder.is_dir():
        return bottom.base == root
    by_name = bottom.kind == "full" and Path(bottom.base).resolve() == folder.resolve()
    return by_name or bottom.base_version == version_in(folder).version


def _stated(version: Version, now: Current, once: set[str | None]) -> Version:
    if version.id == now.promoted:
        return replace(version, state="promoted")
    return replace(version, state="retired") if version.id in once and version.state != "rejected" else version


# --- on disk ----------------------------------------------------------------------------------------------------------


def _place(home: Path) -> Path:
    return home / "versions"


def _ids(home: Path) -> list[str]:
    """Of the versions that are there whole: the rename that names them comes last."""
    return sorted(file.parent.name for file in _place(home).glob(f"{NAME}-*/{RECORD}"))


def _begins(version: str, beginning: str) -> bool:
    return version.startswith(beginning) or version.removeprefix(f"{NAME}-").startswith(beginning)


def _read(home: Path, version: str) -> Version:
    file = _place(home) / version / RECORD
    try:
        return Version(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        sentence = f"{file} cannot be read ({error}); remove the folder {file.parent}, or take a newer Ponder."
        raise VersionError(sentence) from error


def _kind(folder: Path) -> Kind:
    return "lora" if (folder / CONFIG).is_file() else "full"


def _name(folder: Path) -> str:
    """The id of what a folder holds. Raises ``VersionError`` where it lacks something that an answer takes."""
    if _kind(folder) == "lora":
        lacking = [] if (folder / WEIGHTS).is_file() else [WEIGHTS]
    else:
        lacking = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
        lacking += [] if weight_files(folder) else ["*.safetensors"]
        lacking += [] if _has_template(folder) else ["chat_template.jinja"]
    if lacking:
        raise VersionError(f"{folder} is no complete model and no adapter: {', '.join(lacking)} is missing.")
    if _kind(folder) == "full":
        return f"{NAME}-{version_in(folder).version}"
    return f"{NAME}-{adapter_digest({part: (folder / part).read_bytes() for part in (CONFIG, WEIGHTS)})}"


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and b'"chat_template"' in config.read_bytes()


def _settled(home: Path, folder: Path, origin: Origin) -> Origin:
    """With ids for folders of the registry, and of a full version the root that its parents descend from."""
    known, base = _ids(home), origin.base
    if Path(base).is_dir() and Path(base).resolve().parent.name in known:
        base = Path(base).resolve().parent.name
    if origin.parent is not None and origin.parent not in known:
        raise VersionError(f"The parent {origin.parent} is not in the registry; add that first.")
    digest = origin.base_version
    if base in known:
        below = _read(home, base)
        if _kind(folder) == "full":
            parent = origin.parent or below.id
            return replace(origin, base=below.base, base_version=below.base_version, parent=parent)
        digest = below.id.removeprefix(f"{NAME}-")
    elif Path(base).is_dir():
        base, digest = str(Path(base).resolve()), version_in(Path(base)).version
    return replace(origin, base=base, base_version=digest)


def _parts(folder: Path) -> set[str]:
    """The files that a model or an adapter is made of."""
    weights = {CONFIG, WEIGHTS} if _kind(folder) == "lora" else {file.name for file in weight_files(folder)}
    others = {file.name for file in folder.iterdir() if file.is_file() and file.suffix in KEPT}
    return weights | others


def _now() -> str:
    return datetime.now(UTC).isoformat()
