"""Mathematical equality: right in any notation, wrong in every near miss, and never stuck on a hostile answer."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifiers.math_answers import LONGEST_FORMULA, MathAnswers, compare_plainly
from verifiers.verdict import Case

SAME_NUMBER = [
    ("75", "75.0"),
    ("1000", "1,000"),
    ("1/2", "0.5"),
    (r"\frac{1}{2}", "0.5"),
    ("3/2", "1 1/2"),
    ("-5", "\u22125"),
    ("1/3", "0.333333"),
    ("2/3", "0.6666667"),
    ("50%", "0.5"),
    ("0.035", "3.5%"),
    ("$12", "12 dollars"),
    ("12 km", "12 kilometers"),
    ("Tuesday", r"\text{tuesday}."),
]
OTHER_NUMBER = [
    ("75", "76"),
    ("75", "7.5"),
    ("5", "-5"),
    ("1/3", "0.33"),
    ("1/3", "0.333334"),
    ("2/3", "0.666666"),
    ("0.5", "0.5%"),
    ("1", "1.0000001"),
    ("0", "0.00000001"),
    ("12 km", "12 miles"),
    ("$12", "\u20ac12"),
    ("1000 grams", "1 kilogram"),
    ("5", "5 or six"),
    ("listen", "silent"),
    ("no", "on"),
    ("5 cats", "5 acts"),
    ("Tuesday", "Thursday"),
    ("12_8", "12"),
    ("3", "x" * LONGEST_FORMULA),
    ("x", "$x$ or $y$"),
]
SAME_FORMULA = [
    ("2x", "x*2"),
    ("x^2+2x+1", "(x+1)^2"),
    (r"\sqrt{8}", r"2\sqrt{2}"),
    ("sqrt(8)", "2*sqrt(2)"),
    (r"\sqrt{12}", "2sqrt(3)"),
    ("x=5", "5"),
    ("5", "x = 5"),
    ("1024", "2**10"),
    ("2^10", "1024"),
    ("pi", r"\pi"),
    ("2\u03c0", "2 pi"),
    (r"\infty", "\u221e"),
    ("1", "sin(x)^2+cos(x)^2"),
    ("x^-2", "1/x^2"),
    ("3x/4", "3/4 x"),
    ("{1,2}", "2, 1"),
    ("[1,2]", "[1, 2]"),
    ("5!", "120"),
    (r"\binom{5}{2}", "10"),
    ("x>3", "3<x"),
    ("log(8)/log(2)", "3"),
    (r"\frac{\sqrt{2}}{2}", r"1/\sqrt{2}"),
    ("e^x", "exp(x)"),
    (r"\tan x", r"\frac{\sin x}{\cos x}"),
    ("x+y", "y+x"),
    (r"1.5 \times 10^3", "1500"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix} 1 & 2 \end{pmatrix}"),
    (r"\sqrt{2}", "1.414214"),
]
OTHER_FORMULA = [
    ("2x", "2y"),
    ("x^2", "x^3"),
    ("x+1", "y+1"),
    ("1/x", "x"),
    ("x-y", "y-x"),
    ("x=5", "y=5"),
    ("x=5", "x=6"),
    (r"\sqrt{2}", "1.414"),
    ("1024", "2**11"),
    ("|x|", "x"),
    ("x>3", "x<3"),
    ("x>3", r"x\ge 3"),
    ("(1,2)", "(2,1)"),
    ("[1,2)", "[1,2]"),
    ("{1,2}", "1, 2, 3"),
    ("5 m", "5 km"),
    (r"\frac{\sqrt{2}}{10^9}", "0.0"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}2&1\end{pmatrix}"),
    ("x", ""),
    ("x^2", "x^{2"),
]
HOSTILE = [
    "9^{9^{9^{9}}}",
    "10**10**10",
    "(10^9)!",
    r"\binom{10^{6}}{5\cdot 10^{5}}",
    r"\frac{" * 30 + "1" + "}{2}" * 30,
    "(x+y+z)^{500}",
    "(" * 150 + "1" + ")" * 150,
    "{" * 200,
    "^" * 300,
    "9" * LONGEST_FORMULA,
    "\x00",
    "\ud800",
    "$$",
    r"\text{" * 40 + "}" * 40,
    "__import__('os').system('touch hacked')",
    r"\input{/etc/passwd}",
    "1e999999999",
    "0**-1",
    "x" * 1_000_000,
]


@pytest.fixture(scope="module")
def math() -> Iterator[MathAnswers]:
    verifier = MathAnswers(cpu_seconds=0.3)
    yield verifier
    verifier.close()


async def score_of(verifier: MathAnswers, gold: str | None, answer: str, question: str = "") -> float | None:
    (verdict,) = await verifier.verify([Case(question, f"So it is.\n\nAnswer: {answer}", gold=gold)])
    assert verdict.reason
    return verdict.score


@pytest.mark.parametrize(("gold", "answer"), SAME_NUMBER)
def test_equal_numbers_and_words_need_no_sympy(gold: str, answer: str) -> None:
    assert compare_plainly(gold, answer) is True


@pytest.mark.parametrize(("gold", "answer"), OTHER_NUMBER)
def test_unequal_numbers_and_words_need_no_sympy(gold: str, answer: str) -> None:
    assert compare_plainly(gold, answer) is False


async def test_equal_formulas_pass(math: MathAnswers) -> None:
    failed = [pair for pair in SAME_FORMULA if await score_of(math, *pair) != 1.0]
    assert not failed


async def test_near_misses_fail(math: MathAnswers) -> None:
    passed = [pair for pair in OTHER_FORMULA if await score_of(math, *pair) != 0.0]
    assert not passed


async def test_a_hostile_answer_scores_0_and_does_nothing(
    math: MathAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scores = {answer[:40]: await score_of(math, "x^2 + 1", answer) for answer in HOSTILE}
    assert set(scores.values()) == {0.0}, scores
    assert not os.listdir(tmp_path)


async def test_the_questions_unit_may_be_left_out_but_not_exchanged(math: MathAnswers) -> None:
    asked = "How many km is it?"
    assert await score_of(math, "12", "12 km", asked) == 1.0
    assert await score_of(math, "12 km", "12", asked) == 1.0
    assert await score_of(math, "12 km", "12 m", asked) == 0.0


async def test_without_a_reference_there_is_no_score(math: MathAnswers) -> None:
    assert await score_of(math, None, "75") is None


async def test_no_final_answer_fails(math: MathAnswers) -> None:
    cases = [Case("", "It is 75.", gold="75"), Case("", "Answer: 75", gold="75", finished=False)]
    assert [verdict.score for verdict in await math.verify(cases)] == [0.0, 0.0]
