"""Units and dates. Tiers: 1 one conversion or one date; 2 mixed units or the days between two dates."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

from rl.tasks.arithmetic import plain
from rl.tasks.task import Draw, Task, call, direct, phrased

TIERS = range(1, 3)

# larger unit, smaller unit, how many of the smaller make one larger
UNITS = [
    ("hours", "minutes", 60), ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7), ("kilometres", "metres", 1000),
    ("kilograms", "grams", 1000), ("metres", "centimetres", 100), ("litres", "millilitres", 1000), ("dollars", "cents", 100),
    ("years", "months", 12), ("feet", "inches", 12), ("centimetres", "millimetres", 10), ("tonnes", "kilograms", 1000), ("dozens", "pieces", 12),
]  # fmt: skip
DOWN = phrased(
    "[How many|what number of] {s} [are|is|is that in|make] {n} {l}?", "[Convert|Turn|Change] {n} {l} [to|into] {s}[.|]", "[What is|What's] {n} {l} in {s}[?| please?]",
    "{n} {l} [are|is|makes|equals] how many {s}?", "[Express|Give|Tell me|Write] {n} {l} in {s}[.|]", "How many {s} [are there|are|do I have|go] in {n} {l}?",
)  # fmt: skip
MIXED = phrased(
    "[How many|what number of] {s} [are|is|make] {n} {l} and {m} {s}?", "[Convert|Turn|Change] {n} {l} and {m} {s} [to|into] {s}[.|]", "[What is|What's] {n} {l} and {m} {s} in {s}[?| please?]",
    "[Something|It|The whole] [takes|is|makes] {n} {l} and {m} {s}. How many {s} is that?", "[Express|Give|Tell me|Write] {n} {l} [and|plus] {m} {s} in {s}[.|]",
    "[Add|Add up] {n} {l} and {m} {s}: how many {s} [in all|is that|are there]?", "I [am|have|need] {n} {l} [and |]{m} {s}. What is that in {s}?",
)  # fmt: skip
AFTER = phrased(
    "[What|Which] date [comes|is|will it be] {n} days [after|later than] {d}?", "Add {n} days to {d}. [Which date is it|What date is that|Which date do I get|What do you get]?",
    "[If today is|Today is|It is] {d}. What date [is it|will it be] [in {n} days|{n} days from now]?", "{n} days after {d} is [which|what] [date|day]?",
    "[Count|Go] {n} days [on|forward] from {d}[.|]", "[It|My ticket] [started|begins] on {d} and [ends|runs out] {n} days after that. [On what date|Which date is that]?",
)  # fmt: skip
WEEKDAY = phrased(
    "[What|Which] day of the week [was|is|will be] {d}?", "[What|Which] weekday [was|is|will be] {d}?", "On [what|which] [day of the week|weekday] [does|did] {d} fall?",
    "[Tell me|Find] the [day of the week|weekday] [of|for] {d}[.|]", "{d} [is|was] on [which|what] [day of the week|weekday]?",
)  # fmt: skip
BETWEEN = phrased(
    "How many days are [there |]between {d} and {e}[?| please?]", "How many days is it from {d} [to|until|till] {e}[?| please?]", "[Count|Tell me|Find] the [number of |]days from {d} to {e}[.|]",
    "[What is|Find] the number of days [between {d} and {e}|from {d} to {e}][?|]", "How many days after {d} [is|comes|was] {e}[?| please?]", "How long is it in days from {d} [until|to|till] {e}[?| please?]",
    "From {d} [to|until] {e}, how many days [pass|are there|is that]?",
)  # fmt: skip
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def generate(draw: Draw, tier: int, task_id: str) -> Task:
    kinds = [convert, convert, after, weekday] if tier == 1 else [mixed, between]
    question, tool, argument, gold, unit = draw.any(kinds)(draw)
    thought = "A conversion." if tool == "calculator" else "A date. A program can tell."
    heard = f"The result is {gold}." if tool == "calculator" else f"It printed {gold}."
    key = "expression" if tool == "calculator" else "code"
    steps = (call(thought, tool, (key, argument), gold), direct(heard, f"It is {gold}{unit}.", gold))
    return Task(task_id, "units", tier, question, gold, steps)


def convert(draw: Draw) -> tuple[str, str, str, str, str]:
    large, small, factor = draw.any(UNITS)
    n = draw.number(2, 99)
    if draw.chance(0.35):
        question = draw.phrase(DOWN).format(n=n * factor, l=small, s=large)
        return question, "calculator", f"{n * factor} / {factor}", str(n), f" {large}"
    if draw.chance(0.2):
        value = Fraction(2 * n + 1, 2)
        return (
            draw.phrase(DOWN).format(n=plain(value), l=large, s=small),
            "calculator",
            f"{plain(value)} * {factor}",
            plain(value * factor),
            f" {small}",
        )
    return (
        draw.phrase(DOWN).format(n=n, l=large, s=small),
        "calculator",
        f"{n} * {factor}",
        str(n * factor),
        f" {small}",
    )


def mixed(draw: Draw) -> tuple[str, str, str, str, str]:
    large, small, factor = draw.any(UNITS)
    n, m = draw.number(2, 40), draw.number(2, max(6, factor - 1))
    question = draw.phrase(MIXED).format(n=n, m=m, l=large, s=small)
    return question, "calculator", f"{n} * {factor} + {m}", str(n * factor + m), f" {small}"


def a_date(draw: Draw) -> date:
    return date(draw.number(1950, 2035), draw.random.randint(1, 12), draw.random.randint(1, 28))


def spoken(draw: Draw, day: date) -> str:
    month = MONTHS[day.month - 1]
    return draw.any([f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}", day.isoformat()])


def literal(day: date) -> str:
    return f"date({day.year}, {day.month}, {day.day})"


def after(draw: Draw) -> tuple[str, str, str, str, str]:
    day, n = a_date(draw), draw.number(3, 400)
    question = draw.phrase(AFTER).format(n=n, d=spoken(draw, day))
    code = f"from datetime import date, timedelta\nprint({literal(day)} + timedelta(days={n}))"
    return question, "python", code, (day + timedelta(days=n)).isoformat(), ""


def weekday(draw: Draw) -> tuple[str, str, str, str, str]:
    day = a_date(draw)
    code = f'from datetime import date\nprint({literal(day)}.strftime("%A"))'
    return draw.phrase(WEEKDAY).format(d=spoken(draw, day)), "python", code, day.strftime("%A"), ""


def between(draw: Draw) -> tuple[str, str, str, str, str]:
    first = a_date(draw)
    last = first + timedelta(days=draw.number(5, 900))
    question = draw.phrase(BETWEEN).format(d=spoken(draw, first), e=spoken(draw, last))
    code = f"from datetime import date\nprint(({literal(last)} - {literal(first)}).days)"
    return question, "python", code, str((last - first).days), " days"
