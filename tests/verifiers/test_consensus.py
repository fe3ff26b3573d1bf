"""Consensus: the share of the finished candidates that agree."""

from hypothesis import given
from hypothesis import strategies as st

from verifiers.consensus import Consensus
from verifiers.verdict import Case


async def scores(*answers: str | None, question: str = "") -> list[float | None]:
    """None stands for a candidate that did not finish."""
    cases = [
        Case(question, "Answer: 9" if answer is None else answer, finished=answer is not None) for answer in answers
    ]
    return [verdict.score for verdict in await Consensus().verify(cases)]


async def test_the_score_is_the_share_of_the_finished_that_agree() -> None:
    given = ["Answer: 75", "so it is\nAnswer: 75.0", "Answer: 84", r"\boxed{75}"]
    assert await scores(*given) == [0.75, 0.75, 0.25, 0.75]


async def test_a_near_miss_does_not_join_the_majority() -> None:
    assert await scores("Answer: 75", "Answer: 75", "Answer: 7.5", "Answer: 75 km") == [0.5, 0.5, 0.25, 0.25]


async def test_the_questions_unit_does_not_split_the_vote() -> None:
    assert await scores("Answer: 75 pens", "Answer: 75", question="How many pens?") == [1.0, 1.0]


async def test_an_unfinished_candidate_has_no_vote_and_scores_nothing() -> None:
    assert await scores("Answer: 9", "Answer: 8", None) == [0.5, 0.5, 0.0]


async def test_the_whole_text_stands_for_an_answer_that_is_not_stated() -> None:
    assert await scores("I can't do that.", "i can't do that", "Answer: 9", "") == [0.5, 0.5, 0.25, 0.0]


async def test_there_is_no_score_where_there_is_nothing_to_agree_on() -> None:
    assert await scores("Answer: 9") == [None]
    assert await scores("Answer: 9", None) == [None, None]
    assert await scores("Hello!", "Hi!") == [None, None]
    assert await scores() == []


@given(st.lists(st.sampled_from(["Answer: 1", "Answer: 2", "Answer: 1.0"]), min_size=2))
async def test_every_candidate_scores_the_share_of_its_like(answers: list[str]) -> None:
    alike = [answer.removesuffix(".0") for answer in answers]
    assert await scores(*answers) == [alike.count(answer) / len(alike) for answer in alike]
