"""Strategies: how many more attempts to make, and which answer to give."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.effort import EFFORTS
from agent.errors import SettingsError
from agent.records import Ending
from agent.search import (
    AdaptiveBestOfN,
    BestOfN,
    Candidate,
    MajorityVote,
    Single,
    Strategy,
    best,
    leader_stays,
    majority,
    strategy_from,
)

ALL = [Single(), MajorityVote(4), BestOfN(8), AdaptiveBestOfN(8, wave=2, level=0.9)]


def answered(*answers: str | None, scores: tuple[float | None, ...] = ()) -> list[Candidate]:
    """Candidates 0, 1, ... with these answers; None came to none."""
    scores = scores or (None,) * len(answers)
    return [
        Candidate((i,), Ending.EMPTY if answer is None else Ending.ANSWER, answer, score)
        for i, (answer, score) in enumerate(zip(answers, scores, strict=True))
    ]


# --- how sure the leader is -------------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_leader_stays_with_the_mass_of_the_beta_posterior_above_one_half(first: int, second: int) -> None:
    p = np.linspace(0, 1, 20_001)
    density = p**first * (1 - p) ** second
    mass = np.trapezoid(density[10_000:], p[10_000:]) / np.trapezoid(density, p)
    assert leader_stays(first, second) == pytest.approx(mass, abs=1e-6)


@given(st.integers(0, 40), st.integers(0, 40))
def test_one_more_vote_makes_the_leader_surer_and_one_against_it_less(first: int, second: int) -> None:
    assert leader_stays(first, second + 1) < leader_stays(first, second) < leader_stays(first + 1, second)
    assert leader_stays(first, second) + leader_stays(second, first) == pytest.approx(1)


# --- how many more ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strategy", "n"), [(Single(), 1), (MajorityVote(5), 5), (BestOfN(3), 3)])
def test_a_fixed_strategy_asks_for_all_that_is_missing(strategy: Strategy, n: int) -> None:
    for made in range(n + 1):
        assert strategy.grow(answered(*["75"] * made)) == n - made
    assert strategy.stopping_rule == f"fixed n={n}"


def test_adaptive_attempts_come_in_waves_until_the_leader_is_clear() -> None:
    strategy = AdaptiveBestOfN(n=8, wave=2)
    assert strategy.grow([]) == 2
    assert strategy.grow(answered("75", "75")) == 2  # 0.875
    assert strategy.grow(answered("75", "75", "75", "75")) == 0  # 0.969
    assert strategy.grow(answered("75", "75", "75", "80")) == 2  # 0.813
    assert strategy.stopping_rule == "posterior>=0.95 wave=2 n<=8"


def test_medium_effort_stops_after_two_attempts_that_agree() -> None:
    strategy = EFFORTS["medium"].strategy
    assert strategy.grow(answered("75", "75")) == 0
    assert strategy.grow(answered("75", "80")) == 2


def test_adaptive_attempts_never_pass_n_however_unsure_they_are() -> None:
    strategy = AdaptiveBestOfN(n=5, wave=2)
    assert strategy.grow(answered("1", "2", "3", "4")) == 1
    assert strategy.grow(answered("1", "2", "3", "4", "5")) == 0


def test_who_came_to_no_answer_has_no_vote() -> None:
    assert AdaptiveBestOfN(n=8, wave=2).grow(answered(None, None, None, None)) == 2


# --- which one --------------------------------------------------------------------------------------------------------


def test_the_majority_is_given_by_its_earliest_attempt() -> None:
    choice = majority(answered("80", "75", None, "75"))
    assert choice.path == (1,)
    assert choice.reason == "2 of 4 attempts agree"


def test_of_equally_frequent_answers_the_earliest_is_given() -> None:
    assert majority(answered("80", "75", "75", "80")).path == (0,)


def test_the_highest_score_is_given_and_the_earliest_of_equals() -> None:
    candidates = answered("80", "75", "70", scores=(0.2, 0.9, 0.9))
    assert best(candidates).path == (1,)
    assert best(candidates).reason == "highest score, 0.90, of 3 attempts"


def test_an_attempt_without_an_answer_is_not_given_whatever_its_score() -> None:
    assert best(answered(None, "75", scores=(1.0, 0.1))).path == (1,)


def test_without_scores_the_majority_decides() -> None:
    assert best(answered("80", "75", "75")).path == (1,)


def test_where_nobody_came_to_an_answer_the_one_that_had_begun_it_is_given() -> None:
    begun = Candidate((2,), Ending.BUDGET, "it is 7", None)
    called = Candidate((1,), Ending.TOOL_CALL, "let me see", None)
    assert majority([*answered(None), called, begun]).path == (2,)
    assert best([*answered(None), called]).path == (0,)
    assert best(answered(None)).reason == "no attempt came to an answer"


candidates = st.lists(st.tuples(st.sampled_from(["1", "2", None]), st.none() | st.floats(0, 1)), min_size=1).map(
    lambda drawn: answered(*(answer for answer, _ in drawn), scores=tuple(score for _, score in drawn))
)


@given(candidates, st.sampled_from(ALL[1:]))
def test_an_answer_is_given_wherever_there_is_one(made: list[Candidate], strategy: Strategy) -> None:
    chosen = next(candidate for candidate in made if candidate.path == strategy.choose(made).path)
    assert chosen.answered == any(candidate.answered for candidate in made)


# --- in the log -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ALL)
def test_a_strategy_comes_back_from_its_settings(strategy: Strategy) -> None:
    assert strategy_from(asdict(strategy)) == strategy  # type: ignore[call-overload]


def test_a_strategy_that_is_not_loaded_is_named() -> None:
    with pytest.raises(SettingsError, match=r"no strategy 'dowsing' .*module:object"):
        strategy_from({"name": "dowsing"})
