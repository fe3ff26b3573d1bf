"""Word problems: as many operations as the tier says, worked out in parts that follow from each other."""

import ast
import re
from fractions import Fraction
from itertools import pairwise

import pytest

from rl.tasks.arithmetic import LARGEST, STEPS_PER_CALL, TIERS, Story, join, plain
from rl.tasks.everyday import SITUATIONS, Situation, everyday
from rl.tasks.suite import generate
from rl.tasks.task import Draw, Split, Task
from tools.calculator import evaluate

EACH = 60
SPLITS: tuple[Split, Split] = ("train", "held_out")


def tasks(tier: int) -> list[Task]:
    return [generate("arithmetic", tier, split, 8, index) for split in SPLITS for index in range(EACH)]


def worked_out(task: Task) -> list[tuple[str, str]]:
    """(expression, result) of the calls that did not fail."""
    calls = [(step.calls[0][1]["expression"], step.results[0]) for step in task.demonstration if step.calls]
    return [(expression, result) for expression, result in calls if not result.startswith("Error: ")]


def operations(expression: str) -> int:
    return sum(isinstance(node, ast.BinOp) for node in ast.walk(ast.parse(expression)))


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_is_the_number_of_operations(tier: int) -> None:
    for task in tasks(tier):
        done = worked_out(task)
        if tier == 1 and not sum(operations(expression) for expression, _ in done):
            continue  # a story that only restates a number
        assert sum(operations(expression) for expression, _ in done) == tier, task.task_id


@pytest.mark.parametrize("tier", TIERS)
def test_each_part_goes_on_from_the_result_of_the_one_before(tier: int) -> None:
    for task in tasks(tier):
        done = worked_out(task)
        for (_, result), (following, _) in pairwise(done):
            assert re.match(rf"\(*{re.escape(result)}\b", following), task.task_id
        assert done[-1][1] == task.gold


def test_long_problems_are_worked_out_in_parts() -> None:
    for tier in TIERS:
        longest = max(operations(expression) for task in tasks(tier) for expression, _ in worked_out(task))
        assert longest <= STEPS_PER_CALL
    assert all(len(worked_out(task)) > 1 for task in tasks(8))


@pytest.mark.parametrize("tier", [3, 6, 8])
def test_stories_stay_in_numbers_that_a_person_would_write(tier: int) -> None:
    for task in tasks(tier):
        if task.demonstration[0].thought != "An expression to work out.":
            assert 0 <= Fraction(task.gold) <= LARGEST


def test_every_number_of_an_expression_stands_in_the_question_or_is_carried_on() -> None:
    for task in tasks(6):
        carried = {result for _, result in worked_out(task)}
        for expression, _ in worked_out(task):
            for number in re.findall(r"\d+(?:\.\d+)?", expression):
                spelled = number in {"2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}
                assert spelled or number in carried or re.search(rf"\b{number}\b", task.question), task.task_id


@pytest.mark.parametrize("value", [Fraction(75), Fraction(1, 8), Fraction(-5, 2), Fraction(10**9, 4), Fraction(0)])
def test_numbers_are_written_as_the_calculator_writes_them(value: Fraction) -> None:
    assert plain(value) == evaluate(f"{value.numerator} / {value.denominator}")


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.expression)
def test_a_situation_has_its_operations_and_says_all_its_numbers(situation: Situation) -> None:
    assert operations(situation.expression.format(a=1, b=1, c0=1)) == situation.operations
    for number in ("{a}", "{b}", "{c0}"):
        if number in situation.expression:
            assert all(number in wording for pattern in situation.wordings for wording in pattern), number


def test_factors_stand_in_the_order_in_which_they_are_read() -> None:
    for index in range(300):
        question, expression, _ = everyday(Draw("train", str(index)), 1)
        factors = expression.split(" * ")
        if len(factors) == 2 and all(f" {number} " in question for number in factors):
            assert question.index(f" {factors[0]} ") <= question.index(f" {factors[1]} ")


@pytest.mark.parametrize(
    ("sentences", "subjects", "together"),
    [
        (["Tom has 12 pens.", "He sells 5."], ["Tom", "Tom"], "Tom has 12 pens and sells 5."),
        (["There are 12 pens here.", "She sells 5."], ["Ada", "Ada"], "There are 12 pens here, and she sells 5."),
        (["Tom has 12 pens.", "Ada has 5 more."], ["Tom", "Ada"], "Tom has 12 pens, and Ada has 5 more."),
        (["Ada gives Tom 12 pens.", "He sells 5."], ["Tom", "Tom"], "Ada gives Tom 12 pens, and he sells 5."),
        (["Tom has 12 pens.", "Then he sells 5."], ["Tom", "Tom"], "Tom has 12 pens, and then he sells 5."),
        (["Tom has 12 pens.", "12 of them break."], ["Tom", "Tom"], "Tom has 12 pens. 12 of them break."),
    ],
)
def test_joined_sentences_keep_who_did_what(sentences: list[str], subjects: list[str], together: str) -> None:
    draw = Draw("train", "")
    draw.chance = lambda probability: True
    story = Story("Tom", "pens", sentences=sentences, subjects=subjects)
    join(story, draw)
    assert " ".join(story.sentences) == together


@pytest.mark.parametrize("tier", [1, 2])
def test_everyday_problems_end_in_plain_numbers_that_are_not_negative(tier: int) -> None:
    for index in range(300):
        _, expression, _ = everyday(Draw("train", str(index)), tier)
        assert Fraction(evaluate(expression).partition(" ")[0]) >= 0
