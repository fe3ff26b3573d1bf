"""Lookups in a generated encyclopedia: one source, two sources, two sources and a sum, and questions it does not answer.

Tiers: 1 one fact of one article; 2 a fact of the article that another article leads to; 3 the difference between two
articles' numbers (calculator). A tenth of tier 1 asks for what no article says: then the right answer is to say so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.passage import Document
from rl.tasks.task import Draw, Step, Task, call, direct, expanded, phrased
from rl.tasks.units import MONTHS
from rl.tasks.words import COMMON, JOBS, PLACE_ENDINGS, PRODUCTS, REGIONS, invented, person, words

TIERS = range(1, 4)
PASSAGES = 3  # how many a search shows; what the demonstrations are built with
NOT_FOUND = "I did not find that in the documents. The closest passage is [1]."
NOT_INDEXED = "I can't look that up: no documents are indexed."


@dataclass(frozen=True)
class Attribute:
    """One thing that articles of a kind state, and the ways to ask for it."""

    label: str  # what a search query calls it
    noun: str  # "the population of {s}": how a two-source question embeds it
    statements: tuple[tuple[str, ...], ...]  # {s} the subject, {p} its short name, {v} the value
    questions: tuple[tuple[str, ...], ...]


def fact(label: str, noun: str, statements: Sequence[str], questions: Sequence[str], the: str = "") -> Attribute:
    asked = phrased(f"[What is|What's|Tell me|Find] the {noun} of {the}{{s}}[?|]", *questions)
    return Attribute(label, noun, tuple(tuple(expanded(pattern)) for pattern in statements), asked)


TOWN = (
    fact("founded", "founding year",
              ("[It|{s}|The town] was [founded|first settled] in {v}.", "[Its founding year is|The year of its founding is] {v}.", "People founded [it|{s}|the town] in {v}."),
              ("[When|In which year|In what year] was {s} [founded|first settled]?", "[What|Which] year was {s} [founded|first settled][?| in?]", "When did people [found|settle in] {s}[?| first?]")),
    fact("population", "population",
              ("[Its population|The population of {s}] is {v}.", "[It|{s}|The town] has [a population of {v}|{v} inhabitants|{v} people].", "[About|Some] {v} people live [there|in {s}]."),
              ("How many [people|inhabitants] [live in|are in|are there in] {s}?", "How many [people|inhabitants] does {s} [have|count]?", "How [large|big] is the population of {s}[?| today?]")),
    fact("known for", "best known product",
              ("[It|{s}|The town] is [known|famous] for its {v}.", "[Its best known product|The best known product of {s}] is {v}.", "[It|{s}|The town] lives from making {v}."),
              ("What is {s} [known|famous] for[?| today?]", "[Which|What] product is {s} [known|famous] for?", "For [which|what] product is {s} [known|famous]?", "What [does|do people in] {s} [make|live from]?")),
    fact("river", "river",
              ("[It|{s}|The town] lies on the river {v}.", "The river {v} flows through [it|{s}|the town].", "[It|{s}] [stands on the banks of|was built beside] the river {v}."),
              ("[Which|What] river [flows|runs] through {s}?", "On [which|what] river [does {s} lie|is {s}]?", "[Which|What] river [does {s} lie|is {s}] on?")),
)  # fmt: skip
PERSON = (
    fact("born year", "birth year",
              ("[{p}|{s}] was born in [the year |]{v}.", "[{p}|{s}] came into the world in {v}.", "The year of birth is {v}."),
              ("[When|In which year|In what year] was {s} born[?| exactly?]", "[What|Which] year was {s} born[?| in?]", "When [did {s} come into the world|was {s}'s birth][?| exactly?]")),
    fact("born in", "home town",
              ("[{p}|{s}] [grew up|was raised|spent the early years] in {v}.", "The family home was in {v}."),
              ("[Where|In which town|In what town] did {s} grow up[?| as a child?]", "[Which|What] town did {s} grow up in[?| as a child?]", "[Where|In which town] was {s} [raised|brought up]?")),
    fact("work", "profession",
              ("[{p}|{s}] [worked as|became|was] [a|a well known] {v}.", "By profession {p} was a {v}.", "[{p}|{s}] earned a living as a {v}."),
              ("What did {s} [work as|do for a living][?| then?| once?]", "What was the [profession|job] of {s}[?| then?]", "[Which|What] [profession|job] did {s} have[?| then?| once?]", "What was {s}'s [profession|job][?| then?]")),
    fact("died", "year of death",
              ("[{p}|{s}] died in [the year |]{v}.", "The life of {p} ended in {v}."),
              ("[When|In which year|In what year] did {s} die[?| exactly?]", "[What|Which] year did {s} die[?| in?]")),
)  # fmt: skip
BRIDGE = (
    fact("length", "length",
              ("[It|The {s}] is {v} metres long.", "[Its length is|It measures|It spans] {v} metres."),
              ("How [long|many metres long] is the {s}[?| in metres?]", "How many metres [does the {s} span|long is the {s}][?| in all?| exactly?]"), the="the "),
    fact("opened", "opening year",
              ("[It|The {s}] [opened|was opened|was finished] in {v}.", "Traffic has used [it|the {s}] since {v}."),
              ("[When|In which year|In what year] did the {s} open[?| exactly?]", "[What|Which] year [was the {s} opened|did the {s} open]?", "When was the {s} [opened|finished][?| exactly?]"), the="the "),
    fact("designer", "designer",
              ("[It|The {s}] was designed by {v}.", "[Its designer was|The plans were drawn by] {v}.", "{v} designed [it|the {s}]."),
              ("Who [designed|drew the plans of|planned] the {s}[?| then?]", "Who was the [designer|architect] of the {s}[?| then?]", "By whom was the {s} [designed|planned][?| then?]"), the="the "),
)  # fmt: skip
HOUSE = (
    fact("opened", "opening year",
              ("[It|{s}] [opened|was opened|was finished] in {v}.", "Its doors opened in {v}."),
              ("[When|In which year|In what year] did {s} open[?| exactly?]", "[What|Which] year [was {s} opened|did {s} open]?", "When was {s} [opened|finished][?| exactly?]")),
    fact("founder", "founder",
              ("[It|{s}] was founded by {v}.", "[Its founder was|It was given to the town by] {v}.", "{v} founded [it|{s}]."),
              ("Who [founded|was the founder of|paid for] {s}[?| then?]", "By whom was {s} [founded|paid for][?| then?]")),
    fact("workers", "number of workers",
              ("[It|{s}] has {v} [workers|employees].", "[It|{s}] has a staff of {v} people.", "{v} people work [there|in it]."),
              ("How many [people|men and women] work [at|in|for] {s}?", "How many [workers|employees] does {s} have[?| today?]", "How [large|big] is the staff of {s}[?| today?]")),
)  # fmt: skip
# What people keep notes of: the subject stands in the text, the title may be any.
PROJECT = (
    fact("lead", "lead",
              ("{v} [leads|runs|is in charge of] [the project|project] {s}.", "[{s}|The project {s}|It] is [led|run|managed] by {v}.", "The [lead|head|manager] of [{s}|the project] is {v}.", "[Ask|Write to] {v}, who leads [it|{s}]."),
              ("Who [leads|runs|manages|is in charge of] [the project|project|the|] {s}[?| now?]", "By whom is [the project|project|] {s} [led|run|managed][?| now?]", "Who is the [lead|head|manager] of [the project|project|] {s}[?| now?]")),
    fact("deadline", "deadline",
              ("[It|{s}|The project {s}] must be [finished|done|ready] by {v}.", "[The deadline|The deadline for {s}|Its last day] is {v}.", "[{s}|The project] [ends|is due] on {v}."),
              ("When must [the project|project|] {s} [be ready|be finished|end]?", "When is [the project|project|] {s} due[?| to be ready?| to end?]", "[When|On which day] [does|will] [the project|project|] {s} end?", "[When is the deadline|What is the last day] [for|of] [the project|project|] {s}[?| please?]")),
    fact("budget", "budget",
              ("[Its budget|The budget of {s}|The budget] is {v} [dollars|euros].", "[It|{s}] [costs|may cost|has] {v} [dollars|euros].", "We [spend|have] {v} [dollars|euros] [on|for] [it|{s}]."),
              ("How much [does|may] [the project|project|] {s} cost?", "How much [money |]do we [spend|have] [on|for] [the project|project|] {s}[?| now?]", "How [large|big|high] is the budget [of|for] [the project|project|] {s}?")),
    fact("room", "room",
              ("[It|{s}|The team] [meets|sits|works] in room {v}.", "[Its room|The room of {s}] is {v}.", "You find [it|the team|{s}] in room {v}."),
              ("[Where|In which room] does [the project|project|the team of|] {s} [meet|sit|work]?", "Which room [does|is used by] [the project|project|] {s}[?| use?| now?]")),
)  # fmt: skip
BUILDING = (
    fact("built", "year of building",
              ("[It|The {s}] was [built|put up|completed] in {v}.", "[They|People] built [it|the {s}] in {v}.", "[It|The {s}] [dates from|is from|goes back to] {v}."),
              ("[When|In which year|In what year] was the {s} [built|put up|completed]?", "[What|Which] year was the {s} [built|completed][?| in?]", "How old is the {s}: from [which|what] year[?| is it?]", "When did [they|people] build the {s}[?| first?]"), the="the "),
    fact("height", "height",
              ("[It|The {s}] is {v} [metres|feet] [high|tall].", "[Its height|The height of the {s}] is {v} [metres|feet].", "[It|The {s}] rises {v} [metres|feet]."),
              ("How [high|tall] is the {s}[?| in all?| exactly?]", "How many [metres|feet] [high|tall] is the {s}[?| in all?| exactly?]"), the="the "),
    fact("keeper", "keeper",
              ("{v} [keeps|looks after|cares for] [it|the {s}].", "[Its keeper|The keeper of the {s}] is {v}.", "[It|The {s}] is [kept|looked after] by {v}."),
              ("Who [keeps|looks after|cares for] the {s}[?| now?| today?]", "By whom is the {s} [kept|looked after][?| now?| today?]"), the="the "),
    fact("owner", "owner",
              ("{v} [owns|bought] [it|the {s}].", "[It|The {s}] [belongs to|is owned by|was bought by] {v}.", "[Its owner|The owner of the {s}] is {v}."),
              ("Who [owns|bought|is the owner of] the {s}[?| now?| today?]", "[To whom|To which person] does the {s} belong[?| now?| today?]", "[By whom|By which person] was the {s} bought[?| once?]"), the="the "),
)  # fmt: skip
# What an article of any kind may state besides: the {w} is any word, so that what is asked for has to be read, not known.
DETAIL = fact("{w}", "{w}",
              ("[Its|The] {w} is {v}.", "[It|{s}] has the {w} {v}.", "[For its|As] {w} it has {v}.", "{v} is [its|the] {w}."),
              ("[Which|What] {w} does {s} have[?| today?]", "[Look up|Give me|I need|I want to know] the {w} of {s}[.|]"))  # fmt: skip
KINDS = {"town": TOWN, "person": PERSON, "bridge": BRIDGE, "house": HOUSE, "project": PROJECT, "building": BUILDING}
THE = ("bridge", "building")  # kinds that take an article in a sentence
NOTES = ("project", "building")  # kinds that stand under any title
OPENINGS = {
    "town": [*expanded("{s} is [a|a small|an old] town in {r}."), "The town of {s} lies in {r}."],
    "person": expanded("{s} [lived in|was a citizen of|came from|is remembered in] {r}."),
    "bridge": expanded("The {s} [is a bridge|stands|is a stone bridge|is found] in {r}."),
    "house": expanded("{s} [is the house of that name|is well known|stands|is found] in {r}."),
    "project": expanded("[The project {s}|{s}|Project {s}] [began|started|is active|takes place] in {r}."),
    "building": expanded("The {s} [stands|is found|is|can be seen] in {r}."),
}
HOUSES = words("Library Mill Observatory Museum Theatre School Brewery Hall Hospital Factory")
# What an article says besides: true of nothing that is asked, with years and numbers of its own.
ASIDES = [
    *expanded("A [market|fair] is held [on the square |]every [Monday|Thursday|spring|second Sunday of June]."), *expanded("The [town hall|church|old tower|gate] was built in {y}[ of red stone|]."),
    *expanded("The [railway|road|telegraph] [reached|came to] [it|the place] in {y}."), *expanded("A [train|bus] to {t} takes {n} minutes."), *expanded("The [tower|wall|gate] is {n} metres [high|wide]."),
    *expanded("It was [closed|repaired|painted] in {y}[ for a year|]."), *expanded("It [cost|needed] {n} thousand crowns."), *expanded("A [ticket|map|guide] costs {n} crowns."),
    *expanded("A book about [it|this] was printed in {y}."), *expanded("A street in {t} bears [the|this] name."), *expanded("At night it is lit by {n} lamps."),
    *expanded("[The|Its] {w} [holds|has|keeps] {n} [{x} parts|old books|rooms]."), *expanded("[Every|The] {w} [is|was] [kept in|next to] the {x}."),
    *expanded("[In {y}|Later] the {w} was [sold|moved|renewed]."), *expanded("[Visitors|Guests|Children] like the {w}[ and the {x}|]."),
    *expanded("[Nobody|Everybody] [knows|likes] the {x} {w}."), *expanded("{t} has [a|another] {w} of {n} [metres|tons|years]."),
]  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One article before it is written."""

    kind: str
    name: str
    values: dict[str, str]  # label -> value
    attributes: tuple[Attribute, ...]  # what the article states
    document: Document


TWO_SOURCES = phrased(
    "[What is|What's|Find|Tell me] the {n} of the town [where|in which] {s} [grew up|was raised][?|]", "{s} [grew up|was raised] in a town. [What is|Find] the {n} of that town[?|]",
    "[Take|Find] the town [where|in which] {s} [grew up|was raised]: what is its {n}?", "[What is|What's|Find|Tell me] the {n} of [the home town of {s}|{s}'s home town][?|]",
    "I [want|need] to know the {n} of the town {s} [comes from|grew up in].", "[Which|What] {n} belongs to the town [where|in which] {s} [grew up|was raised]?",
)  # fmt: skip
DESIGNERS = phrased(
    "[What is|What's|Find|Tell me] the {n} of the [person who designed|designer of|architect of] the {s}[?|]", "Somebody [designed|planned] the {s}. What is the {n} of that [person|designer]?",
    "[Take|Find] the [designer|architect] of the {s}: what is [the|this person's] {n}?", "[What is|What's|Find|Tell me] the {n} of the {s}'s [designer|architect][?|]",
    "I [want|need] to know the {n} of whoever [designed|planned] the {s}.", "[Which|What] {n} belongs to the [designer|architect] of the {s}?",
)  # fmt: skip
DIFFERENCES = phrased(
    "How many more [people|inhabitants] [live in|are there in] {a} than in {b}?", "[What is|Find|Tell me] the difference between the populations of {a} and {b}[?|]",
    "By how many [people|inhabitants] is {a} [larger|bigger] than {b}?", "How much [larger|bigger] is the population of {a} than [that|the population] of {b}?",
    "{a} has more [inhabitants|people] than {b}. How many more[?| is it?]", "Compare {a} and {b}: how many more [people|inhabitants] [live in|are in] {a}?",
    "How many [people|inhabitants] more than {b} does {a} [have|count]?", "[Subtract|Take] the population of {b} from [that|the population] of {a}[.|]",
)  # fmt: skip
UNKNOWN = [
    "How do I {w} the {x}?", "What does the {w} say about the {x}?", "Why is the {w} {x}?", "Where can I find the {w} for the {x}?",
    "Who is responsible for the {w} {x}?", "What happens when the {w} is {x}?", "Explain the {w} and the {x} to me.", "When do we change the {w} {x}?",
    "Which {w} do we use with the {x}?", "Is there a {w} for the {x}?", "What is the {w} of the {x}?", "How many {w} parts does the {x} have?",
    "Can I use the {w} without the {x}?", "What should I do about the {w} {x}?", "How long does the {w} {x} take?", "What do the documents say about {w} {x}?",
    "Who invented the {w}?", "Who painted the {w} {x}?", "How does a {w} work?", "Why is the {w} so {x}?",
    "Tell me about the history of the {w}.", "What are the rules of {w}?", "What is the difference between a {w} and a {x}?", "Explain how a {w} is made.",
    "Who wrote the {w}?", "What is a {w}?", "Where does the {w} come from?", "Where is the nearest {w}?",
    "Why does the {w} look like a {x}?", "What does {w} mean?", "Do we have a {w} {x}?", "Which {w} is the best {x}?",
]  # fmt: skip


def generate(draw: Draw, tier: int, task_id: str) -> Task:
    if draw.chance(0.06):
        return without_documents(draw, tier, task_id)
    if tier == 1:
        return unanswerable(draw, tier, task_id) if draw.chance(0.1) else one_source(draw, tier, task_id)
    return two_sources(draw, tier, task_id) if tier == 2 else difference(draw, tier, task_id)


def one_source(draw: Draw, tier: int, task_id: str) -> Task:
    entry = entry_of(draw, draw.any(list(KINDS)))
    attribute = draw.any(entry.attributes)
    others = neighbours(draw, entry.kind, 5)
    found = found_passages(draw, entry, others)
    at = found.index(entry.document) + 1
    value = entry.values[attribute.label]
    question = draw.phrase(attribute.questions).format(s=entry.name)
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
    attribute = draw.any(second.attributes)
    question = draw.phrase(wordings).format(n=attribute.noun, s=first.name)
    first_others, second_others = neighbours(draw, first_kind, 3), neighbours(draw, second_kind, 3)
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
    others = neighbours(draw, "town", 4)
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
    question = draw.phrase(DIFFERENCES).format(a=a, b=b)
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
    wording = draw.pick(UNKNOWN)
    question = wording.format(w=first, x=second)
    if draw.chance(0.5):
        name = name_of(draw, "town")
        question = draw.phrase(draw.any(TOWN).questions).format(s=name)
        query = name
    else:
        query = f"{first} {second}" if "{x}" in wording else first
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
    question = draw.phrase(draw.any(KINDS[entry.kind]).questions).format(s=entry.name)
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
    detail = draw.pick(COMMON)
    attributes = (*KINDS[kind], named(DETAIL, detail))
    values = {known.label: value_of(draw, known.label) for known in attributes} | (fixed or {})
    facts = [
        draw.any(draw.any(known.statements)).format(s=name, v=values[known.label], p=name.split()[0])
        for known in attributes
    ]
    for _ in range(draw.any([0, 0, 1, 2, 3, 7])):
        year, n, town = draw.random.randint(1100, 1990), draw.random.randint(2, 90), name_of(draw, "town")
        w, x = draw.several(COMMON, 2)
        facts.append(draw.any(ASIDES).format(y=year, n=n, t=town, w=w, x=x))
    facts = draw.shuffled(facts)
    text = " ".join([draw.any(OPENINGS[kind]).format(s=name, r=draw.any(REGIONS)), *facts])
    title = " ".join(draw.several(COMMON, 2)).title() if kind in NOTES and draw.chance(0.5) else name
    return Entry(kind, name, values, attributes, article(draw, title, re.sub(r"\ba (?=[aeiou])", "an ", text)))


def named(attribute: Attribute, word: str) -> Attribute:
    """``DETAIL`` with its word filled in."""

    def fill(banks: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(wording.replace("{w}", word) for wording in bank) for bank in banks)

    return Attribute(word, word, fill(attribute.statements), fill(attribute.questions))


def neighbours(draw: Draw, kind: str, count: int) -> list[Entry]:
    """Other articles: as often of the same kind as of any."""
    return [entry_of(draw, kind if draw.chance(0.5) else draw.any(list(KINDS))) for _ in range(count)]


def article(draw: Draw, title: str, text: str) -> Document:
    """As plain text, or as Markdown that begins with its title."""
    return Document(title, f"generated/{title}", f"# {title}\n\n{text}" if draw.chance(0.5) else text)


def name_of(draw: Draw, kind: str) -> str:
    return draw.name(lambda: any_name(draw, kind))


def any_name(draw: Draw, kind: str) -> str:
    if kind == "person":
        return f"{person(draw)} {invented(draw, 1, 3).capitalize()}"
    town = draw.owned(lambda: invented(draw, 1, 2).capitalize() + draw.any(PLACE_ENDINGS))
    if kind == "town":
        return town
    if kind == "building":
        return f"{draw.pick(COMMON)} of {town}" if draw.chance(0.3) else draw.pick(COMMON)
    place = town if draw.chance(0.5) else draw.pick(COMMON).capitalize()
    if kind == "project":
        return place
    return f"{place} Bridge" if kind == "bridge" else f"{place} {draw.any(HOUSES)}"


def value_of(draw: Draw, label: str) -> str:
    if label in ("founded", "born year", "died", "opened", "built"):
        return str(draw.number(1100, 1990))
    if label == "population":
        return f"{draw.number(200, draw.any([999, 9_999, 90_000])):,}"
    if label in ("length", "workers", "height", "room"):
        return str(draw.number(20, 900))
    if label == "known for":
        return draw.any(PRODUCTS)
    if label == "work":
        return draw.any(JOBS)
    if label == "river":
        return draw.name(lambda: invented(draw, 1, 2).capitalize())
    if label == "budget":
        return f"{50 * draw.number(2, 900):,}"
    if label == "deadline":
        day, month = draw.random.randint(1, 28), draw.any(MONTHS)
        return draw.any([f"{day} {month}", f"{month} {day}", f"{day} {month} {draw.number(1990, 2035)}"])
    if label in ("born in", "designer", "founder", "lead", "keeper", "owner"):
        return name_of(draw, "town" if label == "born in" else "person")
    return draw.any([str(draw.number(2, 3000)), draw.pick(COMMON), name_of(draw, "person"), name_of(draw, "town")])


def sentence(entry: Entry, attribute: Attribute) -> str:
    """The answer in words; the same for every wording, so that the number is what has to be found."""
    subject = f"the {entry.name}" if entry.kind in THE else entry.name
    return f"The {attribute.noun} of {subject} is {entry.values[attribute.label]}"


def number_in(entry: Entry) -> int:
    return int(entry.values["population"].replace(",", ""))


def found_passages(draw: Draw, entry: Entry, others: list[Entry]) -> list[Document]:
    """What a search would show: the article asked for, often first, among others."""
    found = [other.document for other in others[: PASSAGES - 1]]
    found.insert(0 if draw.chance(0.4) else draw.random.randrange(PASSAGES), entry.document)
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
    return article(draw, " ".join(draw.several(COMMON, 2)).title(), " ".join(lines))
