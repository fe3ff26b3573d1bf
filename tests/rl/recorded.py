"""What generators are made of: a draw that remembers the material it gave out, and the wordings of a module."""

from collections.abc import Callable, Container, Sequence
from itertools import count
from typing import TypeVar

from rl.tasks.suite import FAMILIES, SHARES
from rl.tasks.task import Draw, Split, Task

T = TypeVar("T")


class RecordedDraw(Draw):
    def __init__(self, split: Split, key: str) -> None:
        super().__init__(split, key)
        self.material: set[object] = set()  # entries of banks, wordings, invented words and names

    def pick(self, items: Sequence[T]) -> T:
        self.material.add(item := super().pick(items))
        return item

    def several(self, items: Sequence[T], count: int) -> list[T]:
        found = super().several(items, count)
        self.material.update(found)
        return found

    def owned(self, make: Callable[[], str], without: Container[str] = ()) -> str:
        self.material.add(text := super().owned(make, without))
        return text


def drawn(split: Split, total: int) -> list[tuple[Task, RecordedDraw]]:
    """``total`` tasks over all families and tiers in turn, as ``suite.generate`` makes them, each with its draw."""
    kinds = [(family, tier) for family in SHARES for tier in FAMILIES[family].TIERS]
    made = []
    for index in range(total):
        family, tier = kinds[index % len(kinds)]
        task_id = f"{family}/{tier}/{split}/5/{index}"
        for attempt in count():
            draw = RecordedDraw(split, f"{task_id}/{attempt}")
            task = FAMILIES[family].generate(draw, tier, task_id)
            if draw.fits:
                made.append((task, draw))
                break
    return made


def wordings(module: object) -> list[tuple[tuple[str, ...], ...]]:
    """All that a module has made with ``phrased``."""
    found = [value for name, value in vars(module).items() if name.isupper() and isinstance(value, tuple)]
    found += [situation.wordings for situation in getattr(module, "SITUATIONS", [])]
    found += [known.questions for kind in getattr(module, "KINDS", {}).values() for known in kind]
    return [value for value in found if all(isinstance(pattern, tuple) for pattern in value)]
