"""Perturbed tasks: the generator's own work, of the same split, and another question."""

import re
from functools import cache

import pytest

from rl.grade import is_right
from rl.tasks import words
from rl.tasks.redraw import WAYS, Change, Recording, Redraw, masked
from rl.tasks.suite import FAMILIES, drawn, generate, perturbed, task_of
from rl.tasks.task import SPLITS, Draw, Task
from tools.calculator import evaluate

COUNT = 12
TIERS = [(family, tier) for family in FAMILIES for tier in FAMILIES[family].TIERS if family != "lookup"] + [
    ("lookup", 2)
]


@cache
def pairs(way: Change) -> list[tuple[Task, Task]]:
    """Held-out tasks of every family with their perturbed versions, where there are any."""
    tasks = [generate(family, tier, "held_out", 7, index) for family, tier in TIERS for index in range(COUNT)]
    return [(task, other) for task in tasks if (other := perturbed(task, way))]


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_recorded_is_what_is_drawn(split: str) -> None:
    for family, tier in TIERS:
        task_id = f"{family}/{tier}/{split}/3/1"
        assert drawn(task_id, Recording)[0] == drawn(task_id, Draw)[0]


@pytest.mark.parametrize("way", WAYS)
def test_a_perturbed_task_is_a_pure_function_of_its_id_and_never_the_original(way: Change) -> None:
    assert len(pairs(way)) > 40
    for task, other in pairs(way):
        assert other.task_id == f"{task.task_id}~{way}"
        assert (other.question, other.documents) != (task.question, task.documents)
    assert all(task_of(other.task_id) == other for _, other in pairs(way)[::10])


@pytest.mark.parametrize("way", WAYS)
def test_the_gold_answer_is_that_of_the_perturbed_question(way: Change) -> None:
    worked_out = 0
    for _, other in pairs(way):
        assert is_right(other, other.demonstration[-1].text), other.task_id
        for step in other.demonstration:
            for (name, arguments), result in zip(step.calls, step.results, strict=True):
                if name == "calculator" and not result.startswith("Error"):
                    worked_out += evaluate(arguments["expression"]) == result
    assert worked_out > 20 or way != "numbers"


def test_other_numbers_have_another_answer_and_nothing_else_is_changed() -> None:
    for task, other in pairs("numbers"):
        assert task.gold != other.gold
        assert masked(task.question) == masked(other.question)
        assert not is_right(other, f"Answer: {task.gold}"), other.task_id


def test_other_names_leave_the_numbers_and_an_answer_in_numbers() -> None:
    for task, other in pairs("names"):
        if task.family == "arithmetic":
            assert re.findall(r"\d+", task.question) == re.findall(r"\d+", other.question)
            assert task.gold == other.gold


def test_another_order_has_the_same_words() -> None:
    for task, other in pairs("order"):
        if task.family == "strings":
            assert sorted(re.findall(r"\w+", task.question)) == sorted(re.findall(r"\w+", other.question))
        if task.family == "lookup":
            assert task.question == other.question
            assert [sorted(re.findall(r"\w+", d.text)) for d in task.documents] == [
                sorted(re.findall(r"\w+", d.text)) for d in other.documents
            ]


@pytest.mark.parametrize("way", WAYS)
def test_what_was_held_out_stays_held_out(way: Change) -> None:
    """Names of banks and sets of numbers belong to one split; wordings are those of the original."""
    train = set(Draw("train", "").part(words.NAMES)) - {"May", "Will", "Grace"}
    for task, other in pairs(way):
        new = set(re.findall(r"\w+", other.question)) - set(re.findall(r"\w+", task.question))
        assert not new & train, other.task_id


def test_numbers_that_belong_to_the_other_split_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    task = generate("sums", 1, "held_out", 7, 0)
    assert perturbed(task, "numbers")
    monkeypatch.setattr(Redraw, "fits", property(lambda draw: False))
    assert perturbed(task, "numbers") is None


@pytest.mark.parametrize(("family", "way"), [("units", "names"), ("strings", "numbers"), ("programs", "order")])
def test_what_a_question_does_not_have_cannot_be_changed(family: str, way: Change) -> None:
    assert all(perturbed(generate(family, 1, "held_out", 7, index), way) is None for index in range(5))


@pytest.mark.parametrize("task_id", ["units/1/held_out/7/0~names", "units/1/held_out/7/0~x", "units/1/nowhere/7/0"])
def test_an_id_of_no_task_is_refused(task_id: str) -> None:
    with pytest.raises(ValueError, match="is of no"):
        task_of(task_id)
