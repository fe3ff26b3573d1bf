"""Auto effort: one attempt, and more only while its answer is not likely enough to be right."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.search.auto import Auto, probability_right, signs
from agent.search.strategy import By, Candidate, Grow, attempts
from tests.agent.search.candidates import answered

SURE = (0.0, -1.0, 0.0, 0.0)  # by doubt alone: 0.001 nats a token give 0.998, 1 nat gives 0.5
FITTED = Auto(n=8, enough=0.9, weights=SURE)


def drawn(*attempts: tuple[str | None, float]) -> list[Candidate]:
    """Answers, and how many nats a token each was drawn with."""
    candidates = answered(*(answer for answer, _ in attempts))
    return [replace(c, logprob=-nats) for c, (_, nats) in zip(candidates, attempts, strict=True)]


def test_it_begins_with_one_attempt() -> None:
    assert FITTED.grow([]) == Auto().grow([]) == attempts(1)


def test_one_attempt_is_enough_where_the_model_was_sure_of_its_tokens() -> None:
    assert FITTED.grow(drawn(("75", 0.001))) == []
    assert FITTED.grow(drawn(("75", 0.4))) == attempts(1)


def test_waves_grow_from_one_to_the_wave() -> None:
    unsure = [("75", 1.0), ("80", 1.0)] * 3
    assert [FITTED.grow(drawn(*unsure[:made])) for made in (1, 2, 4, 6)] == [attempts(n) for n in (1, 2, 2, 2)]
    assert replace(FITTED, n=7).grow(drawn(*unsure)) == attempts(1)


def test_it_never_passes_n() -> None:
    assert FITTED.grow(drawn(*[(str(i), 1.0) for i in range(8)])) == []


def test_a_vote_that_is_settled_ends_it_however_unsure_the_model_is() -> None:
    assert FITTED.grow(drawn(*[("75", 1.0)] * 4)) == []


def test_without_a_fit_only_agreement_ends_it() -> None:
    assert Auto().grow(drawn(("75", 0.0))) == attempts(1)
    assert Auto().stopping_rule == "posterior>=0.99 wave=2 n<=8"
    assert FITTED.stopping_rule.startswith("right>=0.9 or posterior")


def test_an_attempt_without_an_answer_is_never_enough() -> None:
    assert FITTED.grow(drawn((None, 0.0))) == attempts(1)
    assert probability_right(drawn((None, 0.0)), SURE) == 0.0


def test_only_the_attempts_of_the_leading_answer_speak_for_it() -> None:
    alone, with_doubtful_other = drawn(("75", 0.1), ("75", 0.1)), drawn(("75", 0.1), ("75", 0.1), ("80", 2.0))
    assert signs(alone)[1] == signs(with_doubtful_other)[1]
    assert signs(alone)[2] > signs(with_doubtful_other)[2]


def test_a_score_speaks_from_minus_one_to_one_and_a_missing_one_not_at_all() -> None:
    one = drawn(("75", 0.1))
    assert [signs([replace(one[0], score=score)])[3] for score in (0.0, 0.75, None)] == [-1.0, 0.5, 0.0]


def test_a_first_attempt_may_answer_without_a_thought_and_counts_only_where_it_is_sure() -> None:
    quick = replace(FITTED, quick_weights=SURE)
    assert quick.grow([]) == [Grow(bridge="close")]
    sure, unsure = ([replace(c, bridge="close") for c in drawn(("75", nats))] for nats in (0.001, 1.0))
    assert quick.grow(sure) == []
    assert quick.choose(sure).reason == "likely enough without a thought"
    assert quick.grow(unsure) == attempts(1)
    assert FITTED.choose(sure).path == (0,), "it was fitted without such an attempt, and has nothing else"
    first, second = drawn(("75", 1.0), ("80", 0.001))
    assert quick.grow([replace(first, bridge="close"), second]) == []
    assert quick.choose([replace(first, bridge="close"), second]).path == (1,)


@given(
    st.lists(st.tuples(st.sampled_from(["1", "2", "3", None]), st.floats(0, 5)), min_size=1, max_size=8),
    st.lists(st.floats(-50, 50), min_size=4, max_size=4),
)
def test_the_probability_is_one(attempts: list[tuple[str | None, float]], weights: list[float]) -> None:
    assert 0.0 <= probability_right(drawn(*attempts), weights) <= 1.0


@pytest.mark.parametrize(("by", "path"), [("majority", (1,)), ("best", (0,))])
def test_it_chooses_as_it_is_told(by: By, path: tuple[int]) -> None:
    first, second, third = answered("80", "75", "75")
    candidates = [replace(first, score=0.9), replace(second, score=0.2), replace(third, score=0.1)]
    assert Auto(by=by).choose(candidates).path == path
