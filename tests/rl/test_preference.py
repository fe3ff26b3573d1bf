"""Who was better than whom: by rewards and by people, after the very same prompt."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.records import Ending, Feedback, Node, PolicyVersion, Run, Sample, SamplingParams
from agent.store import Store
from rl.preference import Contrast, Pair, Pairs, Side, rewarded, said, short
from rl.selection import Wanted
from rl.tasks.task import Task
from tests.rl.test_grpo import group

VERSION = PolicyVersion("m")
QUESTION = "Which of the two long answers about the harbour is the one that a person likes?"
EVERYTHING = Wanted()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "log.sqlite") as store:
        yield store


def node(path: tuple[int, ...], prompt: tuple[int, ...], sampled: tuple[int, ...], **more: object) -> Node:
    drawn = SamplingParams(temperature=0, seed=path[0])  # greedy: nobody weighs it by its probability
    sample = Sample(prompt, sampled, (-0.1,) * len(sampled), "stop", VERSION, drawn)
    return replace(Node(path, sample, Ending.ANSWER), **more)  # type: ignore[arg-type] - fields by name


def run_of(run_id: str, *nodes: Node, chosen: tuple[int, ...] | None = (0,), question: str = QUESTION) -> Run:
    run = Run(run_id, question, run_id, "high", "best_of_n", {}, "", 0, VERSION, f"2026-01-{run_id}")
    return replace(run, nodes=nodes, status="finished", chosen=chosen)


def add(log: Store, *runs: Run) -> None:
    for run in runs:
        log.begin(run)
        for each in run.nodes:
            log.add_node(run.run_id, each)
        log.finish(run)


TWO = (node((0,), (1, 2), (3, 4)), node((1,), (1, 2), (5,)))
CALLED = node((1,), (1, 2), (5,), ending=Ending.TOOL_CALL), node((1, 0), (1, 2, 5, 90, 91), (6, 7))


def ids(pairs: Pairs) -> list[tuple[tuple[int, ...], ...]]:
    return [(pair.prompt, pair.winner.token_ids, pair.loser.token_ids) for pair in pairs.pairs]


# --- rewards ----------------------------------------------------------------------------------------------------------


def test_the_best_stands_against_the_worst() -> None:
    groups = [group((1, 2), ((3,), 0.5), ((4,), 0.0), ((5,), 1.0), ((6,), 0.25))]
    assert ids(rewarded(groups, Contrast())) == [((1, 2), (5,), (4,))]
    assert ids(rewarded(groups, Contrast(a_group=5))) == [((1, 2), (5,), (4,)), ((1, 2), (3,), (6,))]
    both = rewarded(groups, Contrast(margin=0.3, a_group=2))
    assert (ids(both), both.left_out) == ([((1, 2), (5,), (4,))], {"its rewards differ by less than 0.3": 1})


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.floats(0, 1), st.integers(1, 5))
def test_winners_are_better_by_the_margin_and_nobody_stands_in_two_pairs(
    rewards: list[float], margin: float, a_group: int
) -> None:
    drawn = group((1,), *(((i + 2,), reward) for i, reward in enumerate(rewards)))
    found = rewarded([drawn], Contrast(margin, a_group))
    earned = {member.token_ids[1:]: member.reward for member in drawn.members}
    sides = [side.token_ids for pair in found.pairs for side in (pair.winner, pair.loser)]
    assert len(sides) == len(set(sides)) <= 2 * a_group
    for pair in found.pairs:
        assert pair.margin == earned[pair.winner.token_ids] - earned[pair.loser.token_ids] >= margin
        assert pair.margin > 0


# --- people -----------------------------------------------------------------------------------------------------------


def test_a_preferred_candidate_wins_against_the_chosen_one(log: Store) -> None:
    add(log, run_of("01", *TWO))
    for path in ((1,), (1,)):  # twice the same is one pair
        log.add_feedback(Feedback("01", preferred=path))
    assert ids(said(log, EVERYTHING, Contrast())) == [((1, 2), (5,), (3, 4))]


def test_tools_are_a_part_of_a_side_that_was_not_sampled(log: Store) -> None:
    add(log, run_of("01", TWO[0], *CALLED))
    log.add_feedback(Feedback("01", preferred=(1, 0)))
    [pair] = said(log, EVERYTHING, Contrast()).pairs
    assert pair == Pair(
        (1, 2),
        Side("01", (1,), (5, 90, 91, 6, 7), (True, False, False, True, True)),
        Side("01", (0,), (3, 4), (True, True)),
        1.0,
    )


def test_candidates_are_compared_from_where_their_ways_part(log: Store) -> None:
    first = node((0,), (1, 2), (3,), ending=Ending.STEP)
    ends = [node((0, i), (1, 2, 3), (8 + i,)) for i in range(2)]
    add(log, run_of("01", first, *ends, chosen=(0, 0)))
    log.add_feedback(Feedback("01", preferred=(0, 1)))
    assert ids(said(log, EVERYTHING, Contrast())) == [((1, 2, 3), (9,), (8,))]


def test_of_two_runs_of_a_question_the_more_liked_one_wins(log: Store) -> None:
    add(log, run_of("01", TWO[0]), run_of("02", node((0,), (1, 2), (5,))), run_of("03", TWO[0], question="Another?"))
    for run_id, value in (("01", -0.5), ("02", 1.0), ("03", -1.0)):
        log.add_feedback(Feedback(run_id, value))
    [pair] = said(log, EVERYTHING, Contrast()).pairs
    assert (pair.winner.run_id, pair.loser.run_id, pair.margin) == ("02", "01", 1.5)


@pytest.mark.parametrize(
    ("nodes", "preferred", "why"),
    [
        (TWO, (0,), "nothing else was chosen"),
        (TWO, (7,), "what was preferred is not in the log"),
        ((TWO[0], node((1,), (1, 9), (5,))), (1,), "their prompts are not the same, token for token"),
        ((TWO[0], node((1,), (1, 2), (3, 4))), (1,), "they are the same, token for token"),
        ((TWO[0], replace(TWO[1], ending=Ending.ERROR)), (1,), "it ended in error"),
        ((TWO[0], CALLED[0], node((1, 0), (1, 9), (6,))), (1, 0), "its prompts are not beginnings of one another"),
    ],
)
def test_what_is_no_pair_is_counted(log: Store, nodes: tuple[Node, ...], preferred: tuple[int, ...], why: str) -> None:
    add(log, run_of("01", *nodes))
    log.add_feedback(Feedback("01", preferred=preferred))
    found = said(log, EVERYTHING, Contrast())
    assert (found.pairs, found.left_out) == ((), {why: 1})


def test_nobody_learns_from_who_did_not_want_it_or_what_is_held_out(log: Store) -> None:
    add(log, replace(run_of("01", *TWO), metadata={"train": "no"}), run_of("02", *TWO))
    for run_id in ("01", "02"):
        log.add_feedback(Feedback(run_id, preferred=(1,)))
    assert [pair.winner.run_id for pair in said(log, EVERYTHING, Contrast()).pairs] == ["02"]
    assert said(log, EVERYTHING, Contrast(), [Task("mine/1", "mine", 0, QUESTION, "11", ())]).pairs == ()


def test_long_pairs_and_second_ones_are_left_out() -> None:
    side, long = Side("r", (0,), (3,), (True,)), Side("r", (1,), (4, 5, 6), (True,) * 3)
    twice = [Pair((1, 2), side, replace(long, token_ids=(4,), learn=(True,)), 1.0)] * 2
    found = short(Pairs((*twice, Pair((1, 2), side, long, 1.0)), Counter()), 4)
    assert found.pairs == (twice[0],)
    assert found.left_out == {"another pair is the same": 1, "it is longer than the model reads": 1}
