"""Units and dates, worked out again from the question alone."""

import re
from datetime import date, datetime, timedelta
from fractions import Fraction

import pytest

from rl.tasks.suite import generate
from rl.tasks.task import Split, Task
from rl.tasks.units import TIERS, UNITS

DATE = r"\d{4}-\d{2}-\d{2}|\d{1,2} [A-Z][a-z]+ \d{4}|[A-Z][a-z]+ \d{1,2}, \d{4}"
FORMATS = ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y")
SPLITS: tuple[Split, Split] = ("train", "held_out")


def tasks(tier: int) -> list[Task]:
    return [generate("units", tier, split, 8, index) for split in SPLITS for index in range(120)]


def dates_in(question: str) -> list[date]:
    return [read(text) for text in re.findall(DATE, question)]


def read(text: str) -> date:
    for form in FORMATS:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise AssertionError(text)


def of_dates(question: str) -> str:
    first, *rest = dates_in(question)
    if rest:
        return str((rest[0] - first).days)
    days = re.search(r"\b(\d+) days", question)
    return (first + timedelta(days=int(days[1]))).isoformat() if days else first.strftime("%A")


def of_units(question: str) -> str:
    """The quantities of the question in the unit that it asks for."""
    large, small, factor = next(unit for unit in UNITS if all(re.search(rf"\b{name}\b", question) for name in unit[:2]))
    given = [(Fraction(n), unit) for n, unit in re.findall(rf"(\d+(?:\.\d+)?) ({large}|{small})\b", question)]
    in_small = sum(n * (factor if unit == large else 1) for n, unit in given)
    wanted = large if {unit for _, unit in given} == {small} else small
    return str(in_small / (factor if wanted == large else 1))


@pytest.mark.parametrize("tier", TIERS)
def test_the_gold_answer_follows_from_the_question(tier: int) -> None:
    dated = 0
    for task in tasks(tier):
        if dates_in(task.question):
            assert task.gold == of_dates(task.question), task.question
            dated += 1
        else:
            assert Fraction(task.gold) == Fraction(of_units(task.question)), task.question
    assert 40 < dated < 200


@pytest.mark.parametrize(("tier", "operations", "dates"), [(1, 1, 1), (2, 2, 2)])
def test_a_tier_is_one_conversion_or_date_or_two(tier: int, operations: int, dates: int) -> None:
    for task in tasks(tier):
        [(name, arguments)] = task.demonstration[0].calls
        if name == "calculator":
            assert len(re.findall(r" [-+*/] ", arguments["expression"])) == operations
        else:
            assert arguments["code"].count("date(") == dates == len(dates_in(task.question))
