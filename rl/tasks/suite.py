"""The families of generated tasks by name, and the door to them: ``generate`` and ``mixture``."""

from __future__ import annotations

from rl.tasks import arithmetic, lookup, programs, smalltalk, strings, units
from rl.tasks.task import Draw, Split, Task

FAMILIES = {
    "arithmetic": arithmetic, "lookup": lookup, "strings": strings, "programs": programs, "units": units, "smalltalk": smalltalk,
}  # fmt: skip
HARD_TIERS = {
    "arithmetic": (6, 7, 8),
    "lookup": (2, 3),
    "strings": (3, 4),
    "programs": (3,),
    "units": (2,),
    "smalltalk": (),
}

# What a demonstration is drawn from, as parts of the whole: most for what is hardest to learn.
SHARES = {"arithmetic": 0.46, "lookup": 0.20, "strings": 0.12, "programs": 0.10, "units": 0.07, "smalltalk": 0.05}


def generate(family: str, tier: int, split: Split, seed: int, index: int) -> Task:
    """The ``index``-th task of a family and tier: a pure function of its arguments.

    Raises:
        KeyError: no such family.
        ValueError: the family has no such tier.
    """
    module = FAMILIES[family]
    if tier not in module.TIERS:
        raise ValueError(f"{family} has tiers {module.TIERS.start} to {module.TIERS.stop - 1}, not {tier}")
    task_id = f"{family}/{tier}/{split}/{seed}/{index}"
    return module.generate(Draw(split, task_id), tier, task_id)


def mixture(seed: int, index: int, split: Split = "train") -> Task:
    """The ``index``-th task of the training mixture: a pure function of seed and index."""
    draw = Draw(split, f"mixture/{seed}/{index}")
    family = draw.random.choices(list(SHARES), weights=list(SHARES.values()))[0]
    return generate(family, draw.any(list(FAMILIES[family].TIERS)), split, seed, index)
