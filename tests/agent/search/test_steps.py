"""Searches over steps: which steps are kept, and what grows from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.records import Ending, Path
from agent.search.steps import Beam, Rollouts, TreeSearch, Visits, depths
from agent.search.strategy import Candidate, Grow, Strategy


def step(path: Path, score: float | None = None, start: Path | None = None) -> Candidate:
    return Candidate(path, Ending.STEP, None, score, start=start or path)


def done(path: Path, score: float | None = None, answer: str = "75") -> Candidate:
    return Candidate(path, Ending.ANSWER, answer, score, start=path)


def grown(strategy: Strategy, ends_at: int, score: float = 0.5, most: int = 400) -> list[Candidate]:
    """What there is when ``strategy`` has stopped, where every attempt answers in its step ``ends_at``."""
    made: list[Candidate] = []
    while wanted := strategy.grow(made):
        for grow in wanted:
            first = 1 + max((c.path[len(grow.parent)] for c in made if c.start[:-1] == grow.parent), default=-1)
            for i in range(first, first + grow.count):
                path = (*grow.parent, i)
                over = len(path) >= ends_at or grow.to == "end"
                made.append(done(path, score) if over else step(path, score))
        made.sort(key=lambda c: c.path)
        assert len(made) <= most, "it does not stop"
    return made


# --- beams ------------------------------------------------------------------------------------------------------------


def test_a_beam_begins_with_all_its_children_and_keeps_the_best() -> None:
    beam = Beam(beams=2, expand=2)
    assert beam.grow([]) == [Grow(count=4, to="step")]
    first = [step((i,), score) for i, score in enumerate((0.2, 0.9, 0.1, 0.8))]
    assert beam.grow(first) == [Grow((1,), 2, "step"), Grow((3,), 2, "step")]


def test_a_beam_looks_at_the_latest_steps_only() -> None:
    beam = Beam(beams=1, expand=2)
    made = [step((0,), 0.3), step((1,), 0.9), step((1, 0), 0.1), step((1, 1), 0.2)]
    assert beam.grow(made) == [Grow((1, 1), 2, "step")]


def test_an_answer_takes_the_place_of_a_beam() -> None:
    beam = Beam(beams=2, expand=2)
    made = [done((0,)), step((1,), 0.5), step((2,), 0.7), step((3,), 0.6)]
    assert beam.grow(made) == [Grow((2,), 2, "step")]
    assert beam.grow([done((0,)), done((1,)), step((2,), 0.9), step((3,))]) == []


def test_diverse_beams_do_not_compete() -> None:
    beam = Beam(beams=2, expand=2, diverse=True)
    first = [step((i,), score) for i, score in enumerate((0.8, 0.9, 0.1, 0.2))]
    assert beam.grow(first) == [Grow((1,), 2, "step"), Grow((3,), 2, "step")]
    assert beam.grow([*first[:2], done((2,)), step((3,), 0.2)]) == [Grow((1,), 2, "step")]


def test_after_its_rounds_a_beam_is_grown_to_the_end() -> None:
    assert Beam(beams=1, expand=1, rounds=2).grow([step((0,), 0.1), step((0, 0), 0.1)]) == [Grow((0, 0))]


@pytest.mark.parametrize("diverse", [False, True])
@given(beams=st.integers(1, 4), expand=st.integers(1, 4), ends_at=st.integers(1, 6))
def test_a_beam_comes_to_as_many_answers_as_it_has_beams(diverse: bool, beams: int, expand: int, ends_at: int) -> None:
    made = grown(Beam(beams, expand, diverse, rounds=4), ends_at)
    assert sum(not c.open for c in made) >= beams


# --- a Monte Carlo tree -----------------------------------------------------------------------------------------------


def test_a_tree_search_widens_the_root_first_and_then_follows_the_values() -> None:
    search = TreeSearch(simulations=9, width=2, wave=1, exploration=0.1)
    assert search.grow([]) == [Grow((), 1, "step")]
    assert search.grow([step((0,), 0.2)]) == [Grow((), 1, "step")]
    assert search.grow([step((0,), 0.2), step((1,), 0.8)]) == [Grow((1,), 1, "step")]


def test_what_is_under_way_counts_so_that_a_wave_spreads() -> None:
    search = TreeSearch(simulations=9, width=2, wave=3, exploration=0.1)
    wanted = search.grow([step((0,), 0.5), step((1,), 0.6)])
    assert {grow.parent for grow in wanted} == {(0,), (1,)}


def test_a_branch_that_has_come_to_its_end_is_not_visited_again() -> None:
    tree = Visits([done((0,), 1.0), step((1,), 0.1)])
    assert tree.pick(2, 0.1) == (1,)
    assert Visits([done((0,), 1.0), done((1,), 0.1)]).pick(2, 0.1) is None


@given(st.integers(1, 30), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_a_tree_search_ends_and_has_an_answer(simulations: int, width: int, wave: int, ends_at: int) -> None:
    search = TreeSearch(simulations, width, wave)
    made = grown(search, ends_at)
    assert any(not c.open for c in made)
    assert len(made) <= simulations + 1


@given(st.integers(1, 40), st.integers(1, 3))
def test_every_visit_counts_for_all_nodes_above_it(simulations: int, width: int) -> None:
    made = grown(TreeSearch(simulations, width, 1), 9)
    tree = Visits(made)
    assert tree.visits[()] == len(made)
    for c in made:
        assert tree.visits[c.path] == sum(other.path[: len(c.path)] == c.path for other in made)


# --- rollouts ---------------------------------------------------------------------------------------------------------


def test_each_step_of_a_rollout_gets_its_continuations_and_the_next_step() -> None:
    rollouts = Rollouts(n=1, continuations=3)
    assert rollouts.grow([]) == [Grow(count=1, to="step")]
    assert rollouts.grow([step((0,))]) == [Grow((0,), 1, "step"), Grow((0,), 3)]
    made = [step((0,)), step((0, 0)), *(done((0, i)) for i in range(1, 4))]
    assert rollouts.grow(made) == [Grow((0, 0), 1, "step"), Grow((0, 0), 3)]


@given(st.integers(1, 3), st.integers(0, 4), st.integers(1, 6))
def test_a_rollout_ends_with_all_its_continuations(n: int, continuations: int, ends_at: int) -> None:
    made = grown(Rollouts(n, continuations), ends_at)
    assert sum(c.open for c in made) == n * (ends_at - 1)
    assert len(made) == n * (ends_at + continuations * (ends_at - 1))


# --- depth ------------------------------------------------------------------------------------------------------------


def test_a_growth_of_several_nodes_is_one_deep() -> None:
    made = [step((0, 0, 0), start=(0,)), step((0, 0, 0, 0, 0), start=(0, 0, 0, 0))]
    assert depths(made) == {(0, 0, 0): 1, (0, 0, 0, 0, 0): 2}
