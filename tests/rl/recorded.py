"""A draw that remembers the material it gave out, so that a test can compare what two splits are made of."""

from collections.abc import Sequence
from typing import TypeVar

from rl.tasks.suite import FAMILIES, SHARES
from rl.tasks.task import Draw, Split, Task

T = TypeVar("T")


class RecordedDraw(Draw):
    def __init__(self, split: Split, key: str) -> None:
        super().__init__(split, key)
        self.picked: list[object] = []  # from banks: names, objects, wordings, first parts of invented names
        self.numbers: list[int] = []

    def pick(self, items: Sequence[T]) -> T:
        self.picked.append(item := super().pick(items))
        return item

    def several(self, items: Sequence[T], count: int) -> list[T]:
        self.picked += (found := super().several(items, count))
        return found

    def number(self, low: int, high: int) -> int:
        self.numbers.append(number := super().number(low, high))
        return number


def drawn(split: Split, count: int) -> list[tuple[Task, RecordedDraw]]:
    """``count`` tasks over all families and tiers in turn, each with what it was drawn from."""
    kinds = [(family, tier) for family in SHARES for tier in FAMILIES[family].TIERS]
    made = []
    for index in range(count):
        family, tier = kinds[index % len(kinds)]
        task_id = f"{family}/{tier}/{split}/5/{index}"
        draw = RecordedDraw(split, task_id)
        made.append((FAMILIES[family].generate(draw, tier, task_id), draw))
    return made
