"""One outcome a question, summed up and compared."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.results import Outcome, Result, bootstrap, compare, holm, mcnemar, together


def outcomes(*right: float, tokens: float = 10.0) -> tuple[Outcome, ...]:
    return tuple(Outcome(str(i), each, tokens, 1.0) for i, each in enumerate(right))


def test_what_a_solved_question_costs_is_all_tokens_by_the_solved() -> None:
    result = Result("units", 1, "low", "single", outcomes(1, 0, 1, 0))
    assert (result.accuracy, result.tokens_per_question, result.tokens_per_solved) == (0.5, 10, 20)


def test_two_ways_are_compared_on_the_same_questions_only() -> None:
    assert compare(outcomes(1, 1, 0), outcomes(1, 0, 0, tokens=40)).token_ratio == 0.25
    with pytest.raises(ValueError, match="same questions"):
        compare(outcomes(1, 1), outcomes(1))


def test_a_difference_that_is_there_is_outside_of_chance() -> None:
    better, worse = outcomes(*[1] * 80, *[0] * 20), outcomes(*[1] * 60, *[0] * 40)
    found = compare(better, worse)
    assert found.difference == pytest.approx(0.2)
    assert 0.11 < found.interval[0] < 0.2 < found.interval[1] < 0.29
    assert found.p < 1e-5


def test_the_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    draw, covered = random.Random(0), 0
    for trial in range(60):
        low, high = bootstrap([float(draw.random() < 0.3) for _ in range(100)], seed=trial)
        covered += low <= 0.3 <= high
    assert 52 <= covered <= 60


@pytest.mark.parametrize(("wins", "losses", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (8, 2, 0.109375), (3, 3, 1.0)])
def test_mcnemar_asks_whether_a_fair_coin_would_do_that(wins: int, losses: int, p: float) -> None:
    assert mcnemar(wins, losses) == pytest.approx(p)


def test_mcnemar_knows_thousands_of_questions() -> None:
    assert mcnemar(520, 510) == pytest.approx(0.779, abs=1e-3)
    assert mcnemar(1200, 1000) < 1e-4


def test_three_questions_without_a_difference_prove_nothing_and_1500_nearly_so() -> None:
    low, high = compare(outcomes(1, 1, 1), outcomes(1, 1, 1)).interval
    assert low <= -0.3 < 0.3 <= high
    low, high = compare(outcomes(*[1] * 1500), outcomes(*[1] * 1500)).interval
    assert -0.003 < low < 0 < high < 0.003


def test_looking_more_often_needs_more() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_corrected_p_values_keep_their_order_and_never_shrink(ps: list[float]) -> None:
    corrected = holm(ps)
    assert all(after >= before for before, after in zip(ps, corrected, strict=True))
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    assert [corrected[i] for i in order] == sorted(corrected)


def test_suites_are_put_together_for_the_ways_that_answered_all_of_them() -> None:
    def row(tier: int, strategy: str) -> Result:
        return Result("units", tier, "", strategy, outcomes(1, 0))

    [both] = together([row(1, "a"), row(2, "a"), row(1, "b")])
    assert (both.suite, both.strategy, both.questions) == ("all", "a", 4)
    assert together([row(1, "a"), row(1, "b")]) == []
