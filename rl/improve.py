"""One turn of the loop: what the incumbent answered trains a candidate, a gate compares them, the better one answers.

Every stage leaves what the next one needs on disk (runs in the log, checkpoints, the registry, the decision) and finds
what it left: a turn that was killed goes on where it was, and one that is over is not taken again. ``ponder improve``
calls it. Nothing here prints.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.assemble import MINI, open_log
from agent.policy import adapters, note, registry
from agent.policy.note import Note
from agent.policy.registry import Origin, Version
from agent.settings import Settings
from agent.store import RunFilter
from rl.collect import asking
from rl.gate_records import Contest, Decision, GateSettings
from rl.gating import Report, gate
from rl.teach import Taught
from rl.trainee import Trainee, adapted, whole

BASE = "base"  # the incumbent's name where no version is promoted


@dataclass(frozen=True, slots=True)
class Incumbent:
    """What answers now, and what a training begins with."""

    model: str  # a folder of weights, or a name on the hub
    adapter: Path | None  # on top of them
    version: str | None  # its id in the registry; None: the base

    @property
    def name(self) -> str:
        return self.version or BASE


def incumbent_of(settings: Settings) -> Incumbent:
    """The promoted version that descends from the settings' model, or that model itself. Raises ``VersionError``."""
    found = registry.target(settings.home, settings.model or str(MINI))
    adapter = registry.weights_of(settings.home, found.adapter) if found.adapter else None
    return Incumbent(found.model, adapter, found.version)


def trainee_of(incumbent: Incumbent, lora: int = 0) -> Trainee:
    """An adapter where the incumbent is one, or where ``lora`` gives a rank; otherwise all weights."""
    if incumbent.adapter or lora:
        return adapted(incumbent.model, lora or 16, incumbent.adapter)
    return whole(incumbent.model)


def enter(
    settings: Settings, folder: Path, incumbent: Incumbent, taught: Taught, how: Mapping[str, Any], seed: int
) -> Version:
    """Add the trained model in ``folder`` to the registry, as a candidate. Raises ``VersionError``."""
    below = registry.find(settings.home, incumbent.version) if incumbent.version else None
    base = below.base if below else incumbent.model
    data = {"hash": taught.hash, "groups": taught.groups, "attempts": taught.attempts, "tokens": taught.tokens}
    origin = Origin(
        base=base,
        parent=incumbent.version,
        data={**data, "left_out": dict(taught.left_out), "mixture": dict(taught.mixture)},
        settings=how,
        seed=seed,
        code=registry.code_version(),
    )
    return registry.add(settings.home, folder, origin)


async def judge(
    settings: Settings, candidate: Version, incumbent: Incumbent, number: int, how: GateSettings, report: Report
) -> Decision:
    """Let both answer: an adapter by the server that has the incumbent, anything else in this process.

    Never one here and one there: their arithmetic differs. Raises ``GateError``, ``EvaluationError``, ``AdapterError``.
    """
    contest, weights = Contest(candidate.id, incumbent.name, number), registry.weights_of(settings.home, candidate.id)
    async with AsyncExitStack() as stack:
        server = await server_with(settings, incumbent) if candidate.kind == "lora" else None
        if server:
            await stack.enter_async_context(adapters.offered(settings.home, server, weights))
        one, other = at(settings, candidate.id, server), at(settings, named_at(server, incumbent), server)
        new = await stack.enter_async_context(asking(one, reference_share=0.0))
        old = await stack.enter_async_context(asking(other, reference_share=0.0))
        return await gate(how, contest, new, old, report)


async def server_with(settings: Settings, incumbent: Incumbent) -> Note | None:
    """The server of this home that has the incumbent; None where none runs, or it serves something else."""
    found = note.read(settings.home)
    if found is None or found.starting_since is not None:
        return None
    if incumbent.version is not None:
        return found if incumbent.version in await adapters.served(found) else None
    return found if found.model == found.root == incumbent.model else None


def named_at(server: Note | None, incumbent: Incumbent) -> str:
    """What the incumbent is called there; None is this process."""
    return incumbent.version or (server.model if server else incumbent.model)


def at(settings: Settings, model: str, server: Note | None) -> Settings:
    """With that model, of that server or in this process."""
    return settings.model_copy(update={"model": model, "base_url": server and server.base_url})


def settle(settings: Settings, candidate: Version, decision: Decision, file: Path) -> bool:
    """Keep the decision, and promote where it says so; whether the candidate answers now. Raises ``VersionError``.

    The file comes last: where it is there, everything before it has been done.
    """
    summary = {"summary": decision.said(), **decision.summary()}
    registry.record_evaluation(settings.home, candidate.id, summary, decision.promote)
    if decision.promote:
        registry.promote(settings.home, candidate.id)
    write(file, summary)
    return decision.promote


def begun(settings: Settings, place: Path) -> Incumbent:
    """Whom the turn in ``place`` challenges: what answered when it was begun, also after its candidate took over."""
    file = place / "incumbent.json"
    if not file.exists():
        now = incumbent_of(settings)
        write(file, {"model": now.model, "adapter": now.adapter and str(now.adapter), "version": now.version})
    then = json.loads(file.read_text())
    return Incumbent(then["model"], then["adapter"] and Path(then["adapter"]), then["version"])


def learned_from(settings: Settings, place: Path, collected: Sequence[str]) -> list[str]:
    """The runs that the turn learns from: what was collected, and what people have asked since the turn before.

    They are noted, so that a turn that goes on learns from the same, in the same order: that of the questions.
    """
    file = place / "runs.json"
    if not file.exists():
        known = {run for other in place.parent.glob("turn-*/runs.json") for run in json.loads(other.read_text())}
        with open_log(settings) as log:
            people = [run.run_id for run in log.runs(RunFilter(tasks=False))[::-1] if run.run_id not in known]
        write(file, [*collected, *people])
    return json.loads(file.read_text())


def write(file: Path, value: object) -> None:
    """At once or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(value))
    os.replace(part, file)


def turns(folder: Path) -> int:
    """How many turns are over."""
    number = 0
    while (folder / f"turn-{number}" / "decision.json").exists():
        number += 1
    return number
