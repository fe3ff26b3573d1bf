"""Short arithmetic problems of one or two operations, in the settings that people think up: prices, rates, areas, shares.

``arithmetic`` mixes these into its first two tiers, beside its stories.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rl.tasks.stories import REMARKS
from rl.tasks.task import Draw, phrased
from rl.tasks.words import COMMON, NUMBER_WORDS, PACKS, containers, is_he, person, things

PEOPLE = "children|friends|pupils|people|players|guests|students|workers"


@dataclass(frozen=True)
class Situation:
    """Wordings of one kind of problem and the expression that solves it, in the drawn numbers a, b and c."""

    operations: int
    expression: str
    unit: str
    wordings: tuple[tuple[str, ...], ...]
    high: tuple[int, int, int] = (99, 20, 60)  # the largest a, b and c
    holds: Callable[[int, int, int], bool] = lambda a, b, c: True  # what the numbers must satisfy
    prices: str = ""  # which of a, b and c may be amounts of money with cents


def said(*patterns: str) -> tuple[tuple[str, ...], ...]:
    return phrased(*(pattern.replace("PEOPLE", PEOPLE) for pattern in patterns))


SITUATIONS = [
    Situation(1, "{a} * {b}", " dollars", said(
        "[A|One] {c1} of {o} costs [{a} dollars|${a}]. [How much|What] do {b} {c} cost?",
        "[One|A] [ticket|book|lamp|cake|shirt|meal] costs [{a} dollars|${a}]. [How much is it for|What is the price of|How much do I pay for] {b}[ of them|]?",
        "[{N} buys|{N} bought|I buy|I bought|We need] {b} [books|tickets|lamps|shirts|{o}] [at|for] [${a}|{a} dollars] each. [How much is that|What does that cost|How much was spent] [in all|altogether|in total]?",
        "[{N} earns|{N} gets|I get|I earn|A worker earns] [{a} dollars|${a}] [an hour|a day|a week] [and works {b} of them|for {b} of them]. How much [money |]is that[ in all|]?",
        "[If|When|Suppose] one [ticket|pen|lamp|cake|bottle] [costs|is] [{a} dollars|${a}], [how much are {b}|what do {b} cost|what is the price of {b}]?",
        "How much [money |][does {N} need|do I need|do we pay] for {b} {o} [at|that cost] [{a} dollars|${a}] each?",
        "what [do|would] {b} {c} of {o} cost [if|when] one {c1} is [${a}|{a} dollars]?",
        "[There are|I pay for|{N} invites] {b} [guests|children|friends], and [each meal|each ticket|every seat] costs [${a}|{a} dollars]. [What is the price|How much is it] [in all|altogether|in total]?",
        ), high=(60, 30, 9), prices="a"),
    Situation(1, "{a} * {b}", "", said(
        "A [machine|factory|printer|worker] makes {a} [parts|toys|{o}|pages] [an hour|a day|every minute]. How many does it make in {b} [of them|hours|days|minutes]?",
        "A [car|train|bus|ship] [drives|goes|travels] {a} [kilometres|miles|km] [an hour|every hour]. How far does it [get|go|travel] in {b} hours?",
        "There are {b} [rows|tables|rooms|buses] with {a} [seats|chairs|lamps|{o}] [each|in each]. How many [are there|are there in all|is that]?",
        "[Each of {b} teams has|Each of {b} classes has|{b} groups have] {a} [players|pupils|members][ each|]. How many [players|pupils|members] [are there|is that][ in all|]?",
        "[{N} reads|I read|{N} writes|We read] {a} pages [a day|every day|each night]. How many pages [is that|are that] in {b} [days|nights|of them]?",
        "[A baker bakes|{N} bakes|We make|I bake] {a} [rolls|muffins|pies|cakes] [every hour|a day|on each tray]. How many [are there|is that] after {b} [hours|days|trays]?",
        "[A rectangle|A garden|The floor|A field|A room] is {a} [metres|m|feet] [long|in length] and {b} [metres|m|feet] [wide|in width]. What is [its|the] area?",
        "How many {o} are [there |]in {b} {c} [of|with] {a}[ each|]?",
        "[{N} plants|I plant|I planted|{N} planted] {b} rows of [carrots|trees|{o}] with {a} in [each|every] row. How many [{o} |]is that[ in all|]?",
        "[One|A] {c1} holds {a} {o}. [How many do {b} hold|How many {o} are in {b}|How many fit into {b}]?",
        "[My|The|Our] recipe [makes|gives] {a} [muffins|rolls|pies|{o}]. How many do I get [from|out of|if I make] {b} [trays|times that|batches]?",
        )),
    Situation(1, "{a} / {b}", "", said(
        "{a} {o} are [shared|split|divided] [equally|evenly] [by|among|between] {b} [PEOPLE]. How many does each [get|receive]?",
        "[{N} puts|I put|We sort] {a} {o} into {b} equal [groups|piles|{c}]. How many are in [each|one|every one]?",
        "A [rope|board|ribbon|wire] of {a} [metres|m|cm|feet] is cut into {b} equal [pieces|parts]. How long is [each piece|each|one of them]?",
        "{a} [PEOPLE] form [teams|groups] of {b}. How many [teams|groups] are there?",
        "It takes {b} [minutes|hours|days] to make one [toy|chair|table|part]. How many are made in {a} [minutes|hours|days]?",
        "[{N} has|I have|We have] {a} {o} and [packs|puts] {b} into each {c1}. How many {c} are [needed|filled|there]?",
        "[Divide|Share|Split] {a} {o} [evenly|equally] [among|between] {b} [PEOPLE]. How many does each [friend |]get?",
        "A book has {a} pages and [{N} reads|I read|we read] {b} [a day|every day|each night]. How many [days|nights] [does it take|is that]?",
        "{a} [PEOPLE] [are going|travel|go] and each [bus|car|boat] takes {b}. How many [buses|cars|boats] are needed?",
        "[{b} of us|We are {b} and|{b} friends] [want to |]split a bill of [{a} dollars|${a}] [evenly|equally]. What does each [person |]pay?",
        ), high=(240, 12, 9), holds=lambda a, b, c: a % b == 0),
    Situation(1, "{a} - {b}", "", said(
        "[There are|There were] {a} {o} in [a box|a bag|the shop|the room] and {b} [are|were] [taken out|sold|eaten|given away]. How many are left?",
        "A [train|bus|ship] has {a} passengers and {b} [get off|leave]. How many [stay|are left|remain]?",
        "Of {a} [PEOPLE], {b} are [ill|late|absent|away]. How many are [there|here|not]?",
        "[By how much|How many more|How much more|How much larger] is {a} than {b}?",
        "[{N} needs|I need|We need] {a} [points|dollars|{o}] and [has|have] {b}. How many are [missing|still needed]?",
        "{a} birds [sit|are] in a [tree|garden] and {b} fly away. How many [birds |]are left?",
        "The [tank|bottle|barrel] holds {a} litres and {b} [litres |]are [used|gone|drunk]. How much is left?",
        "The [drive|trip|walk|way] is {a} [km|kilometres|miles]. [We have done|I did|{N} has done] {b}[ so far|]. How [many|much] is left?",
        "[{N} had|I had|I have|{N} has] [${a}|{a} dollars] and [spent|paid] [${b}|{b} dollars] [on|for] [a book|a lamp|lunch|{o}]. [What is|How much is] left?",
        "[Subtract|Take] {b} from {a}. What [do you get|is left|remains]?",
        ), high=(400, 200, 9), holds=lambda a, b, c: a > b, prices="ab"),
    Situation(1, "{a} - {b}", "", said(
        "[{N}|My aunt|My mother] is {a} [years old |]and [{M}|my sister|my friend] is {b}. How many years older is [{N}|the first]?",
        "[{M}|My sister] was {b} [years old|] when [{N}|my aunt] was {a}. [By how many years|How many years] is {M} younger?",
        ), high=(95, 60, 9), holds=lambda a, b, c: a > b),
    Situation(1, "{a} + {b}", "", said(
        "{N} has {a} {o} and {M} has {b}. How many [{o} |]do they have [together|in all|altogether]?",
        "There are {a} [boys|cats|cars|men] and {b} [girls|dogs|buses|women] [in the club|in the street|here]. How many is that [in all|altogether|in total]?",
        "[{N}|I|We] [walked|drove|ran] {a} [kilometres|km|miles] on [Monday|Friday] and {b} on [Tuesday|Sunday]. How far is that [in all|altogether|in total]?",
        "A [bus|train|boat] carries {a} people and {b} more get on. How many [people |]are on [the bus|it] now?",
        "What is the [sum|total] of {a} and {b}[?| together?]",
        "[{N}|We|My team|I] scored {a} [points |][first|in the first half] and then {b}. What is the [total|final score|sum]?",
        "[The library|The school|{N}] [buys|has|gets] {a} [novels|old books] and {b} [comics|new books]. How many [books |]is that?",
        "One [basket|{c1}|bag] has {a} {o}, another has {b}. How many [{o} |]are there [altogether|in all|together]?",
        "[Our library|The shop|{N}|The school] had {a} [books|{o}] and [somebody|{M}] [donated|brought|gave] another {b}. How many are there now?",
        "[I spent|{N} spent|We paid] [${a}|{a} dollars] [on|for] [food|books] and [${b}|{b} dollars] [on|for] [a lamp|tickets]. How much is that [in all|altogether|together]?",
        ), high=(400, 200, 9), prices="ab"),
    Situation(2, "{a} - {b} * {c0}", " dollars", said(
        "[{N} has|I have|{N} had|I had] [{a} dollars|${a}] and [buys|buy|bought] {b} [pens|books|cakes|{o}] for [{c0} dollars|${c0}] each. How much [money |]is left?",
        "[{N} pays|I pay|We paid] for {b} [tickets|books|{o}] at [${c0}|{c0} dollars] each with [{a} dollars|${a}]. How much change [is there|do I get|is that]?",
        "With [{a} dollars|${a}] [in the pocket|to spend], [{N} buys|I buy|we buy] {b} [cakes|cups|{o}] at [{c0} dollars|${c0}] each. What [remains|is left]?",
        "{b} [books|shirts|{o}] cost [${c0}|{c0} dollars] each. [{N} had|I had|We had] [{a} dollars|${a}]. How much is left?",
        "[{N} starts|I start|We start] with [${a}|{a} dollars] and [pays|pay|spend] [{c0} dollars|${c0}] {b} times. How much is left?",
        "How much change is there from [{a} dollars|${a}] for {b} [cups|pens|{o}] at [{c0} dollars|${c0}] each?",
        "[{N} spends|I spend|I spent|{N} spent] [{c0} dollars|${c0}] on each of {b} days and [began|started] with [{a} dollars|${a}]. How [much is left|many dollars remain]?",
        ), high=(200, 9, 12), holds=lambda a, b, c: a > b * (c + 1), prices="c"),
    Situation(2, "{a} * {b} + {c0}", "", said(
        "[{N} has|I have|There are] {b} {c} [of|with] {a} {o} and {c0} [single ones|loose ones|more]. How many [{o} |]is that?",
        "There are {b} [tables|rooms|rows] with {a} [chairs|lamps|seats] each and {c0} more[ in the hall|]. How many [are there|is that][ in all|]?",
        "[{N} works|I work|I worked] {b} [days|hours] for [{a} dollars|${a}] [each|a day|an hour] and [gets|get|got] [{c0} dollars|${c0}] extra. How much is that [in all|in total]?",
        "A school has {b} classes of {a} pupils and {c0} [teachers|new pupils]. How many [people |]is that?",
        "{b} [buses|boats|cars] carry {a} people each, and {c0} people [walk|wait]. How many people [are there|is that]?",
        "[{N}|I|We] [plants|plant|planted] {b} rows of {a} [trees|{o}] and then {c0} more. How many [are planted|is that]?",
        "A [farmer|man|woman] has {b} fields with {a} [sheep|cows] each and buys {c0} more. How many [sheep |cows |]is that?",
        "[Each of {b} friends|Each of {b} pupils|Each of {b} guests] brings {a} {o}, and [{N} brings|I bring] {c0}. How many [{o} |]are there?",
        "[{N} buys|I bought|We bought] {b} [sandwiches|tickets|books] at [${a}|{a} dollars] each and [one coffee|a lamp|a cake] for [${c0}|{c0} dollars]. How much is that [altogether|in all]?",
        "[{N} ran|I ran|I walked] {a} km a day for {b} days and then {c0} km [on the last day|on Sunday]. How many km is that[ in all|]?",
        ), high=(40, 15, 40)),
    Situation(2, "{a} * {b} - {c0}", "", said(
        "[{N} has|I have|{N} had|I had] {b} {c} [of|with] {a} {o} [each |]and [gives|gave|give] {c0} away. How many [{o} |]are left?",
        "[{N} has|{N} buys|{N} owns] {b} {c} with {a} {o} in each and [gives away|loses|sells] {c0}[ {o}|]. How many [{o} |][does {N} have|are left][ now|]?",
        "The hall has {b} rows [with|of] {a} seats[ in each|], and {c0} [seats |][are|stay|were] empty. How many [people|guests] [sit|are] there?",
        "[{N} baked|I baked|My sister baked] {b} [batches|trays] of {a} [buns|rolls|{o}], and [we have eaten|we ate|{M} ate] {c0}. How many are left?",
        "Each of [my|{N}'s|our] {b} [plants|trees|fields] gave {a} [tomatoes|apples|{o}], and [I gave|{M} took] {c0} [of them|away]. How many [are left|did I keep|remain]?",
        "A [shop|farmer|library] [gets|has|had] {b} {c} of {a} {o} and [sells|sold] {c0}[ of them|]. How many [are left|remain]?",
        "[My|A|Our] car [does|goes] {a} km on a litre and there are {b} litres in the tank. How far can [I|it|we] go after [a trip of {c0}|driving {c0}] km?",
        ), high=(40, 20, 90), holds=lambda a, b, c: a * b > c),
    Situation(2, "({a} - {b}) / {c0}", "", said(
        "There were {a} {o} in [a box|a bag|the jar]. [{N} kept|I kept] {b} and shared the rest [equally |]between {c0} [PEOPLE]. How many did each[ one|] get?",
        "[{N} has|I have|{N} had] {a} {o}, [eats|loses|gives away] {b} and [divides|shares] the rest among {c0} [PEOPLE]. How many does each get?",
        "Of {a} [PEOPLE], {b} stay [here|at home]. The others form {c0} equal [groups|teams]. How many are in each?",
        "[{N} takes|Take] {b} from {a} and [divides|divide] by {c0}. What is the result?",
        "After {b} of {a} {o} are [sold|eaten|lost], the rest [goes|go] into {c0} {c}. How many are in each?",
        ), high=(200, 60, 9), holds=lambda a, b, c: a > b and (a - b) % c == 0),
    Situation(2, "{a} * ({b} + {c0})", "", said(
        "[{N} gets|I get|I earn|{N} earns] [${a}|{a} dollars] an hour [and worked|for] {b} hours [yesterday|on Monday] and {c0} [hours |]today. How much is that[ over the two days|]?",
        "[{N} buys|I buy|We buy] {b} [red|blue] and {c0} [green|black] {o} at [${a}|{a} dollars] each. What does that cost?",
        "{b} [men|adults|boys] and {c0} [women|children|girls] each [bring|carry|get] {a} {o}. How many [{o} |]is that?",
        "Each {c1} holds {a} {o}. [{N}|I|We] [fills|filled|fill] {b} {c} [first|on Monday] and {c0} [later|on Tuesday]. How many [{o} |]is that?",
        "A [car|train|bus] [drives|goes] {a} km an hour for {b} hours and, after a [rest|break], for {c0} [more|hours]. How far is that?",
        ), high=(60, 12, 12)),
    Situation(2, "{a} / {b} * {c0}", "", said(
        "{b} [pens|books|tickets|{o}] cost [{a} dollars|${a}]. [What|How much] do {c0} cost?",
        "A [machine|car|worker] [makes|needs|uses] {a} [parts|litres|{o}] in {b} [hours|days]. How many [is that |]in {c0}[ hours|]?",
        "[{N} reads|I read|We walk] {a} [pages|km] in {b} [days|hours]. How many in {c0}[ of them|]?",
        "A recipe for {b} people needs {a} [g of flour|eggs|{o}]. How much [do I need|is needed] for {c0} people?",
        ), high=(240, 12, 20), holds=lambda a, b, c: a % b == 0 and b != c),
    Situation(2, "2 * ({a} + {b})", "", said(
        "What is the perimeter of a [rectangle|field|garden] of {a} by {b} [metres|m|feet]?",
        "A [garden|yard|park] is {a} [metres|m] long and {b} [metres|m] wide. How long is the fence around it?",
        "[Find|What is] the perimeter of a [field|rectangle|room] with [the |]sides {a} and {b}[ metres|].",
        "A rectangle has [the |]sides {a} and {b}[ cm| metres|]. What is its perimeter?",
        "How [many metres|far] is it around a [yard|field|garden] that is {a} [metres|m] by {b} [metres|m]?",
        "I want a fence [around|all the way around] my [garden|field|yard], which is {a} [metres|m] long and {b} [metres|m] wide. How much fence [do I need|is that]?",
        ), high=(90, 60, 9)),
    Situation(2, "{a} * {b} / 100", "", said(
        "[What is|Find|Calculate|How much is] {b}[%| percent] of {a}[?|]",
        "{b} percent of {a} [PEOPLE] can [swim|read|ski]. How many is that?",
        "A [coat|lamp|book] of [{a} dollars|${a}] is reduced by {b}[%| percent]. How [many dollars are|much is] saved?",
        "{b}[%| percent] of {a} {o} are [red|blue|old|new]. How many are [that|red]?",
        "Out of {a} [tickets|{o}|seats], {b} percent [were|are] [sold|gone|taken]. How many [is that|were sold]?",
        ), high=(400, 95, 9)),
    Situation(2, "({a} + {b}) / 2", "", said(
        "[What is|Find|Calculate] the [average|mean] of {a} and {b}[?|]",
        "[{N}|I|We] scored {a} and {b} points. What is the [average|mean]?",
        "[What number|Which number] [lies|is] [halfway|in the middle] between {a} and {b}?",
        "The [temperature|speed|price] was [first |]{a} and then {b}. What was the [average|mean]?",
        "Two [bags|dogs|boxes] weigh {a} and {b} [kilograms|kg]. What is the average weight?",
        "[{N} slept|I slept] {a} and [{M}|my sister] {b} minutes. What is the [average|mean]?",
        ), high=(99, 90, 9)),
    Situation(2, "{a} + {b} + {c0}", "", said(
        "[{N} has|I have|There are] {a} red, {b} blue and {c0} green {o}. How many [{o} |]are [there|that] [in all|altogether|in total]?",
        "Three [boxes|bags|{c}] [hold|contain] {a}, {b} and {c0} {o}. How many are there [altogether|in all]?",
        "[{N}|I|We] [ran|walked|drove] {a} km, {b} km and {c0} km. How far is that [in total|in all|altogether]?",
        "What is {a} [plus|and|+] {b} [plus|and|+] {c0}?",
        "[Add|Sum|Add up|The sum of] {a}, {b} and {c0}[.|]",
        "There are {a} [cats|cows], {b} [dogs|sheep] and {c0} [birds|horses]. How many animals [are there|is that]?",
        "[{N} buys|I bought|We buy] things for [{a}, {b} and {c0} dollars|${a}, ${b} and ${c0}]. [What|How much] is that [in all|altogether]?",
        "[{N}|I|My team] scored {a} points, then {b}, then {c0}. What is the [total|sum]?",
        ), prices="abc"),
]  # fmt: skip


def everyday(draw: Draw, tier: int) -> tuple[str, str, str]:
    """A question of ``tier`` operations (1 or 2), the expression that solves it and the unit of the answer."""
    situation = draw.any([s for s in SITUATIONS if s.operations == tier])
    question = draw.phrase(situation.wordings)
    question_order = question.find("{a}"), question.find("{b}")
    values = numbers(draw, situation, cents="$" in question and draw.chance(0.3))
    name, somebody = person(draw), person(draw)
    packs = containers(draw, PACKS)
    a, b, c0 = (spelled(draw, value, question) for value in values)
    question = question.format(
        a=a, b=b, c0=c0, N=name, M=somebody, p="he" if is_he(name) else "she", o=things(draw), c=packs,
        c1=packs.removesuffix("es") if packs.endswith(("xes", "ches")) else packs.removesuffix("s"),
    )  # fmt: skip
    if draw.chance(0.12):
        w, x = draw.several(COMMON, 2)
        question = f"{draw.phrase(REMARKS).format(w=w, x=x, M=person(draw))} {question[0].upper()}{question[1:]}"
    question = question if draw.chance(0.85) else question.lower()
    expression = situation.expression
    if question_order[1] < question_order[0]:  # factors in the order in which they are read
        expression = expression.replace("{a} * {b}", "{b} * {a}")
    expression = expression.format(a=values[0], b=values[1], c0=values[2])
    return question[0].upper() + question[1:] if draw.chance(0.9) else question, expression, situation.unit


def spelled(draw: Draw, value: str, question: str) -> str:
    """Digits, now and then a word; an amount after a dollar sign is in digits."""
    small = value.isdigit() and int(value) < len(NUMBER_WORDS) and "$" not in question and "%" not in question
    return NUMBER_WORDS[int(value)] if small and draw.chance(0.25) else value


def fitting(draw: Draw, situation: Situation) -> tuple[int, int, int]:
    while True:
        a, b, c = (draw.random.randint(2, high) for high in situation.high)
        if situation.holds(a, b, c):
            return a, b, c


def numbers(draw: Draw, situation: Situation, cents: bool) -> list[str]:
    """Numbers that satisfy the situation's condition; with ``cents``, those that are amounts of money have them."""
    a, b, c = draw.numeric(lambda: fitting(draw, situation))
    draw.numbers |= {n for n, key in ((a, "{a}"), (b, "{b}"), (c, "{c0}")) if key in situation.expression}
    values = zip("abc", (a, b, c), strict=True)
    return [
        f"{n}.{5 * draw.random.randint(1, 19):02d}" if cents and k in situation.prices else str(n) for k, n in values
    ]
