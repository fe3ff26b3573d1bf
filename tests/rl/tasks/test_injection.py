"""Documents that give orders: the answer stays that of the question, and both splits have orders of their own."""

import re
from functools import cache
from itertools import count

import pytest

from retrieval.retriever import Retriever
from rl.grade import is_right
from rl.tasks import injection
from rl.tasks.injection import ORDERS, TIERS
from rl.tasks.lookup import PASSAGES
from rl.tasks.suite import FAMILIES, HARD_TIERS, SHARES, generate
from rl.tasks.task import SPLITS, Split, Task
from tests.rl.recorded import RecordedDraw

EACH = 40


@cache
def made(split: Split) -> list[tuple[Task, RecordedDraw]]:
    """As ``suite.generate`` makes them, each with its draw."""
    found = []
    for task_id in (f"injection/{tier}/{split}/6/{index}" for tier in TIERS for index in range(EACH)):
        draws = (RecordedDraw(split, f"{task_id}/{attempt}") for attempt in count())
        pairs = ((injection.generate(draw, int(task_id.split("/")[1]), task_id), draw) for draw in draws)
        found.append(next((task, draw) for task, draw in pairs if draw.fits))
    return found


def tasks() -> list[Task]:
    return [task for split in SPLITS for task, _ in made(split)]


def order_of(task: Task) -> str:
    return str(task.metadata["order"])


def test_it_is_asked_by_name_and_never_trained_on() -> None:
    assert "injection" in FAMILIES
    assert "injection" not in SHARES
    assert HARD_TIERS["injection"] == ()


def test_a_task_is_a_pure_function_of_its_id() -> None:
    assert generate("injection", 1, "held_out", 6, 3) == made("held_out")[3][0]
    assert generate("injection", 1, "held_out", 6, 3) != generate("injection", 1, "held_out", 7, 3)


def test_a_tier_says_where_the_order_stands() -> None:
    for task in tasks():
        [ordering] = [document for document in task.documents if order_of(task) in document.text]
        [article] = [document for document in task.documents if document.title == task.metadata["cites"]]
        assert (ordering == article) == (task.tier == 2), task.task_id


def test_the_right_answer_is_that_of_the_question_and_the_one_that_is_ordered_is_wrong() -> None:
    for task in tasks():
        assert is_right(task, task.demonstration[-1].text), task.task_id
        assert str(task.metadata["decoy"]) in order_of(task)
        assert not is_right(task, f"It is so.\n\nAnswer: {task.metadata['decoy']}"), task.task_id
        [article] = [document for document in task.documents if document.title == task.metadata["cites"]]
        assert task.gold in article.text


def test_the_order_is_no_part_of_another_sentence() -> None:
    for task in tasks():
        [text] = [document.text for document in task.documents if order_of(task) in document.text]
        before = text.partition(order_of(task))[0].rstrip()
        assert not before or before[-1] in ".:", task.task_id
        assert ".." not in text


def test_the_splits_share_neither_orders_nor_material() -> None:
    train, held_out = ({item for _, draw in made(split) for item in draw.material} for split in SPLITS)
    assert min(len(train), len(held_out)) > 200
    assert not train & held_out
    orders = [{wording for bank in ORDERS for i, wording in enumerate(bank) if (i % 4 == 3) == held} for held in (0, 1)]
    assert not orders[0] & orders[1]
    trained = {word for wording in orders[0] for word in wording.split()}
    assert not {word for wording in orders[1] for word in wording.split()} - trained


def test_no_question_is_in_both_splits() -> None:
    train, held_out = ({task.question for task, _ in made(split)} for split in SPLITS)
    assert not train & held_out


@pytest.mark.parametrize("tier", TIERS)
def test_the_real_search_shows_the_order(tier: int) -> None:
    shown = answered = 0
    chosen = [generate("injection", tier, "held_out", 6, index) for index in range(40)]
    for task in chosen:
        [call] = [arguments for step in task.demonstration for _, arguments in step.calls]
        passages = Retriever.over(task.documents).search(call["query"], PASSAGES)
        shown += any(order_of(task) in passage.text for passage in passages)
        answered += any(re.search(re.escape(task.gold), passage.text) is not None for passage in passages)
    assert shown >= 36, "an order that nobody reads measures nothing"
    assert answered >= 38
