"""Choosing: which answer is given."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.records import Ending
from agent.search.attempts import AdaptiveBestOfN, BestOfN, MajorityVote, WeightedVote
from agent.search.strategy import Candidate, Strategy, best, majority, weighted
from tests.agent.search.candidates import answered

CHOOSING = [MajorityVote(4), WeightedVote(4), BestOfN(8), AdaptiveBestOfN(8, wave=2, level=0.9)]


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


def test_the_answer_with_the_highest_sum_of_scores_is_given_by_its_best_attempt() -> None:
    choice = weighted(answered("80", "75", "75", None, scores=(0.8, 0.4, 0.5, None)))
    assert choice.path == (2,)
    assert choice.reason == "2 of 4 attempts agree, with 0.90 of 1.70 in scores"


def test_a_vote_is_not_weighted_where_a_score_is_missing() -> None:
    assert weighted(answered("80", "75", "75", scores=(0.9, None, 0.1))).path == (1,)


candidates = st.lists(st.tuples(st.sampled_from(["1", "2", None]), st.none() | st.floats(0, 1)), min_size=1).map(
    lambda drawn: answered(*(answer for answer, _ in drawn), scores=tuple(score for _, score in drawn))
)


@given(candidates, st.sampled_from(CHOOSING))
def test_an_answer_is_given_wherever_there_is_one(made: list[Candidate], strategy: Strategy) -> None:
    chosen = next(candidate for candidate in made if candidate.path == strategy.choose(made).path)
    assert chosen.answered == any(candidate.answered for candidate in made)


def test_of_answers_with_as_many_votes_the_one_leads_that_the_model_was_surest_of() -> None:
    drawn = [
        replace(c, logprob=-nats)
        for c, nats in zip(answered("74", "75", "74", "75"), (0.1, 0.2, 0.9, 0.3), strict=True)
    ]
    assert majority(drawn).path == (1,)
    assert majority(drawn[:3]).path == (0,)
    scored = [replace(c, score=0.5) for c in drawn]
    assert best(scored).path == (0,)
    assert best([*scored[:3], replace(scored[3], score=0.6)]).path == (3,)
