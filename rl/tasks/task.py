"""A task: a question with a checkable answer and a demonstration of how an agent gets there.

Every task is a pure function of (family, tier, split, seed, index). What a task is drawn from (names, objects, numbers,
wordings) is split into a training part and a held-out part by construction: ``Draw`` never hands one split an item of the
other. ``suite`` lists the families; ``rl.sft`` trains on the demonstrations; ``rl.evaluate`` asks the questions.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from retrieval.passage import Document

Split = Literal["train", "held_out"]
SPLITS: tuple[Split, Split] = ("train", "held_out")
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of a demonstration: what the model should sample, and what its tools answer."""

    thought: str
    text: str = ""
    calls: tuple[tuple[str, dict[str, str]], ...] = ()  # (tool name, arguments)
    results: tuple[str, ...] = ()  # what the model reads back, one per call
    learn: bool = True  # False: a mistake that is shown so that the recovery can be learned, itself carries no loss


@dataclass(frozen=True, slots=True)
class Task:
    task_id: str  # "arithmetic/3/train/0/17"
    family: str
    tier: int
    question: str
    gold: str  # the reference answer; "declined" where the right thing is to say that it cannot be done
    demonstration: tuple[Step, ...]
    documents: tuple[Document, ...] = ()  # what a search for this question must be able to find
    tools: tuple[str, ...] = ("calculator", "python", "search")  # what the demonstration was given
    metadata: dict[str, object] = field(default_factory=dict)
    checker: str = ""  # the verifier that grades it, of a task from a file; "": the rule of generated tasks


class Draw:
    """Random choices for one task, confined to one split.

    Bank items, wordings and invented names belong to one split each. Numbers are split as the set that a question is made
    of: were single numbers held out, a model would learn that they never occur instead of learning to copy.
    """

    def __init__(self, split: Split, key: str) -> None:
        self.split: Split = split
        self.random = random.Random(digest(f"{split}/{key}"))
        self.numbers: set[int] = set()

    @property
    def fits(self) -> bool:
        """Whether the numbers drawn so far are a set of this split."""
        return not self.numbers or self.owns(str(sorted(self.numbers)))

    def owns(self, text: str) -> bool:
        """Whether a text belongs to this split: a quarter of all texts, by their hash, is held out."""
        return (digest(text) % 4 == 3) == (self.split == "held_out")

    def part(self, items: Sequence[T]) -> Sequence[T]:
        """The items of a bank that this split may use: every fourth is held out."""
        return [item for i, item in enumerate(items) if (i % 4 == 3) == (self.split == "held_out")]

    def pick(self, items: Sequence[T]) -> T:
        """A choice from ``part``, without making it."""
        return items[self._place(self.random.randrange(self._size(items)))]

    def _size(self, items: Sequence[T]) -> int:
        """Of ``part``."""
        held = len(items) // 4
        return held if self.split == "held_out" else len(items) - held

    def _place(self, k: int) -> int:
        """Where item ``k`` of ``part`` stands in the whole."""
        return 4 * k + 3 if self.split == "held_out" else k + k // 3

    def phrase(self, patterns: Sequence[Sequence[str]]) -> str:
        """A sentence from ``phrased`` patterns: the pattern is anybody's, the sentence this split's."""
        return self.pick(self.any(patterns))

    def several(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` different items of this split's part."""
        return [items[self._place(k)] for k in self.random.sample(range(self._size(items)), count)]

    def owned(self, make: Callable[[], str], without: Container[str] = ()) -> str:
        """What ``make`` gives, drawn until it belongs to this split and is not in ``without``."""
        made = (text for text in iter(make, None) if text not in without)
        return next(text for text in made if self.owns(text) and self.owns(text.lower()))

    def any(self, items: Sequence[T]) -> T:
        """A choice that both splits share: the kind of a problem, not its material."""
        return self.random.choice(items)

    def number(self, low: int, high: int) -> int:
        n = self.random.randint(low, max(low, high))
        self.numbers.add(n)
        return n

    # Generators say what is a number, a name, an event: ``redraw`` changes it. Here these only draw.

    def numeric(self, make: Callable[[], T], holds: Callable[[T], bool] = lambda made: True) -> T:
        """Numbers that ``make`` draws in a way of its own; ``holds`` says which will do."""
        return make()

    def name(self, make: Callable[[], str]) -> str:
        """A name that ``make`` draws."""
        return make()

    def event(self, choose: Callable[[], U], happen: Callable[[U], T]) -> T:
        """What ``happen`` makes of a choice is complete in itself: events in another order make a task, too."""
        return happen(choose())

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in an order that means nothing."""
        shuffled = list(items)
        self.random.shuffle(shuffled)
        return shuffled

    def draft(self) -> None:
        """A task begins here; what was drawn for the draft before it is thrown away."""
        self.numbers.clear()

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability


def digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def phrased(*patterns: str) -> tuple[tuple[str, ...], ...]:
    """For each pattern, the sentences that its ``[one|another]`` alternatives make and no pattern before it, for ``Draw.phrase``.

    Ordered by hash, but so that what is held out is made of words that training has: only their combination is new. Raises
    ``ValueError`` for a pattern of which a quarter cannot be held out in this way.
    """
    made = list(map(sorted, distinct(map(expanded, patterns))))
    left = Counter(word for sentences in made for sentence in sentences for word in sentence.split())
    return tuple(shared_out(sentences, left) for sentences in made)


def distinct(banks: Iterable[Iterable[T]]) -> Iterator[set[T]]:
    seen: set[T] = set()
    for bank in banks:
        yield set(bank) - seen
        seen.update(bank)


def shared_out(sentences: list[str], left: Counter[str]) -> tuple[str, ...]:
    """Every fourth sentence is one whose words training keeps; ``left`` counts what it has, and is brought up to date."""
    train = sorted(sentences, key=digest)
    held_out: list[str] = []
    for sentence in train.copy():
        words = Counter(sentence.split())
        if len(held_out) < len(sentences) // 4 and all(left[word] > count for word, count in words.items()):
            left -= words
            train.remove(sentence)
            held_out.append(sentence)
    if not held_out or len(held_out) < len(sentences) // 4:
        raise ValueError(f"a quarter of these cannot be held out without a word that training lacks: {sentences[:8]}")
    for i, sentence in enumerate(held_out):
        train.insert(4 * i + 3, sentence)
    return tuple(train)


def apart(patterns: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """``phrased`` patterns without the held-out sentences that ``others`` train on: what one trains on, none holds out.

    Of what is trained on, as much stays as leaves a quarter held out; a pattern that holds nothing out any more goes.
    """
    trained = {sentence for bank in others for i, sentence in enumerate(bank) if i % 4 != 3}
    kept = []
    for bank in patterns:
        held_out = [sentence for sentence in bank[3::4] if sentence not in trained]
        train = [sentence for i, sentence in enumerate(bank) if i % 4 != 3][: 3 * len(held_out) + 3]
        for i, sentence in enumerate(held_out):
            train.insert(4 * i + 3, sentence)
        kept += [tuple(train)] if held_out else []
    return tuple(kept)


def expanded(pattern: str) -> list[str]:
    parts = re.split(r"\[(.*?)\]", pattern)
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return [" ".join("".join(chosen).split()).replace(" ?", "?") for chosen in itertools.product(*choices)]


def direct(thought: str, text: str, answer: str | None = None) -> Step:
    """A last step: the answer in words, then the line that a checker reads."""
    return Step(thought=thought, text=text if answer is None else f"{text}\n\nAnswer: {answer}")


def call(thought: str, name: str, argument: tuple[str, str], result: str) -> Step:
    """A step with one call of a one-argument tool."""
    return Step(thought=thought, calls=((name, dict([argument])),), results=(result,))
