"""The sentences of arithmetic stories: how they begin, what happens in them, what is asked. Wordings only.

``{N}`` is whom the story is about, ``{M}`` somebody new, ``{P}`` and ``{p}`` the pronoun, ``{o}`` the things, ``{c}`` containers,
``{a}`` and ``{b}`` numbers. ``arithmetic`` puts them together; ``Draw`` decides which split sees which.
"""

from __future__ import annotations

from rl.tasks.task import digest


def combined(verbs: str, forms: str) -> list[str]:
    """Every form with every verb, in an order that does not keep a verb or a form for one split."""
    made = [form.replace("{v}", verb) for form in forms.split("|") for verb in verbs.split("|")]
    return sorted(made, key=digest)


BEGIN_PLAIN = [
    "{N} has {a} {o}.", "{N} starts with {a} {o}.", "There are {a} {o} on {N}'s table.", "{N} owns {a} {o}.",
    "{N} collected {a} {o}.", "{N} bought {a} {o}.", "At first {N} has {a} {o}.", "{N} had {a} {o} at the beginning.",
    "{N} keeps {a} {o} in a cupboard.", "In the morning {N} has {a} {o}.", "{N} found {a} {o}.", "{N}'s shop has {a} {o}.",
]  # fmt: skip
BEGIN_GROUPS = [
    "{N} has {a} {c} with {b} {o} in each.", "{N} has {a} {c} of {o}, and each holds {b}.", "{N} buys {a} {c} of {b} {o} each.",
    "There are {a} {c} in {N}'s room, and there are {b} {o} in every one.", "{N} has {a} {c} with {b} {o} each.",
    "{N} fills {a} {c} with {b} {o} each.", "{N} packed {b} {o} into each of {a} {c}.",
    "{N} owns {a} {c}. Each of them contains {b} {o}.", "{N} has {a} {c} that hold {b} {o} each.",
    "{N} bought {a} {c}, each with {b} {o}.", "Each of {N}'s {a} {c} has {b} {o} in it.", "{N} carries {a} {c} of {b} {o}.",
]  # fmt: skip
BEGIN_TWO_KINDS = [
    "{N} has {a} {x} {o} and {b} {y} {o}.", "There are {a} {x} {o} and {b} {y} {o} in {N}'s bag.",
    "{N} bought {a} {x} {o} and {b} {y} ones.", "{N} owns {a} {x} and {b} {y} {o}.", "{N} picked {a} {x} {o} and {b} {y} {o}.",
    "{N} put {a} {x} {o} and {b} {y} {o} together.", "{N} made {a} {x} {o} and {b} {y} {o}.",
    "{N} found {a} {x} {o} and {b} {y} {o}.",
]  # fmt: skip
GAIN = combined(
    "buys|gets|finds|receives|collects|wins|picks up|earns|makes|bought|got|found|received|collected|won|picked up|made",
    "{P} {v} {a} more.|Then {N} {v} {a} more {o}.|After that {p} {v} another {a}.|Later {p} {v} {a} {o}.|{N} {v} {a} more {o}.|"
    "On Monday {p} {v} {a} more {o}.|{P} also {v} {a} {o}.|Next, {N} {v} another {a} {o}.|{N} then {v} {a} {o} more.|"
    "The next day {p} {v} {a} more.|{P} {v} {a} {o} from {M}.|In the afternoon {N} {v} {a} {o}.",
) + combined(
    "gives|brings|sends|hands|gave|brought|sent|handed",
    "{M} {v} {N} {a} more {o}.|Then {M} {v} {N} {a} {o}.|Later {M} {v} {N} another {a}.|After that {M} {v} {N} {a} {o}.",
)  # fmt: skip
LOSE = combined(
    "gives away|loses|sells|uses|throws away|drops|breaks|spends|donates|gave away|lost|sold|used|threw away|dropped|broke|donated",
    "{P} {v} {a} {o}.|Then {N} {v} {a} {o}.|After that {p} {v} {a} of them.|Later {p} {v} {a} of the {o}.|{N} {v} {a} {o}.|"
    "On the way home {p} {v} {a} {o}.|{P} {v} {a} of them.|{N} then {v} {a}.|On Tuesday {p} {v} {a} {o}.|The next day {N} {v} {a}.|"
    "{P} also {v} {a} {o}.|Next, {N} {v} {a} of the {o}.",
) + combined(
    "gives|sells|hands|lends|sends|gave|sold|handed|lent|sent",
    "{P} {v} {a} of them to {M}.|{N} {v} {a} {o} to {M}.|Then {N} {v} {M} {a} {o}.|Later {p} {v} {M} {a}.",
) + combined(
    "takes|borrows|steals|took|borrowed|stole",
    "{M} {v} {a} of the {o}.|Then {M} {v} {a} {o} from {N}.|{M} {v} {a} of {N}'s {o}.|After that {M} {v} {a}.",
) + combined(
    "are broken|are lost|are missing|fall into the river|were broken|were lost|were stolen|fell down",
    "{a} of the {o} {v}.|Then {a} of them {v}.|{a} {o} {v}.|Later {a} of the {o} {v}.",
)  # fmt: skip
GAIN_GROUPS = [
    "{P} buys {a} {c} of {b} {o} each.", "Then {p} gets {a} {c} with {b} {o} in each.", "{M} gives {N} {a} {c} of {b} {o}.",
    "After that {p} adds {a} {c} with {b} {o} each.", "{P} finds {a} more {c}, each with {b} {o}.",
    "Later {p} buys {a} {c} that hold {b} {o} each.", "{N} receives {a} {c} of {b} {o} each.", "{P} fills {a} more {c} with {b} {o} each.",
]  # fmt: skip
LOSE_GROUPS = [
    "{P} gives {b} {o} to each of {a} friends.", "{P} sells {a} {c} of {b} {o} each.", "Then {p} hands {b} {o} to each of {a} children.",
    "{a} friends take {b} {o} each.", "After that {p} gives away {a} {c} with {b} {o} each.", "{P} gives each of {a} neighbours {b} {o}.",
    "For {a} days {N} uses {b} {o} a day.", "{P} loses {a} {c} with {b} {o} in each.",
]  # fmt: skip
TIMES = [
    "{M} has {a} times as many {o} as {N}.", "{M} owns {a} times as many.", "{M} has {a} times that number of {o}.",
    "{M} collected {a} times as many {o} as {N}.", "{M} makes {a} times as many {o} as {N} has.", "{M} bought {a} times as many {o}.",
    "{M} has {a} times the number of {o} that {N} has.", "{M} finds {a} times as many {o} as {N}.",
]  # fmt: skip
DOUBLE = [
    "{M} has twice as many {o} as {N}.", "Then {N} doubles the number of {o}.", "{M} has double the number of {o}.",
    "{M} owns twice as many.", "The number of {o} then doubles.", "{M} bought twice as many {o} as {N}.",
    "{P} then doubles what {p} has.", "{M} collected double that.",
]  # fmt: skip
HALF = [
    "{P} gives away half of them.", "Then {p} sells half of the {o}.", "{N} loses half of the {o}.", "Half of the {o} break.",
    "{P} gives half of the {o} to {M}.", "After that {p} uses half of them.", "{M} takes half of {N}'s {o}.", "{N} then sells half.",
]  # fmt: skip
MORE = [
    "{M} has {a} more {o} than {N}.", "{M} owns {a} more than {N}.", "{M} collected {a} more {o} than {N}.", "{M} has {a} {o} more than that.",
    "{M} bought {a} more {o} than {N}.", "{M} found {a} more than {N}.", "{M} makes {a} more {o} than {N} has.", "{M} gets {a} more {o} than {N}.",
]  # fmt: skip
FEWER = [
    "{M} has {a} fewer {o} than {N}.", "{M} owns {a} fewer than {N}.", "{M} collected {a} fewer {o} than {N}.",
    "{M} has {a} {o} fewer than that.", "{M} bought {a} fewer {o} than {N}.", "{M} found {a} fewer than {N}.",
    "{M} has {a} {o} less than {N}.", "{M} gets {a} fewer {o} than {N}.",
]  # fmt: skip
DISTRACTORS = [
    "{M} is {a} years old.", "There are {a} windows in the room.", "The bus to town takes {a} minutes.", "{N} lives at number {a}.",
    "It is {a} degrees outside.", "{M} has {a} cousins.", "The shop closes in {a} minutes.", "{N}'s street has {a} trees.",
    "{M} read {a} pages last night.", "The radio plays {a} songs.", "{N} is {a} years old.", "The school has {a} teachers.",
    "A train passes every {a} minutes.", "{M} ran {a} kilometres yesterday.", "The house was built {a} years ago.", "The dog weighs {a} kilograms.",
]  # fmt: skip
ASK_NOW = [
    "How many {o} does {N} have now?", "How many {o} does {N} have?", "How many {o} are there now?", "How many {o} does {N} have in the end?",
    "How many {o} does {N} have left?", "What is the number of {o} that {N} has?", "Find the number of {o} {N} has now.", "So how many {o} has {N} got?",
    "How many {o} has {N}?", "Can you tell how many {o} {N} has now?", "How many {o} in total does {N} have?", "How many {o} remain with {N}?",
]  # fmt: skip
ASK_SHARE = [
    "{N} shares them equally among {a} friends. How many {o} does each friend get?", "{P} divides them equally among {a} children. How many {o} does each get?",
    "If {p} puts them into {a} equal groups, how many {o} are in each group?", "The {o} are split evenly between {a} people. How many does each person get?",
    "{P} packs them into {a} bags with the same number in each. How many {o} are in one bag?", "How many {o} does each of {a} friends get if {N} shares them equally?",
    "{N} hands them out equally to {a} pupils. How many {o} does each pupil receive?", "{P} spreads them evenly over {a} tables. How many {o} lie on each table?",
]  # fmt: skip
ASK_MONEY = [
    "{N} sells each for {a} dollars. How many dollars does {N} get?", "Each one costs {a} dollars. How many dollars are they worth together?",
    "One of the {o} is worth {a} dollars. How much are all of them worth in dollars?", "If {p} sells all of them at {a} dollars each, how much money does {p} make?",
    "The price of one is {a} dollars. What do they cost in all?", "{N} pays {a} dollars for each. How much does {N} pay in total?",
    "They sell for {a} dollars each. How many dollars does {N} earn?", "At {a} dollars apiece, how much money is that?",
]  # fmt: skip
ASK_TOGETHER = [
    "{M} has {a} {o}. How many {o} do they have together?", "{M} has {a} {o}. How many do they have in all?", "{M} owns {a} {o}. How many {o} do the two have altogether?",
    "{M} has {a}. How many {o} do {N} and {M} have in total?", "If {M} has {a} {o}, how many {o} do they have combined?", "{M} brings {a} {o}. What is the total number of {o}?",
    "{M} found {a} {o}. How many {o} is that altogether?", "How many {o} do they have together if {M} has {a} {o}?",
]  # fmt: skip
ASK_EXPRESSION = [
    "What is {e}?", "Calculate {e}.", "Work out {e}.", "How much is {e}?", "Compute {e}.", "{e} = ?", "Please evaluate {e}.", "What does {e} equal?",
    "{e}", "Tell me the value of {e}.", "Find {e}.", "What do you get for {e}?",
]  # fmt: skip
