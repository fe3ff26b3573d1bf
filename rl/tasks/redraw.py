"""The same task with other numbers, other names or in another order, made by the generator that made it.

What a generator decides is kept on a tape and handed to it again; only the numbers, or the names, are drawn anew, or the
tape's events are put in another order. So the gold answer is right, and all material is of the same split. Where the
generator would have to decide otherwise because of what has changed (it halves a number that is now odd), other
numbers are tried.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from rl.tasks.task import Draw, Split, Task, digest
from rl.tasks.words import NUMBER_WORDS

Change = Literal["numbers", "names", "order"]
Kind = Literal["number", "name", "event", "shuffle"]
WAYS: tuple[Change, ...] = ("numbers", "names", "order")
CHANGED: dict[Change, tuple[Kind, ...]] = {"numbers": ("number",), "names": ("name",), "order": ("event", "shuffle")}
TRIES = 300
ALIKE = 10  # stories that come out without another answer, after which no more is hoped for
SPELLED = len(NUMBER_WORDS)  # smaller numbers may stand as words
T = TypeVar("T")
U = TypeVar("U")
_NUMBER = re.compile(rf"\d[\d,.]*|\b(?:{'|'.join(NUMBER_WORDS)})\b", re.IGNORECASE)


class Differs(Exception):
    """The generator wants to decide what the tape does not have: the story would be another."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What was drawn in one piece."""

    kind: Kind
    value: Any  # of an event what was chosen and its own tape, of a shuffle the places


Tape = list[object]  # floats, (k, bits), and marks


def redrawn(task: Task, tape: Tape, split: Split, generate: Callable[[Draw], Task | None], way: Change) -> Task | None:
    """What ``generate`` makes of the tape in that way; None where there is nothing to change or it cannot be."""
    if not any(isinstance(each, Mark) and each.kind in CHANGED[way] for each in flat(tape)):
        return None
    task_id, alike = f"{task.task_id}~{way}", 0
    for attempt in range(TRIES):
        draw = Redraw(split, f"{task_id}/{attempt}", tape, way)
        try:
            other = generate(draw)
        except Differs:
            continue
        if other and draw.ended and draw.fits:
            if is_another(task, other, way):
                return replace(other, task_id=task_id)
            alike += 1
            if alike == ALIKE:
                return None
    return None


def is_another(task: Task, other: Task, way: Change) -> bool:
    """Whether it reads otherwise; with other numbers, whether its answer is another and nothing else has changed."""
    if way == "numbers" and (task.gold == other.gold or masked(task.question) != masked(other.question)):
        return False
    return (task.question, task.documents) != (other.question, other.documents)


def masked(text: str) -> str:
    return _NUMBER.sub("#", text)


def flat(tape: Iterable[object]) -> Iterable[object]:
    for each in tape:
        yield each
        if isinstance(each, Mark) and each.kind == "event":
            yield from flat(each.value[1])


class Recorder(random.Random):
    """Keeps what it gives; these two methods are what all others of ``random.Random`` draw with."""

    def __init__(self, seed: int) -> None:
        self.tape: Tape = []
        super().__init__(seed)

    def random(self) -> float:
        self.tape.append(drawn := super().random())
        return drawn

    def getrandbits(self, k: int, /) -> int:
        drawn = super().getrandbits(k)
        self.tape.append((k, drawn))
        return drawn


class Player(random.Random):
    """Gives what is on the tape. Raises ``Differs`` where something else is asked for."""

    def __init__(self, tape: Tape) -> None:
        self.tape = deque(tape)
        super().__init__(0)

    def take(self, kind: type[T]) -> T:
        if not self.tape or not isinstance(self.tape[0], kind):
            raise Differs
        taken: Any = self.tape.popleft()
        return taken

    def marked(self, kind: Kind) -> Any:
        mark = self.take(Mark)
        if mark.kind != kind:
            raise Differs
        return mark.value

    def random(self) -> float:
        return self.take(float)

    def getrandbits(self, k: int, /) -> int:
        size, bits = self.take(tuple)
        if size != k:
            raise Differs
        return bits


class Recording(Draw):
    """Draws what ``Draw`` draws, and keeps it on ``tape``."""

    def __init__(self, split: Split, key: str) -> None:
        super().__init__(split, key)
        self.random = recorder = Recorder(digest(f"{split}/{key}"))
        self.tape = recorder.tape
        self.first_draft: int | None = None

    def draft(self) -> None:
        super().draft()
        self.first_draft = len(self.tape) if self.first_draft is None else self.first_draft
        del self.tape[self.first_draft :]

    def number(self, low: int, high: int) -> int:
        return self.kept("number", lambda: super(Recording, self).number(low, high))

    def numeric(self, make: Callable[[], T], holds: Callable[[T], bool] = lambda made: True) -> T:
        return self.kept("number", make)

    def name(self, make: Callable[[], str]) -> str:
        return self.kept("name", make)

    def kept(self, kind: Kind, make: Callable[[], T]) -> T:
        start = len(self.tape)
        made = make()
        self.tape[start:] = [Mark(kind, made)]
        return made

    def event(self, choose: Callable[[], U], happen: Callable[[U], T]) -> T:
        start = len(self.tape)
        chosen = choose()
        del self.tape[start:]
        made = happen(chosen)
        self.tape[start:] = [Mark("event", (chosen, self.tape[start:]))]
        return made

    def shuffled(self, items: Sequence[T]) -> list[T]:
        places = self.kept("shuffle", lambda: super(Recording, self).shuffled(range(len(items))))
        return [items[place] for place in places]


class Redraw(Draw):
    """Decides as the tape says, but for what ``way`` changes; that is drawn with ``key``."""

    def __init__(self, split: Split, key: str, tape: Tape, way: Change) -> None:
        super().__init__(split, key)
        self.way, self.fresh = way, self.random
        self.random = self.player = Player(reordered(tape, self.fresh) if way == "order" else tape)
        self.drafts = 0
        self.names: dict[str, str] = {}  # the new one of each

    @property
    def ended(self) -> bool:
        return not self.player.tape

    def draft(self) -> None:
        super().draft()
        self.drafts += 1
        if self.drafts > 1:  # the tape has no more than the one that was good
            raise Differs

    def number(self, low: int, high: int) -> int:
        high = max(low, high)
        n = self.numeric(lambda: self.fresh.randint(low, high), lambda n: low <= n <= high)
        self.numbers.add(n)
        return n

    def numeric(self, make: Callable[[], T], holds: Callable[[T], bool] = lambda made: True) -> T:
        old = self.player.marked("number")
        if self.way != "numbers":
            new = old
        elif isinstance(old, int):  # one that may be written as a word stays so
            new = self.found(make, lambda n: n != old and (n < SPELLED) == (old < SPELLED))
        else:
            new = self.found(make, lambda made: made != old)
        if not holds(new):
            raise Differs
        return new

    def name(self, make: Callable[[], str]) -> str:
        if self.random is self.fresh:  # a name that is part of one
            return make()
        old = self.player.marked("name")
        if self.way != "names":
            return old
        if old not in self.names:
            taken = {*self.names, *self.names.values(), old}
            self.names[old] = self.found(make, lambda name: name not in taken)
        return self.names[old]

    def found(self, make: Callable[[], T], wanted: Callable[[Any], bool]) -> T:
        """Drawn anew until it is what is wanted. Raises ``Differs`` where that does not come."""
        self.random = self.fresh
        try:
            for _ in range(TRIES):
                if wanted(made := make()):
                    return made
        finally:
            self.random = self.player
        raise Differs

    def event(self, choose: Callable[[], U], happen: Callable[[U], T]) -> T:
        chosen, own = self.player.marked("event")
        rest = len(self.player.tape)
        self.player.tape.extendleft(reversed(own))
        made = happen(chosen)
        if len(self.player.tape) != rest:
            raise Differs
        return made

    def shuffled(self, items: Sequence[T]) -> list[T]:
        places = self.player.marked("shuffle")
        if len(places) != len(items):
            raise Differs
        return [items[place] for place in places]


def reordered(tape: Tape, fresh: random.Random) -> Tape:
    """The tape with its events, and what was shuffled, in another order."""
    events = [each for each in tape if isinstance(each, Mark) and each.kind == "event"]
    left = iter(fresh.sample(events, len(events)))

    def again(each: object) -> object:
        if not isinstance(each, Mark) or each.kind not in CHANGED["order"]:
            return each
        return next(left) if each.kind == "event" else Mark("shuffle", fresh.sample(each.value, len(each.value)))

    return list(map(again, tape))
