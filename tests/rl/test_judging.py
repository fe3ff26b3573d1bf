"""What a judge's comparisons say of the judge: places, lengths, and the truth."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.context import Agent
from agent.run import ask
from agent.search.attempts import BestOfN
from agent.store import Store
from rl.intervals import wilson
from rl.judging import Judged, Share, disputed, judge_all, report, task_named
from rl.tasks.suite import generate
from tests.agent.conftest import agent_saying, agent_with, log, log_path, model_folder, renderer, saver
from tests.agent.scripted import how
from verifiers.judge import Comparison, PairwiseJudge, Place, Reply

__all__ = ["agent_saying", "agent_with", "log", "log_path", "model_folder", "renderer", "saver"]
TASK = generate("units", 1, "held_out", 0, 0)
PLACES = st.sampled_from(["first", "second", "tie", None])


def judged(*places: Place | None, lengths: tuple[int, int] = (9, 9), right: tuple[bool, bool] | None = None) -> Judged:
    return Judged(Comparison(0, 1, places, (10, 20)), lengths, right)  # type: ignore[arg-type]


ONE: tuple[Place, Place] = ("first", "second")  # the places in which one of a pair wins
OTHER: tuple[Place, Place] = ("second", "first")


def test_a_place_that_wins_in_both_orders_is_a_bias() -> None:
    found = report([judged("first", "first")] * 3 + [judged("second", "second"), judged(*ONE), judged("tie", "first")])
    assert (found.first_place, found.second_place) == (Share(3, 6), Share(1, 6))
    assert found.first_place.summary()["interval"] == wilson(3, 6)


def test_the_longer_one_is_counted_only_where_one_won_and_one_is_longer() -> None:
    found = report([
        judged(*ONE, lengths=(9, 5)), judged(*OTHER, lengths=(5, 9)), judged(*ONE, lengths=(5, 9)),
        judged(*ONE, lengths=(9, 9)), judged("first", "first", lengths=(9, 5)),
    ])  # fmt: skip
    assert found.longer_won == Share(2, 3)


def test_length_is_held_against_how_often_the_longer_one_is_right() -> None:
    found = report([
        judged(*ONE, lengths=(9, 5), right=(True, False)), judged(*ONE, lengths=(9, 5), right=(False, True)),
        judged(*ONE, lengths=(9, 5), right=(True, True)), judged(*ONE, lengths=(9, 5)),
    ])  # fmt: skip
    assert found.longer_right == Share(1, 2)


def test_the_truth_is_asked_only_where_exactly_one_is_right() -> None:
    found = report([
        judged(*ONE, right=(True, False)), judged(*OTHER, right=(True, False)), judged(*OTHER, right=(False, True)),
        judged("tie", "tie", right=(True, False)), judged(*ONE, right=(False, False)), judged(*ONE),
    ])  # fmt: skip
    assert found.right_won == Share(2.5, 4)
    assert found.right_won_decided == Share(2, 3)


def test_what_could_not_be_read_is_counted_and_costs_what_it_cost() -> None:
    found = report([judged("first", None), judged(*ONE)])
    assert (found.pairs, found.unreadable, found.tokens) == (2, 1, 60)
    assert found.first_place.of == 1


def test_nothing_has_no_shares() -> None:
    found = report([])
    assert found.summary()["right_won"] == {"share": None, "interval": (0.0, 1.0), "count": 0, "of": 0}


@given(st.lists(st.builds(
    judged, PLACES, PLACES, lengths=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    right=st.none() | st.tuples(st.booleans(), st.booleans()),
)))  # fmt: skip
def test_every_share_is_a_part_of_what_it_is_of(recorded: list[Judged]) -> None:
    found = report(recorded)
    for name in ("first_place", "second_place", "longer_won", "longer_right", "right_won", "right_won_decided"):
        share = getattr(found, name)
        assert 0 <= share.count <= share.of <= found.pairs - found.unreadable


def test_a_report_does_not_depend_on_which_attempt_is_called_one() -> None:
    pair = judged("first", "tie", lengths=(3, 5), right=(True, False))
    turned = judged("tie", "first", lengths=(5, 3), right=(False, True))
    assert report([pair]) == report([turned])


# --- the log ----------------------------------------------------------------------------------------------------------


class LikesTheFirst:
    async def ask(self, prompt: str, most_tokens: int) -> Reply:
        await asyncio.sleep(0)
        return Reply("<verdict>A</verdict>", 10)


async def test_logged_runs_are_judged_where_their_attempts_disagree(
    agent_saying: Callable[..., Agent], log: Store
) -> None:
    agent = agent_saying({(0,): f"Answer: {TASK.gold}", (1,): "Answer: no", (2,): "Answer: no"})
    for task_id, attempts in ((TASK.task_id, 3), (TASK.task_id, 1), ("gone/1/held_out/0/0", 2)):
        asked = how(BestOfN(attempts))
        await ask(agent, TASK.question, type(asked)(asked.effort, None, asked.seed, {"task_id": task_id}, 0.0))
    await ask(agent, TASK.question, how(BestOfN(3)))  # no task
    questions = disputed(log, 10)
    assert [question.right for question in questions] == [None, (True, False, False)]
    assert len(disputed(log, 1)) == 1
    told: list[int] = []
    found = await judge_all(PairwiseJudge(LikesTheFirst()), questions, 2, lambda: told.append(1))
    assert (len(found), len(told)) == (2, 2)
    assert report(found).first_place == Share(2, 2)
    assert report(found).right_won == Share(0.5, 1)


@pytest.mark.parametrize("task_id", ["nosuch/1/held_out/0/0", "units/99/held_out/0/0", "units", "handwritten/x", ""])
def test_a_task_that_is_not_known_has_no_gold(task_id: str) -> None:
    assert task_named(task_id) is None


def test_tasks_are_known_by_their_ids() -> None:
    for task_id in (TASK.task_id, "handwritten/3"):
        task = task_named(task_id)
        assert task is not None
        assert task.task_id == task_id
