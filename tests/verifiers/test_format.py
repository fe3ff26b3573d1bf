"""Format: a closed thought, an answer that is only an answer, and its last line."""

import pytest

from verifiers.format import Format
from verifiers.verdict import Case

GOLD_CASE = Case("How many?", "12 * 7 - 9 = 75\n\nAnswer: 75", thought="12 boxes of 7", gold="75")


async def score_of(case: Case) -> float | None:
    (verdict,) = await Format().verify([case])
    assert verdict.reason
    return verdict.score


async def test_a_clean_answer_passes() -> None:
    assert await score_of(GOLD_CASE) == 1.0
    assert await score_of(Case("Hello", "Hello! What can I do?")) == 1.0


@pytest.mark.parametrize(
    "answer",
    [
        "Answer: 75\nI hope this helps!",
        "It is 75.",
        "Answer:",
        "**Answer:**",
        "",
        " \n ",
        '<tool_call>\n{"name": "calculator"}\n</tool_call>\nAnswer: 75',
        "</think>\nAnswer: 75",
        "<think>12 * 7\nAnswer: 75",
        "<|im_start|>assistant\nAnswer: 75",
        "Answer: 75<|im_end|>",
        "</tool_response>\nAnswer: 75",
    ],
)
async def test_a_near_miss_fails(answer: str) -> None:
    assert await score_of(Case("How many?", answer, gold="75")) == 0.0


async def test_an_answer_line_is_only_expected_where_there_is_a_reference_or_the_task_says_so() -> None:
    assert await score_of(Case("Hello", "Hello!", metadata={"answer_line": True})) == 0.0
    assert await score_of(Case("Hello", "Hello!", gold="declined", metadata={"answer_line": False})) == 1.0


async def test_a_quoted_control_token_is_not_a_stray_one() -> None:
    assert await score_of(Case("What is it?", "`<think>` opens a thought:\n```\n<think>Well.</think>\n```")) == 1.0


@pytest.mark.parametrize("outcome", ["unclosed_thought", "budget", "cancelled"])
async def test_a_candidate_that_never_answered_fails(outcome: str) -> None:
    assert await score_of(Case("How many?", "Answer: 75", finished=False, outcome=outcome)) == 0.0
