"""The families of generated tasks by name, and the door to them: ``generate`` and ``mixture``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Protocol, TypeVar

from agent.errors import SettingsError
from agent.loading import load
from rl.suites.function import FunctionFamily
from rl.suites.hub import HUB
from rl.tasks import arithmetic, injection, lookup, programs, smalltalk, strings, sums, units
from rl.tasks.redraw import WAYS, Change, Recording, redrawn
from rl.tasks.task import SPLITS, Draw, Split, Task

D = TypeVar("D", bound=Draw)


class Family(Protocol):
    """A module, or an object of a person's own, that makes tasks."""

    @property
    def TIERS(self) -> range: ...

    def generate(self, draw: Draw, tier: int, task_id: str) -> Task: ...


FAMILIES: dict[str, Family] = {
    "sums": sums, "arithmetic": arithmetic, "lookup": lookup, "strings": strings, "programs": programs, "units": units,
    "smalltalk": smalltalk, "injection": injection,
}  # fmt: skip
HARD_TIERS = {
    "sums": (),
    "arithmetic": (6, 7, 8),
    "lookup": (2, 3),
    "strings": (3, 4),
    "programs": (3,),
    "units": (2,),
    "smalltalk": (),
    "injection": (),
}

# What a demonstration is drawn from, as parts of the whole: most for what is hardest to learn. A lookup is five times as long
# as the others.
SHARES = {
    "sums": 0.05, "arithmetic": 0.39, "lookup": 0.26, "strings": 0.13, "programs": 0.06, "units": 0.04, "smalltalk": 0.07,
}  # fmt: skip


def add_families(specs: Iterable[str]) -> None:
    """Families of a person's own, by ``module:object`` or as entry points in the group ``ponder.tasks``.

    A family is called what its object is called; a plain function of (seed, index) is called ``module:function``. None
    of them is in the mixture. Raises ``SettingsError``.
    """
    for spec in specs:
        found = load(spec, "ponder.tasks")
        if hasattr(found, "TIERS"):
            FAMILIES[spec.rpartition(":")[2]] = found
        elif callable(found):
            FAMILIES[spec] = FunctionFamily(spec, found)
        else:
            raise SettingsError(f"{spec} is no family and no function of (seed, index); name one that is.")


def add_functions(suites: Iterable[str]) -> None:
    """Those among the names of suites that say ``module:function``. Raises ``SettingsError``."""
    named = {name.partition("/")[0] for name in suites if not name.startswith(HUB)}
    add_families(name for name in sorted(named) if ":" in name and name not in FAMILIES)


def generate(family: str, tier: int, split: Split, seed: int, index: int) -> Task:
    """The ``index``-th task of a family and tier: a pure function of its arguments.

    Raises:
        KeyError: no such family.
        ValueError: the family has no such tier.
    """
    module = FAMILIES[family]
    if tier not in module.TIERS:
        raise ValueError(f"{family} has tiers {module.TIERS.start} to {module.TIERS.stop - 1}, not {tier}")
    return drawn(f"{family}/{tier}/{split}/{seed}/{index}", Draw)[0]


def drawn(task_id: str, kind: Callable[[Split, str], D]) -> tuple[Task, D]:
    """The task of an id and the draw, of that kind, that made it."""
    family, tier, split = parts(task_id)
    draws = (kind(split, f"{task_id}/{attempt}") for attempt in count())
    made = ((FAMILIES[family].generate(draw, tier, task_id), draw) for draw in draws)
    return next((task, draw) for task, draw in made if task and draw.fits)


def parts(task_id: str) -> tuple[str, int, Split]:
    """Family, tier and split. Raises ``ValueError`` where it is no id."""
    family, tier, split, _, _ = task_id.split("/")
    if split not in SPLITS:
        raise ValueError(f"{task_id} is of no split")
    return family, int(tier), split


def perturbed(task: Task, way: Change) -> Task | None:
    """A generated task with other numbers, names or order; None where it has nothing of that kind to change."""
    family, tier, split = parts(task.task_id)
    same, recording = drawn(task.task_id, Recording)
    return redrawn(same, recording.tape, split, lambda draw: FAMILIES[family].generate(draw, tier, task.task_id), way)


def task_of(task_id: str) -> Task:
    """The task of that id. Raises as ``generate`` does, and ``ValueError`` where it is no id."""
    original, _, way = task_id.partition("~")
    family, tier, split = parts(original)
    task = generate(family, tier, split, *map(int, original.split("/")[3:]))
    changed = next((perturbed(task, each) for each in WAYS if each == way), None) if way else task
    if changed is None:
        raise ValueError(f"{task_id} is of no task")
    return changed


def mixture(seed: int, index: int, split: Split = "train") -> Task:
    """The ``index``-th task of the training mixture: a pure function of seed and index."""
    draw = Draw(split, f"mixture/{seed}/{index}")
    family = draw.random.choices(list(SHARES), weights=list(SHARES.values()))[0]
    tiers = FAMILIES[family].TIERS
    task = generate(family, draw.any([*tiers, *tiers[:2]]), split, seed, index)  # the first two twice as often
    return replace(task, tools=offered(task, draw.random.random()))


def offered(task: Task, chance: float) -> tuple[str, ...]:
    """The tools that a demonstration is shown with: all of the task's, or fewer where it does without them.

    Nothing is indexed on a new machine, so that there is no search; and people bring tools of their own.
    """
    used = {name for step in task.demonstration for name, _ in step.calls}
    needless = set() if chance < 0.5 else {"search"} - used if chance < 0.85 else set(task.tools) - used
    return tuple(name for name in task.tools if name not in needless) if used else task.tools
