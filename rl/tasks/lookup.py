"""Lookups in a generated encyclopedia: one source, two sources, two sources and a sum, and questions it does not answer.

Tiers: 1 one fact of one article; 2 a fact of the article that another article leads to; 3 the difference between two
articles' numbers (calculator). A tenth of tier 1 asks for what no article says: then the right answer is to say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.passage import Document
from rl.tasks.task import Draw, Step, Task, call, direct
from rl.tasks.words import COMMON, JOBS, PLACE_ENDINGS, PRODUCTS, REGIONS, invented, person

TIERS = range(1, 4)
PASSAGES = 3  # how many a search shows; what the demonstrations are built with
NOT_FOUND = "I did not find that in the documents. The closest passage is [1]."
NOT_INDEXED = "I can't look that up: no documents are indexed."


@dataclass(frozen=True)
class Attribute:
    """One thing that articles of a kind state, and the ways to ask for it."""

    label: str  # what a search query calls it
    statements: tuple[str, ...]  # {s} the subject, {v} the value
    questions: tuple[str, ...]
    noun: str  # "the population of {s}": how a two-source question embeds it


TOWN = (
    Attribute("founded", ("It was founded in {v}.", "It was first settled in {v}.", "Its founding year is {v}.", "People founded it in {v}."),
              ("When was {s} founded?", "In which year was {s} founded?", "What year was {s} founded?", "What is the founding year of {s}?"),
              "founding year"),
    Attribute("population", ("Its population is {v}.", "It has a population of {v}.", "About {v} people live there.", "It has {v} inhabitants."),
              ("What is the population of {s}?", "How many people live in {s}?", "How many inhabitants does {s} have?", "How large is the population of {s}?"),
              "population"),
    Attribute("known for", ("It is known for its {v}.", "The town is famous for {v}.", "Its best known product is {v}.", "It lives from making {v}."),
              ("What is {s} known for?", "What is {s} famous for?", "Which product is {s} known for?", "For which product is {s} famous?"),
              "best known product"),
    Attribute("river", ("It lies on the river {v}.", "The river {v} flows through it.", "It stands on the banks of the {v}.", "It was built beside the river {v}."),
              ("Which river flows through {s}?", "On which river does {s} lie?", "What is the river of {s}?", "What river is {s} on?"),
              "river"),
)  # fmt: skip
PERSON = (
    Attribute("born year", ("{p} was born in {v}.", "{p} came into the world in {v}.", "The year of birth is {v}.", "{p} was born in the year {v}."),
              ("When was {s} born?", "In which year was {s} born?", "What is the birth year of {s}?", "What year was {s} born?"), "birth year"),
    Attribute("born in", ("{p} grew up in {v}.", "The family home was in {v}.", "{p} spent the early years in {v}.", "{p} was raised in {v}."),
              ("Where did {s} grow up?", "In which town did {s} grow up?", "Which town did {s} grow up in?", "Where was {s} raised?"), "home town"),
    Attribute("work", ("{p} worked as a {v}.", "{p} became a well known {v}.", "By profession {p} was a {v}.", "{p} earned a living as a {v}."),
              ("What did {s} work as?", "What was the profession of {s}?", "What was the job of {s}?", "Which profession did {s} have?"), "profession"),
)  # fmt: skip
BRIDGE = (
    Attribute("length", ("It is {v} metres long.", "Its length is {v} metres.", "It measures {v} metres.", "It spans {v} metres."),
              ("How long is the {s}?", "What is the length of the {s}?", "How many metres long is the {s}?", "How many metres does the {s} span?"), "length"),
    Attribute("opened", ("It opened in {v}.", "It was opened in {v}.", "Traffic has used it since {v}.", "It was finished in {v}."),
              ("When did the {s} open?", "In which year did the {s} open?", "What year was the {s} opened?", "What is the opening year of the {s}?"), "opening year"),
    Attribute("designer", ("It was designed by {v}.", "Its designer was {v}.", "The plans were drawn by {v}.", "{v} designed it."),
              ("Who designed the {s}?", "Who was the designer of the {s}?", "Who drew the plans of the {s}?", "What is the name of the designer of the {s}?"), "designer"),
)  # fmt: skip
KINDS = {"town": TOWN, "person": PERSON, "bridge": BRIDGE}
OPENINGS = {
    "town": (
        "{s} is a town in {r}.",
        "{s} is a small town in {r}.",
        "The town of {s} lies in {r}.",
        "{s} is an old town in {r}.",
    ),
    "person": ("{s} lived in {r}.", "{s} was a citizen of {r}.", "{s} came from {r}.", "{s} is remembered in {r}."),
    "bridge": (
        "The {s} is a bridge in {r}.",
        "The {s} stands in {r}.",
        "The {s} is a stone bridge in {r}.",
        "The {s} is found in {r}.",
    ),
}


@dataclass(frozen=True)
class Entry:
    """One article before it is written."""

    kind: str
    name: str
    values: dict[str, str]  # label -> value
    document: Document


TWO_SOURCES = [
    "What is the {n} of the town where {s} grew up?", "{s} grew up in a town. What is the {n} of that town?",
    "Find the {n} of the town in which {s} was raised.", "Take the town where {s} grew up: what is its {n}?",
    "Tell me the {n} of the home town of {s}.", "What is the {n} of {s}'s home town?",
    "I want to know the {n} of the town {s} comes from.", "Which {n} belongs to the town in which {s} grew up?",
]  # fmt: skip
DESIGNERS = [
    "What is the {n} of the person who designed the {s}?", "Somebody designed the {s}. What is the {n} of that person?",
    "Find the {n} of the designer of the {s}.", "Take the designer of the {s}: what is the {n}?",
    "Tell me the {n} of the designer of the {s}.", "What is the {n} of the {s}'s designer?",
    "I want to know the {n} of whoever designed the {s}.", "Which {n} belongs to the designer of the {s}?",
]  # fmt: skip
DIFFERENCES = [
    "How many more people live in {a} than in {b}?", "What is the difference between the populations of {a} and {b}?",
    "By how many people is {a} larger than {b}?", "How much larger is the population of {a} than that of {b}?",
    "{a} has more inhabitants than {b}. How many more?", "Compare {a} and {b}: how many more people live in {a}?",
    "How many people more than {b} does {a} have?", "Subtract the population of {b} from that of {a}.",
]  # fmt: skip
UNKNOWN = [
    "How do I {w} the {x}?", "What does the {w} say about the {x}?", "Why is the {w} {x}?", "Where can I find the {w} for the {x}?",
    "Who is responsible for the {w} {x}?", "What happens when the {w} is {x}?", "Explain the {w} and the {x} to me.", "When do we change the {w} {x}?",
    "Which {w} do we use with the {x}?", "Is there a {w} for the {x}?", "What is the {w} of the {x}?", "How many {w} parts does the {x} have?",
    "Can I use the {w} without the {x}?", "What should I do about the {w} {x}?", "How long does the {w} {x} take?", "What do the documents say about {w} {x}?",
]  # fmt: skip


def generate(draw: Draw, tier: int, task_id: str) -> Task:
    if draw.chance(0.06):
        return without_documents(draw, tier, task_id)
    if tier == 1:
        return unanswerable(draw, tier, task_id) if draw.chance(0.1) else one_source(draw, tier, task_id)
    return two_sources(draw, tier, task_id) if tier == 2 else difference(draw, tier, task_id)


def one_source(draw: Draw, tier: int, task_id: str) -> Task:
    entry = entry_of(draw, draw.any(list(KINDS)))
    attribute = draw.any(KINDS[entry.kind])
    others = [entry_of(draw, entry.kind) for _ in range(5)]
    found = found_passages(draw, entry, others)
    at = found.index(entry.document) + 1
    value = entry.values[attribute.label]
    question = draw.pick(attribute.questions).format(s=entry.name)
    steps = (
        call(f"I look up {entry.name}.", "search", ("query", f"{entry.name} {attribute.label}"), numbered(found)),
        direct(f"Passage {at}: {attribute.label} {value}.", f"{sentence(entry, attribute)} [{at}]", value),
    )
    return Task(
        task_id,
        "lookup",
        tier,
        question,
        value,
        steps,
        documents(entry, *others),
        metadata={"cites": entry.document.title},
    )


def two_sources(draw: Draw, tier: int, task_id: str) -> Task:
    """A first article names the second; the second holds the answer."""
    wordings, first_kind, link, second_kind = draw.any(
        [(TWO_SOURCES, "person", PERSON[1], "town"), (DESIGNERS, "bridge", BRIDGE[2], "person")]
    )
    second = entry_of(draw, second_kind)
    first = entry_of(draw, first_kind, {link.label: second.name})
    attribute = draw.any(KINDS[second_kind])
    question = draw.pick(wordings).format(n=attribute.noun, s=first.name)
    first_others, second_others = (
        [entry_of(draw, first_kind) for _ in range(3)],
        [entry_of(draw, second_kind) for _ in range(3)],
    )
    found_first, found_second = found_passages(draw, first, first_others), found_passages(draw, second, second_others)
    at_first, at_second = found_first.index(first.document) + 1, found_second.index(second.document) + 1 + PASSAGES
    value = second.values[attribute.label]
    steps = (
        call(f"First I look up {first.name}.", "search", ("query", f"{first.name} {link.label}"), numbered(found_first)),
        call(f"Passage {at_first}: {link.label} {second.name}. I look up {second.name}.", "search",
             ("query", f"{second.name} {attribute.label}"), numbered(found_second, PASSAGES + 1)),
        direct(f"Passage {at_second}: {attribute.label} {value}.",
               f"{sentence(first, link)} [{at_first}] {sentence(second, attribute)} [{at_second}]", value),
    )  # fmt: skip
    metadata: dict[str, object] = {"cites": second.document.title}
    return Task(
        task_id,
        "lookup",
        tier,
        question,
        value,
        steps,
        documents(first, second, *first_others, *second_others),
        metadata=metadata,
    )


def difference(draw: Draw, tier: int, task_id: str) -> Task:
    entries = sorted((entry_of(draw, "town") for _ in range(2)), key=lambda e: number_in(e), reverse=True)
    others = [entry_of(draw, "town") for _ in range(4)]
    found = [found_passages(draw, entry, others[2 * i : 2 * i + 2]) for i, entry in enumerate(entries)]
    at = [found[i].index(entry.document) + 1 + PASSAGES * i for i, entry in enumerate(entries)]
    values = [entry.values["population"] for entry in entries]
    larger, smaller = (number_in(entry) for entry in entries)
    a, b = (entry.name for entry in entries)
    result = str(larger - smaller)
    steps = (
        call(f"I look up {a} first.", "search", ("query", f"{a} population"), numbered(found[0])),
        call(
            f"Passage {at[0]}: population {values[0]}. Now {b}.",
            "search",
            ("query", f"{b} population"),
            numbered(found[1], PASSAGES + 1),
        ),
        call(
            f"Passage {at[1]}: population {values[1]}.", "calculator", ("expression", f"{larger} - {smaller}"), result
        ),
        direct(
            f"The result is {result}.",
            f"{a} has {values[0]} people [{at[0]}] and {b} has {values[1]} [{at[1]}].",
            result,
        ),
    )
    question = draw.pick(DIFFERENCES).format(a=a, b=b)
    return Task(
        task_id,
        "lookup",
        tier,
        question,
        result,
        steps,
        documents(*entries, *others),
        metadata={"cites": entries[0].document.title},
    )


def unanswerable(draw: Draw, tier: int, task_id: str) -> Task:
    """What no document says: the closest passage is named and nothing is invented."""
    first, second = draw.several(COMMON, 2)
    question = draw.pick(UNKNOWN).format(w=first, x=second)
    if draw.chance(0.5):
        name = name_of(draw, "town")
        question = draw.pick(draw.any(TOWN).questions).format(s=name)
        query = name
    else:
        query = f"{first} {second}"
    found = [
        prose(draw) if draw.chance(0.5) else entry_of(draw, draw.any(list(KINDS))).document for _ in range(PASSAGES)
    ]
    steps = (
        call(f"I look up {query}.", "search", ("query", query), numbered(found)),
        Step("No passage says it.", NOT_FOUND),
    )
    return Task(task_id, "lookup", tier, question, "not found", steps, tuple(found), metadata={"says": "did not find"})


def without_documents(draw: Draw, tier: int, task_id: str) -> Task:
    """The search tool is missing because nothing is indexed: the honest answer is to say that."""
    entry = entry_of(draw, draw.any(list(KINDS)))
    question = draw.pick(draw.any(KINDS[entry.kind]).questions).format(s=entry.name)
    steps = (Step("There is no search tool.", NOT_INDEXED),)
    return Task(
        task_id,
        "lookup",
        tier,
        question,
        "declined",
        steps,
        tools=("calculator", "python"),
        metadata={"says": "can't look that up"},
    )


def entry_of(draw: Draw, kind: str, fixed: dict[str, str] | None = None) -> Entry:
    name = name_of(draw, kind)
    values = {attribute.label: value_of(draw, attribute.label) for attribute in KINDS[kind]} | (fixed or {})
    region = draw.any(REGIONS)
    facts = [
        draw.any(attribute.statements).format(s=name, v=values[attribute.label], p=name.split()[0])
        for attribute in KINDS[kind]
    ]
    draw.random.shuffle(facts)
    text = " ".join([draw.any(OPENINGS[kind]).format(s=name, r=region), *facts])
    return Entry(kind, name, values, article(name, text))


def article(title: str, text: str) -> Document:
    return Document(title, f"generated/{title}", text)


def name_of(draw: Draw, kind: str) -> str:
    if kind == "person":
        return f"{person(draw)} {invented(draw, 1, 3).capitalize()}"
    town = draw.owned(lambda: invented(draw, 1, 2).capitalize() + draw.any(PLACE_ENDINGS))
    return town if kind == "town" else f"{town} Bridge"


def value_of(draw: Draw, label: str) -> str:
    if label in ("founded", "born year", "opened"):
        return str(draw.number(1100, 1990))
    if label == "population":
        return f"{draw.number(200, draw.any([999, 9_999, 90_000])):,}"
    if label == "length":
        return str(draw.number(20, 900))
    if label == "known for":
        return draw.any(PRODUCTS)
    if label == "work":
        return draw.any(JOBS)
    return (
        invented(draw, 1, 2).capitalize()
        if label == "river"
        else name_of(draw, "town" if label == "born in" else "person")
    )


def sentence(entry: Entry, attribute: Attribute) -> str:
    """The answer in words; the same for every wording, so that the number is what has to be found."""
    subject = f"the {entry.name}" if entry.kind == "bridge" else entry.name
    return f"The {attribute.noun} of {subject} is {entry.values[attribute.label]}"


def number_in(entry: Entry) -> int:
    return int(entry.values["population"].replace(",", ""))


def found_passages(draw: Draw, entry: Entry, others: list[Entry]) -> list[Document]:
    """What a search would show: the article asked for, usually first, among others of its kind."""
    found = [other.document for other in others[: PASSAGES - 1]]
    found.insert(0 if draw.chance(0.6) else draw.random.randrange(PASSAGES), entry.document)
    return found


def numbered(found: list[Document], first: int = 1) -> str:
    """Passages as the search tool prints them; numbers go on from search to search."""
    return "\n\n".join(f"[{i}] {document.title}\n{document.text}" for i, document in enumerate(found, first))


def documents(*entries: Entry) -> tuple[Document, ...]:
    return tuple(entry.document for entry in entries)


def prose(draw: Draw) -> Document:
    """A document of unrelated words, so that text in no generated style is read calmly."""
    lines = [
        " ".join(draw.several(COMMON, draw.random.randint(5, 12))).capitalize() + "."
        for _ in range(draw.random.randint(1, 4))
    ]
    return article(" ".join(draw.several(COMMON, 2)).title(), " ".join(lines))
