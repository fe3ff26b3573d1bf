"""Critiques, and thoughts that are made longer or shorter."""

from agent.records import Ending, Path
from agent.search.revise import BudgetForcing, SelfRefine
from agent.search.strategy import Candidate, Grow


def said(path: Path, bridge: str = "", ending: Ending = Ending.ANSWER, answer: str | None = "75") -> Candidate:
    return Candidate(path, ending, answer, None, start=path, bridge=bridge)


def test_an_answer_is_criticised_and_then_revised() -> None:
    refine = SelfRefine(rounds=1)
    assert refine.grow([]) == [Grow()]
    assert refine.grow([said((0,))]) == [Grow((0,), bridge="critique")]
    assert refine.grow([said((0,)), said((0, 0), "critique")]) == [Grow((0, 0), bridge="revise")]
    assert refine.grow([said((0,)), said((0, 0), "critique"), said((0, 0, 0), "revise")]) == []


def test_the_last_revision_is_given_and_never_a_critique() -> None:
    made = [said((0,)), said((0, 0), "critique"), said((0, 0, 0), "revise")]
    assert SelfRefine().choose(made).path == (0, 0, 0)
    assert SelfRefine().choose(made[:2]).path == (0,)
    assert SelfRefine().choose([said((0,), ending=Ending.EMPTY, answer=None)]).path == (0,)


def test_an_attempt_without_an_answer_is_not_refined() -> None:
    assert SelfRefine().grow([said((0,), ending=Ending.BUDGET)]) == []


def test_a_thought_is_made_to_go_on_and_then_brought_to_its_end() -> None:
    forcing = BudgetForcing(extend=1)
    first, second = said((0,), ending=Ending.STEP), said((0, 0), "wait", Ending.STEP)
    assert forcing.grow([]) == [Grow(to="thought")]
    assert forcing.grow([first]) == [Grow((0,), to="thought", bridge="wait")]
    assert forcing.grow([first, second]) == [Grow((0, 0), bridge="close")]
    assert forcing.grow([first, second, said((0, 0, 0), "close")]) == []


def test_a_thought_is_cut_after_so_many_tokens() -> None:
    forcing = BudgetForcing(extend=0, most=20)
    assert forcing.grow([]) == [Grow(to="thought", tokens=20)]
    assert forcing.grow([said((0,), ending=Ending.STEP)]) == [Grow((0,), bridge="close")]


def test_an_attempt_that_does_not_think_is_left_alone() -> None:
    assert BudgetForcing().grow([said((0,))]) == []
