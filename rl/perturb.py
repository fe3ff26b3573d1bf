"""Versions of a question that a memorised answer does not fit: other numbers, other names, another order.

A generated task is drawn again by its generator (``rl.tasks.redraw``). Of a question that somebody wrote only the text
is known: its people can be renamed, and its choices be put in another order. Its numbers stay, because nobody could say
what the answer would then be.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase

from agent.errors import PonderError
from rl.tasks.redraw import Change
from rl.tasks.suite import FAMILIES
from rl.tasks.suite import perturbed as redrawn
from rl.tasks.task import Task, digest
from rl.tasks.words import words

ORIGINAL = "original"
KINDS: dict[Change, str] = {"numbers": "with other numbers", "names": "with other names", "order": "in another order"}
# First names that are no other word, place or month, by the pronoun that people expect, so that a text still fits.
MEN = words("""Adam Alan Albert Andrew Anthony Arthur Ben Benjamin Bernard Bob Bobby Brandon Brian Carlos Daniel Danny
David Dennis Diego Donald Edward Eric Ethan Fred Gary George Greg Harold Henry Howard Ivan Jake Jason Jeff Jeremy
Jerry Jim Jimmy Joe John Johnny Jonathan Jose Joseph Josh Joshua Karl Ken Kenneth Kevin Kyle Larry Leo Leon Luis Luke
Marcus Mario Matt Michael Mike Miguel Nathan Noah Oliver Omar Oscar Patrick Paul Peter Philip Ralph Ricardo Richard
Robert Roger Ronald Ryan Samuel Scott Sean Simon Stephen Steve Steven Ted Theo Tim Timothy Tom Tommy Tony Trevor
Victor Walter William""")
WOMEN = words("""Abigail Alice Alison Allison Amanda Amelia Amy Andrea Angela Anita Anna Anne Audrey Barbara Becky
Bella Betty Brenda Carla Carol Caroline Carrie Catherine Cathy Christina Christine Cindy Clara Claire Courtney Cynthia
Danielle Deborah Debbie Denise Diane Donna Dorothy Elena Elizabeth Ella Ellen Emily Emma Erica Erin Eva Evelyn Fiona
Gina Hannah Helen Jane Janet Janice Jenna Jennifer Jenny Jessica Jill Joanna Judy Julia Julie Karen Kate Katherine
Kathy Katie Kayla Laura Lauren Linda Lisa Lori Lucia Lucy Maggie Maria Marie Marissa Martha Mary Megan Melanie Melissa
Mia Michelle Mindy Molly Monica Nancy Naomi Natalia Natalie Natasha Nicole Nina Nora Olivia Pamela Patricia Paula
Rachel Rebecca Rosa Ruth Sally Samantha Sandra Sara Sarah Sharon Sheila Sophia Sophie Stephanie Susan Tara Teresa
Tiffany Tina Valerie Vanessa Wendy Yolanda Zoe""")
BANKS = {name: bank for bank in (MEN, WOMEN) for name in bank}
_LETTERS = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"(?<![\w-])[^\W\d_]+(?![\w-])")
# A title, or any capitalised word that does not begin its sentence.
_TITLES = "King|Queen|Prince|Princess|Emperor|President|Pope|Saint|St\\.|Sir|Lord|Lady|Lake|Mount|Port|Fort"
_BEFORE = re.compile(rf"(?:(?<![.!?:\"\n]) [A-Z][\w.]*|\b(?:{_TITLES})) $")
_AFTER = re.compile(r" (?:the )?[A-Z]")
# What a question asks about a name itself, where another one would have another answer.
_OF_SPELLING = re.compile(
    r"\b(?:letters?|spell\w*|spelt|vowels?|consonants?|syllables?|alphabet\w*|anagrams?|palindromes?|backwards?|"
    r"revers\w*|initials?|rhym\w*|names?|nicknames?|translat\w*|in (?:English|French|German|Spanish|Italian|Latin))\b",
    re.IGNORECASE,
)
# What a choice says of the others by their place.
_OF_OTHERS = re.compile(r"(?i:\b(?:above|below|(?:all|both|either|neither|none) of)\b)|\b[A-Z] (?:and|or|nor) [A-Z]\b")


class CannotPerturb(PonderError):
    """A suite has no question of which there is such a version."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Written:
    """A question that somebody wrote. Where it has choices, the gold answer is a letter."""

    question: str
    gold: str
    choices: tuple[str, ...] = ()


def renamed(written: Written) -> Written | None:
    """With other people; None where nobody is named who could be another, or the answer may depend on the name."""
    text = "\n".join((written.question, *written.choices))
    names = renaming(text)
    if not names or _OF_SPELLING.search(text):
        return None
    choices = tuple(called(choice, names) for choice in written.choices)
    gold = written.gold if choices else called(written.gold, names)
    if mentions(gold, names):  # in another case
        return None
    return Written(called(written.question, names), gold, choices)


def renaming(text: str) -> dict[str, str]:
    """For each person in a text another name that is not in it. Who has a surname or title may be known, and stays."""
    found = [match for match in _WORD.finditer(text) if match[0] in BANKS]
    named = {m[0] for m in found if _AFTER.match(text, m.end()) or _BEFORE.search(text, 0, m.start())}
    people = [name for name in dict.fromkeys(match[0] for match in found) if name not in named]
    generator, taken = random.Random(digest(text)), set(_WORD.findall(text))
    others: dict[str, str] = {}
    for name in people:
        others[name] = generator.choice([other for other in BANKS[name] if other not in taken])
        taken.add(others[name])
    return others


def called(text: str, names: Mapping[str, str]) -> str:
    """The text with whole words replaced."""
    return _WORD.sub(lambda match: names.get(match[0], match[0]), text)


def mentions(text: str, names: Iterable[str]) -> bool:
    """Whether one of the names is in the text, in any case."""
    found = set(_LETTERS.findall(text.casefold()))
    return any(name.casefold() in found for name in names)


def reordered(written: Written) -> Written | None:
    """With its choices in another order, the right one elsewhere; None where there are none or they depend on it."""
    choices, right = written.choices, ascii_uppercase.find(written.gold) if written.gold else -1
    if not 0 <= right < len(choices) or len(choices) < 2 or any(map(_OF_OTHERS.search, choices)):
        return None
    generator = random.Random(digest(written.question))
    order = list(range(len(choices)))
    while order[right] == right:
        generator.shuffle(order)
    return replace(written, gold=ascii_uppercase[order.index(right)], choices=tuple(choices[i] for i in order))


def perturbed(task: Task, way: Change) -> Task | None:
    """The task in another version, with that in its id; None where there is none."""
    if task.family in FAMILIES:
        return redrawn(task, way)
    choices: Sequence[str] = task.metadata.get("choices", ())  # type: ignore[assignment] - a suite of choices has them
    text = str(task.metadata.get("as_published", task.question))  # without its choices
    change = {"names": renamed, "order": reordered}.get(way)
    if change is None or {"tests", "program"} & task.metadata.keys():  # which call things by their names
        return None
    before = Written(text, task.gold, tuple(choices))
    after = change(before)
    if after is None or shown(before) not in task.question:
        return None
    if way == "names" and mentions(beside(task), renaming("\n".join((text, *choices)))):
        return None  # what is looked up or checked still calls them by the old ones
    metadata = task.metadata | ({"choices": after.choices, "as_published": after.question} if choices else {})
    question = task.question.replace(shown(before), shown(after))
    return replace(task, task_id=f"{task.task_id}~{way}", question=question, gold=after.gold, metadata=metadata)


def beside(task: Task) -> str:
    """All that a task holds besides its question and choices."""
    others = {key: value for key, value in task.metadata.items() if key not in ("choices", "as_published")}
    return re.sub(r"\\[a-z]", " ", f"{others} {task.documents}")  # of a new line, the letter n would begin a word


def shown(written: Written) -> str:
    """As suites of choices show it."""
    listed = "\n".join(f"{letter}) {each}" for letter, each in zip(ascii_uppercase, written.choices, strict=False))
    return f"{written.question}\n\n{listed}" if listed else written.question


def versions(name: str, tasks: Iterable[Task], ways: Sequence[Change], wanted: int) -> dict[str, list[Task]]:
    """The first ``wanted`` tasks that have a version in each of the ways, as they are and in each.

    Raises ``CannotPerturb`` where there are none.
    """
    found: dict[str, list[Task]] = {ORIGINAL: []} | {way: [] for way in ways}
    had: set[str] = set()
    for task in tasks:
        made: dict[str, Task] = {way: other for way in ways if (other := perturbed(task, way))}
        had.update(made)
        if len(made) == len(ways):
            found[ORIGINAL].append(task)
            for way, other in made.items():
                found[way].append(other)
        if len(found[ORIGINAL]) == wanted:
            break
    if not found[ORIGINAL]:
        kind = next((KINDS[way] for way in ways if way not in had), "in each of these ways")
        raise CannotPerturb(f"No question of {name} has a version {kind}; take another suite or another --perturb.")
    return found
