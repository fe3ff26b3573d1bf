"""Which questions of an evaluation stand in training text, and how much of each: ``ponder eval --contamination``.

The measure is that of Brown et al. 2020 ("Language Models are Few-Shot Learners", appendix C): a question overlaps
where 13 of its words in a row, or 8 of a question with fewer than 13, are in the training text, whatever the case and
the punctuation. A question of fewer than 8 words overlaps where all of it does, which for the shortest may be chance.
Training text is read as a stream; what is kept are the questions' own n-grams and which of them were found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from rl.results import Result
from rl.suites.files import EVERY, READERS, SuiteError, Tell, rows
from rl.suites.row import RowError
from rl.tasks.suite import mixture
from rl.tasks.task import Task

LONG, SHORT = 13, 8  # words of an n-gram
PLAIN = (".txt", ".md")
MIXTURE, MIXED = "mixture", 79_200  # the demonstrations of 3,300 steps of 24
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Overlap:
    """What of one question stands in the training text."""

    task_id: str
    text: str
    share: float  # of its n-grams
    where: str  # that the first was found in; "" where none was


class Finder:
    """The n-grams of the evaluated questions, and which of them training text has shown so far."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._texts = {task.task_id: text_of(task) for task in tasks}
        self._grams = {task_id: ngrams(text) for task_id, text in self._texts.items()}
        self._wanted = set(chain.from_iterable(self._grams.values()))
        self._lengths: dict[str, set[int]] = {}  # of n-grams, by their first word
        for gram in self._wanted:
            first, *rest = gram.split(" ")
            self._lengths.setdefault(first, set()).add(1 + len(rest))
        self._found: dict[str, str] = {}  # n-gram: where it was first

    def read(self, text: str, where: str) -> None:
        """A piece of training text; n-grams do not go across pieces."""
        for gram in self._hits(text):
            self._found.setdefault(gram, where)

    def stands_in(self, text: str) -> bool:
        """Whether an n-gram of any of the questions does."""
        return next(self._hits(text), None) is not None

    def _hits(self, text: str) -> Iterator[str]:
        words = words_of(text)
        for start, word in enumerate(words):
            for length in self._lengths.get(word, ()):
                if (gram := " ".join(words[start : start + length])) in self._wanted:
                    yield gram

    def overlaps(self) -> list[Overlap]:
        """Of every question, those first of which most was found."""
        found = [self._overlap(task_id, grams) for task_id, grams in self._grams.items()]
        return sorted(found, key=lambda each: (-each.share, each.task_id))

    def _overlap(self, task_id: str, grams: Sequence[str]) -> Overlap:
        hits = [self._found[gram] for gram in grams if gram in self._found]
        share = len(hits) / len(grams) if grams else 0.0
        return Overlap(task_id, self._texts[task_id], share, hits[0] if hits else "")


def text_of(task: Task) -> str:
    """The question as its data set has it, without what a format adds to ask it."""
    return str(task.metadata.get("as_published", task.question))


def ngrams(text: str) -> list[str]:
    """All runs of so many words as the text's length calls for; none of a text without words."""
    words = words_of(text)
    length = LONG if len(words) >= LONG else min(SHORT, len(words))
    return [" ".join(words[start : start + length]) for start in range(len(words) - length + 1)] if words else []


def words_of(text: str) -> list[str]:
    return _WORD.findall((text if text.isascii() else plain(text)).casefold())


def plain(text: str) -> str:
    """Without what cannot be seen, like soft hyphens, and with each character written in one way (NFKC)."""
    seen = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())


# --- training text ----------------------------------------------------------------------------------------------------


def read_training(data: str, finder: Finder, tell: Tell) -> None:
    """A file or folder, ``mixture`` for what ``ponder train sft`` learns, or ``mixture:1000`` for the first 1000 of it.

    Raises ``SuiteError``.
    """
    name, _, count = data.partition(":")
    if name != MIXTURE:
        read_folder(Path(data).expanduser(), finder, tell)
    elif count == "" or count.isdecimal():
        read_mixture(int(count or MIXED), finder, tell)
    else:
        raise SuiteError(f"{data!r} is no count of demonstrations; write it like mixture:1000.")


def read_folder(place: Path, finder: Finder, tell: Tell) -> None:
    """All JSONL, CSV, Parquet and plain text files under a folder, or one such file. Raises ``SuiteError``."""
    files = sorted(each for each in place.rglob("*") if readable(each)) if place.is_dir() else [place]
    if not files or not readable(files[0]):
        kinds = ", ".join((*READERS, *PLAIN))
        raise SuiteError(f"{place} holds no training text; name a file or folder of {kinds}, or write {MIXTURE}.")
    sizes = [file.stat().st_size for file in files]
    for i, file in enumerate(files):
        for where, text in pieces(file, partial(tell_part, tell, sum(sizes), sum(sizes[:i]), sizes[i])):
            finder.read(text, where)


def tell_part(tell: Tell, all_of_it: int, before: int, part: int, total: int, done: int) -> None:
    tell(all_of_it, before + part * done // max(1, total))


def readable(file: Path) -> bool:
    return file.is_file() and file.suffix in (*READERS, *PLAIN)


def pieces(file: Path, tell: Tell) -> Iterator[tuple[str, str]]:
    """Where each piece of text stands, and the piece."""
    if file.suffix in PLAIN:
        yield from paragraphs(file, tell)
        return
    for number, row in rows(file, tell):
        if isinstance(row, RowError):
            raise SuiteError(f"{file}:{number} {row}; mend it or leave it out.")
        for text in strings(row):
            yield f"{file.name}:{number}", text


def paragraphs(file: Path, tell: Tell) -> Iterator[tuple[str, str]]:
    """Each line with the last words before it, so that an n-gram may go over its end."""
    last: list[str] = []
    size, done = file.stat().st_size, 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text, done = line.decode(errors="replace"), done + len(line)
            yield f"{file.name}:{number}", " ".join([*last, text])
            last = [*last, *words_of(text)][-(LONG - 1) :]
            if number % EVERY == 0:
                tell(size, done)
    tell(size, size)


def strings(value: Any) -> Iterator[str]:
    """Every text in a row, whatever it is in."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(map(strings, value.values()))
    elif isinstance(value, list | tuple):
        yield from chain.from_iterable(map(strings, value))


def read_mixture(tasks: int, finder: Finder, tell: Tell) -> None:
    """The first demonstrations that ``rl.sft`` trains on with seed 0."""
    from rl.sft import FIRST_INDEX

    for index in range(tasks):
        task = mixture(0, FIRST_INDEX + index)
        finder.read(task.question, task.task_id)
        for step in task.demonstration:
            finder.read("\n".join((step.thought, step.text, *step.results)), task.task_id)
        if index % 100 == 0:
            tell(tasks, index)
    tell(tasks, tasks)


# --- what it means ----------------------------------------------------------------------------------------------------


def parted(result: Result, overlaps: Sequence[Overlap]) -> tuple[Result, Result]:
    """The result of the questions with an overlap, and of those without."""
    dirty = {each.task_id for each in overlaps if each.share}
    with_, without = (
        tuple(each for each in result.outcomes if (each.task_id in dirty) == wanted) for wanted in (True, False)
    )
    return replace(result, outcomes=with_), replace(result, outcomes=without)
