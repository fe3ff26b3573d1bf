"""Strategies over whole attempts: how many more to make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.search.attempts import AdaptiveBestOfN, BestOfN, MajorityVote, Single, WeightedVote
from agent.search.strategy import By, Strategy, attempts, majority
from tests.agent.search.candidates import answered


@pytest.mark.parametrize(
    ("strategy", "n"), [(Single(), 1), (MajorityVote(5), 5), (WeightedVote(2), 2), (BestOfN(3), 3)]
)
def test_a_fixed_strategy_asks_for_all_that_is_missing(strategy: Strategy, n: int) -> None:
    for made in range(n + 1):
        assert strategy.grow(answered(*["75"] * made)) == attempts(n - made)
    assert strategy.stopping_rule == f"fixed n={n}"


def test_adaptive_attempts_come_in_waves_until_the_leader_is_clear() -> None:
    strategy = AdaptiveBestOfN(n=8, wave=2, level=0.97)
    assert strategy.grow([]) == attempts(2)
    assert strategy.grow(answered("75", "75")) == attempts(2)  # 0.952
    assert strategy.grow(answered("75", "75", "75", "75")) == []  # 1.0
    assert strategy.grow(answered("75", "75", "75", "80")) == attempts(2)  # 0.929
    assert strategy.stopping_rule == "posterior>=0.97 wave=2 n<=8"


def test_adaptive_attempts_never_pass_n_however_unsure_they_are() -> None:
    strategy = AdaptiveBestOfN(n=5, wave=2)
    assert strategy.grow(answered("1", "2", "3", "4")) == attempts(1)
    assert strategy.grow(answered("1", "2", "3", "4", "5")) == []


def test_who_came_to_no_answer_has_no_vote() -> None:
    assert AdaptiveBestOfN(n=8, wave=2).grow(answered(None, None, None, None)) == attempts(2)


@pytest.mark.parametrize(("by", "path"), [("majority", (1,)), ("best", (0,)), ("weighted", (2,))])
def test_an_adaptive_search_chooses_as_it_is_told(by: By, path: tuple[int, ...]) -> None:
    made = answered("80", "75", "75", scores=(0.9, 0.4, 0.6))
    assert AdaptiveBestOfN(n=8, by=by).choose(made).path == path


votes = st.lists(st.sampled_from(["1", "2", None]), min_size=1, max_size=6)


@given(votes, st.lists(st.sampled_from(["1", "2", "3", None]), max_size=6))
def test_a_vote_is_settled_only_where_nothing_can_change_its_answer(
    first: list[str | None], rest: list[str | None]
) -> None:
    strategy, made = MajorityVote(12), answered(*first, *rest)
    if strategy.settled(made[: len(first)], len(rest)):
        answers = {candidate.path: candidate.answer for candidate in made}
        assert answers[majority(made).path] == answers[majority(made[: len(first)]).path]


def test_a_clear_lead_settles_a_vote() -> None:
    assert MajorityVote(5).settled(answered("75", "75", "75"), under_way=2)
    assert not MajorityVote(5).settled(answered("75", "75", "80"), under_way=2)
