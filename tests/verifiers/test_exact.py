"""Exact: the reference in any spelling, and nothing else."""

import pytest

from verifiers.exact import Exact
from verifiers.verdict import Case


async def score_of(answer: str, gold: str | None, question: str = "", finished: bool = True) -> float | None:
    (verdict,) = await Exact().verify([Case(question, answer, gold=gold, finished=finished)])
    assert verdict.reason
    return verdict.score


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("Answer: 75", "75"), ("Answer: **Paris.**", "paris"), ("Answer: 1,000.0", "1000"), (r"\boxed{0.5}", "1/2")],
)
async def test_the_reference_passes_in_any_spelling(answer: str, gold: str) -> None:
    assert await score_of(answer, gold) == 1.0


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("Answer: 76", "75"),
        ("Answer: 75 or 76", "75"),
        ("Answer: Pariss", "Paris"),
        ("The answer is 75.", "75"),
        ("<think>Answer: 75</think>", "75"),
        ("Answer: x*2", "2x"),
        ("", "75"),
    ],
)
async def test_a_near_miss_fails(answer: str, gold: str) -> None:
    assert await score_of(answer, gold) == 0.0


async def test_the_questions_unit_may_be_left_out_but_not_exchanged() -> None:
    asked = "How many km is it?"
    assert await score_of("Answer: 12 km", "12", asked) == 1.0
    assert await score_of("Answer: 12", "12 km", asked) == 1.0
    assert await score_of("Answer: 12 m", "12 km", asked) == 0.0


async def test_without_a_reference_there_is_no_score() -> None:
    assert await score_of("Answer: 75", None) is None


async def test_an_unfinished_answer_fails() -> None:
    assert await score_of("Answer: 75", "75", finished=False) == 0.0
