"""``ponder versions``, ``promote`` and ``rollback``: which weights there are, and which of them answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.options import AsJson, print_json, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from agent.policy.note import Note
    from agent.policy.registry import Version

LOOK = 0.2  # seconds between looks at what is served
LONGEST = 3600.0  # that a server may take: the start of large weights, after the last runs of the old ones
SHOWN = 60  # characters of what a gate said
WIDTHS = "{:<34} {:<5} {:<10} {:<17} {}"


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    for command in (versions, promote, rollback):
        app.command()(command)


def versions(
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove weights that nothing goes back to: rejected ones, old ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The versions of the model, each under the one that it was trained from; * marks the one that answers."""
    from dataclasses import asdict

    from agent.policy import registry
    from tui.printer import printable

    home = settings_for().home
    removed = registry.prune(home) if prune else []
    found, now = registry.versions(home), registry.current(home)
    if as_json:
        return print_json({"versions": list(map(asdict, found)), "removed": removed} | asdict(now))
    for name in removed:
        print(f"the weights of {name} are removed")
    if not found:
        return print("There is no version yet: the base answers.")
    print(WIDTHS.format("  version", "kind", "state", "made", "what the gate said"))
    for version, depth in tree(found):
        print(printable(line(version, depth)))
    if now.history and now.history[-1].why != "promoted":
        last = now.history[-1]
        print(printable(f"The last change, to {last.promoted or 'the base'}, was {last.why}"))


def tree(found: list[Version]) -> list[tuple[Version, int]]:
    """Each version and how many stand between it and the base, children after their parents."""
    known = {each.id for each in found}

    def under(parent: str | None, depth: int) -> list[tuple[Version, int]]:
        children = [each for each in found if (each.parent if each.parent in known else None) == parent]
        return [pair for child in children for pair in [(child, depth), *under(child.id, depth + 1)]]

    return under(None, 0)


def line(version: Version, depth: int) -> str:
    mark = "*" if version.state == "promoted" else " "
    name = f"{mark} {'  ' * (depth - 1)}{'└ ' * (depth > 0)}{version.id}"
    made = version.created_at[:16].replace("T", " ")
    return WIDTHS.format(name, version.kind, version.state, made, said(version.evaluation)).rstrip()


def said(evaluation: Any) -> str:
    """In a few words."""
    import json

    text = "" if evaluation is None else str(evaluation.get("summary") or json.dumps(evaluation))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def promote(
    version: Annotated[str, typer.Argument(help="As `ponder versions` shows it, or the beginning of it.")],
    force: Annotated[bool, typer.Option("--force", help="Also one that the gate rejected.")] = False,
) -> None:
    """Let a version answer: new runs take it, runs under way keep theirs. Waits until what is served is that."""
    from agent.policy import registry

    home = settings_for().home
    chosen = registry.promote(home, version, force)
    print(f"{chosen.id} is promoted")
    tell_who_takes_it(home, chosen)


def rollback() -> None:
    """Go back to the version that was promoted before, or to the base. Waits until what is served is that."""
    from agent.policy import registry

    home = settings_for().home
    back = registry.rollback(home)
    print(f"{back.id} is promoted again" if back else "The base answers again")
    tell_who_takes_it(home, back)


def tell_who_takes_it(home: Path, version: Version | None) -> None:
    """Raises ``VersionError`` where a server could not take it, so that the change was undone."""
    from agent.assemble import MINI
    from agent.policy import note, registry

    found = note.read(home)
    if found is None:
        if version and not registry.descends(home, version, str(MINI)):
            print(f"It answers where `ponder model serve {root_of(home, version)}` serves it.")
    elif version and not (found.root and registry.descends(home, version, found.root)):
        print(f"What is served ({found.model}) stays: the version was made from {root_of(home, version)}.")
    else:
        wait_for_server(home, found)


def root_of(home: Path, version: Version) -> str:
    from agent.policy import registry

    below = registry.named(home, version.base)
    return below.base if below else version.base


def wait_for_server(home: Path, found: Note) -> None:
    """Until the server has taken what is promoted now. Raises ``VersionError``."""
    from agent.policy import note, registry

    began, changes, asked = time.monotonic(), len(registry.current(home).history), registry.target(home, found.root)
    while now := note.read(home):
        if (now.model, now.adapter) == (asked.name, asked.adapter) and now.starting_since is None:
            print(f"and new runs take it at {now.base_url} ({time.monotonic() - began:.0f} s).")
            return
        history = registry.current(home).history
        if len(history) > changes:
            raise registry.VersionError(f"It does not answer: {history[changes].why}")
        if time.monotonic() - began > LONGEST:
            raise registry.VersionError("The server has not taken it within an hour; see what it says.")
        time.sleep(LOOK)
    print("The server was stopped meanwhile; the next one takes it.")
