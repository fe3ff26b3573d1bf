"""Short arithmetic problems of one or two operations, in the settings that people think up: prices, rates, areas, shares.

``arithmetic`` mixes these into its first two tiers, beside its stories.
"""

from __future__ import annotations

from dataclasses import dataclass

from rl.tasks.task import Draw
from rl.tasks.words import PACKS, is_he, person, things


@dataclass(frozen=True)
class Situation:
    """Wordings of one kind of problem and the expression that solves it, in the drawn numbers a, b and c."""

    operations: int
    expression: str
    unit: str
    wordings: tuple[str, ...]
    high: tuple[int, int, int] = (40, 20, 30)  # the largest a, b and c
    condition: str = ""  # "a>b" or "a%b": what the numbers must satisfy


SITUATIONS = [
    Situation(1, "{a} * {b}", " dollars", (
        "A {c1} of {o} costs {a} dollars. How much do {b} {c} cost?", "One ticket costs ${a}. What do {b} tickets cost?",
        "{N} buys {b} books at {a} dollars each. How much does {p} pay?", "The price of a cake is ${a}. How much are {b} cakes?",
        "{N} earns {a} dollars an hour and works {b} hours. How much does {p} earn?", "If one lamp costs {a} dollars, what is the price of {b} lamps?",
        "How much money does {N} need for {b} pens at ${a} each?", "A taxi takes {a} dollars a kilometre. What does a ride of {b} kilometres cost?")),
    Situation(1, "{a} * {b}", "", (
        "A machine makes {a} parts an hour. How many parts does it make in {b} hours?", "A car drives {a} kilometres an hour. How far does it get in {b} hours?",
        "There are {b} rows with {a} seats each. How many seats are there?", "Each of {b} teams has {a} players. How many players are there?",
        "{N} reads {a} pages a day. How many pages does {p} read in {b} days?", "A baker bakes {a} rolls every hour. How many are there after {b} hours?",
        "A rectangle is {a} metres long and {b} metres wide. What is its area?", "How many {o} are in {b} {c} of {a}?")),
    Situation(1, "{a} / {b}", "", (
        "{a} {o} are shared equally by {b} children. How many does each get?", "{N} puts {a} {o} into {b} equal groups. How many are in each group?",
        "A rope of {a} metres is cut into {b} equal pieces. How long is each piece?", "{a} pupils form teams of {b}. How many teams are there?",
        "It takes {b} minutes to make one toy. How many toys are made in {a} minutes?", "{N} has {a} {o} and packs {b} into each of the {c}. How many {c} does {p} need?",
        "Divide {a} {o} evenly among {b} friends. How many does each friend get?", "A book has {a} pages and {N} reads {b} pages a day. How many days does {p} need?"),
        (90, 12, 9), "a%b"),
    Situation(1, "{a} - {b}", "", (
        "There are {a} {o} in a box and {b} are taken out. How many are left?", "{N} is {a} years old and {M} is {b}. How many years older is {N}?",
        "A train has {a} passengers and {b} get off. How many stay on the train?", "Of {a} pupils, {b} are ill. How many are at school?",
        "How many more is {a} than {b}?", "{N} needs {a} points and has {b}. How many points are missing?",
        "{a} birds sit in a tree and {b} fly away. How many birds are left?", "The tank holds {a} litres and {b} litres are used. How much is left?"),
        (99, 60, 9), "a>b"),
    Situation(1, "{a} + {b}", "", (
        "{N} has {a} {o} and {M} has {b}. How many do they have together?", "There are {a} boys and {b} girls in the club. How many children is that?",
        "{N} walked {a} kilometres on Monday and {b} on Tuesday. How far did {p} walk in all?", "A bus carries {a} people and {b} more get on. How many people are on the bus?",
        "What is the sum of {a} and {b}?", "{N} scored {a} points and then {b} points. What is the total?",
        "The library buys {a} novels and {b} comics. How many books does it buy?", "One basket has {a} {o}, another has {b}. How many {o} are there altogether?")),
    Situation(2, "{a} - {b} * {c0}", " dollars", (
        "{N} has {a} dollars and buys {b} pens for {c0} dollars each. How much money is left?", "{N} pays for {b} tickets at ${c0} each with {a} dollars. How much change does {p} get?",
        "With {a} dollars in the pocket, {N} buys {b} cakes at {c0} dollars. What remains?", "{b} books cost ${c0} each. {N} had {a} dollars. How much is left?",
        "{N} starts the day with ${a} and pays {c0} dollars {b} times. How much has {p} left?", "How much change is there from {a} dollars for {b} cups at {c0} dollars each?",
        "{N} spends {c0} dollars on each of {b} days and began with {a} dollars. How many dollars remain?", "From {a} dollars {N} buys {b} {o} at ${c0} each. What is left over?"),
        (160, 9, 9), "a>bc"),
    Situation(2, "{a} * {b} + {c0}", "", (
        "{N} has {b} {c} of {a} {o} and {c0} single ones. How many {o} is that?", "There are {b} tables with {a} chairs each and {c0} more chairs. How many chairs are there?",
        "{N} works {b} days for {a} dollars a day and gets {c0} dollars extra. How much is that in all?", "A school has {b} classes of {a} pupils and {c0} teachers. How many people is that?",
        "{b} buses carry {a} people each, and {c0} people walk. How many people are there?", "{N} plants {b} rows of {a} trees and then {c0} more. How many trees are planted?",
        "A farmer has {b} fields with {a} sheep each and buys {c0} sheep. How many sheep does the farmer have?", "Each of {b} friends brings {a} {o}, and {N} brings {c0}. How many {o} are there?")),
    Situation(2, "2 * ({a} + {b})", "", (
        "What is the perimeter of a rectangle of {a} by {b} metres?", "A garden is {a} metres long and {b} metres wide. How long is the fence around it?",
        "Find the perimeter of a field with sides {a} and {b}.", "A rectangle has the sides {a} and {b}. What is its perimeter?",
        "How many metres is it around a yard that is {a} metres by {b} metres?", "The sides of a rectangle are {a} cm and {b} cm. How long is its outline?",
        "{N} walks once around a square of {a} by {b} metres. How far is that?", "A frame is {a} cm wide and {b} cm high. How long is its edge in all?")),
    Situation(2, "{a} * {b} / 100", "", (
        "What is {b}% of {a}?", "{b} percent of {a} pupils can swim. How many is that?", "How much is {b} percent of {a}?", "Find {b}% of {a}.",
        "A coat of {a} dollars is reduced by {b}%. How many dollars are saved?", "{b}% of {a} {o} are red. How many are red?",
        "Out of {a} tickets, {b} percent were sold. How many were sold?", "Calculate {b} percent of {a}.")),
    Situation(2, "({a} + {b}) / 2", "", (
        "What is the average of {a} and {b}?", "Find the mean of {a} and {b}.", "{N} scored {a} and {b} points. What is the average?",
        "What number lies halfway between {a} and {b}?", "The temperature was {a} and then {b} degrees. What was the average?", "Calculate the average of {a} and {b}.",
        "Two parcels weigh {a} and {b} kilograms. What is the average weight?", "{N} slept {a} and {M} {b} minutes. What is the average?")),
    Situation(2, "{a} + {b} + {c0}", "", (
        "{N} has {a} red, {b} blue and {c0} green {o}. How many {o} are there in all?", "Three boxes hold {a}, {b} and {c0} {o}. How many are there altogether?",
        "{N} ran {a} km, {b} km and {c0} km. How far is that in total?", "What is {a} plus {b} plus {c0}?",
        "There are {a} cats, {b} dogs and {c0} birds. How many animals are there?", "Add {a}, {b} and {c0}.",
        "{N} buys things for {a}, {b} and {c0} dollars. What does {p} pay?", "{N} scored {a} points, then {b}, then {c0}. What is the total?")),
]  # fmt: skip


def everyday(draw: Draw, tier: int) -> tuple[str, str, str]:
    """A question of ``tier`` operations (1 or 2), the expression that solves it and the unit of the answer."""
    situation = draw.any([s for s in SITUATIONS if s.operations == tier])
    a, b, c0 = numbers(draw, situation)
    name, somebody = person(draw), person(draw)
    packs = draw.pick(PACKS)
    question = draw.pick(situation.wordings).format(
        a=a, b=b, c0=c0, N=name, M=somebody, p="he" if is_he(name) else "she", o=things(draw), c=packs,
        c1=packs.removesuffix("es") if packs.endswith(("xes", "ches")) else packs.removesuffix("s"),
    )  # fmt: skip
    return question, situation.expression.format(a=a, b=b, c0=c0), situation.unit


def numbers(draw: Draw, situation: Situation) -> tuple[int, int, int]:
    """Numbers of this split that satisfy the situation's condition."""
    while True:
        a, b, c0 = (draw.number(2, high) for high in situation.high)
        if situation.condition == "a%b" and a % b:
            continue
        if (situation.condition == "a>b" and a <= b) or (situation.condition == "a>bc" and a <= b * c0):
            continue
        return a, b, c0
