import contextlib
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tools.calculator import EXACT_DIGITS, evaluate
from tools.tool import ToolError


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("12*7-9", "75"),
        ("1/8", "0.125"),
        ("0.1 + 0.2", "0.3"),
        ("1/3", "1/3 (about 0.3333333333)"),
        ("-2/3", "-2/3 (about -0.6666666667)"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("7.5 % 2", "1.5"),
        ("2**10", "1024"),
        ("2^10", "1024"),
        ("2**-2", "0.25"),
        ("-2**2", "-4"),
        ("12 × 7 ÷ 2 − 1", "41"),  # noqa: RUF001
        ("12 x 7", "84"),
        ("+-+3", "-3"),
        ("((((1))))", "1"),
        ("1,234.5 + 1", "1235.5"),
        ("(1,000,000)/4", "250000"),
        ("1e3 + 1E-3", "1000.001"),
        (".5 + 5.", "5.5"),
        ("007 + 1_000", "1007"),
        ("max(3, 500) + min(1, 2, -3)", "497"),
        ("max(12,15)", "15"),
        ("abs(-3) + floor(7/2) + ceil(7/2)", "10"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(1234.567, 2)", "1234.57"),
        ("round(1234.567, -2)", "1200"),
        ("sqrt(16)", "4"),
        ("sqrt(1/4)", "0.5"),
        ("27**(1/3)", "3"),
        ("8**(2/3)", "4"),
        ("sqrt(2)", "about 1.414213562"),
        ("sqrt(2)*sqrt(2)", "about 2"),
        ("max(3, sqrt(2))", "3"),
        ("floor(sqrt(10))", "3"),
        ("1000*(1+0.05/12)**360", "about 4467.744314"),
        ("2**100", "1267650600228229401496703205376 (about 1.2676506e30)"),
        ("2**1000", "about 1.071508607e301"),
        ("99999999999999999999", "99999999999999999999"),
        ("100000000000000000000", "100000000000000000000 (about 1e20)"),
        ("1/2**30", "1/1073741824 (about 9.313225746e-10)"),
        ("0 * -5", "0"),
        ("\n 1 +\n 2 ", "3"),
    ],
)
def test_an_expression_has_this_value(expression, answer):
    assert evaluate(expression) == answer


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("15%", "0.15"),
        ("15% * 80", "12"),
        ("15% of 80", "12"),
        ("80 * 15%", "12"),
        ("80 * -15%", "-12"),
        ("200 + 15% * 200", "230"),
        ("2,000 * 7.5%", "150"),
        ("max(5%, 3)", "3"),
        ("17 % 5", "2"),
        ("17%5", "2"),
        ("17 % (2+3)", "2"),
    ],
)
def test_a_percent_sign_is_read_where_it_can_mean_one_thing(expression, answer):
    assert evaluate(expression) == answer


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("200 + 15%", "ambiguous"),
        ("(200 - 15%) * 2", "ambiguous"),
        ("10 % -3", "ambiguous"),
        ("5% + 3%", "ambiguous"),
        ("max(1,200)", "ambiguous; put a space"),
        ("1/0", "Division by zero"),
        ("1 % 0", "Division by zero"),
        ("1 // 0", "Division by zero"),
        ("0**-1", "Division by zero"),
        ("", "empty"),
        ("3 +", "not a complete"),
        ("1 000", "not a complete"),
        ("12,34", "one number"),
        ("$5", "'\\$' is not arithmetic"),
        ("3 = 3", "'=' is not arithmetic"),
        ("pi * 2", "'pi' is not known"),
        ("__import__('os')", "is not arithmetic"),
        ("().__class__", "is not arithmetic"),
        ("lambda", "not a complete"),
        ("not 1", "one number"),
        ("1 if 1 else 2", "one number"),
        ("2(3+4)", r"A \* is missing"),
        ("sqrt(-1)", "negative number"),
        ("(-8)**(1/3)", "negative number"),
        ("2**(1/13)", "at most 12"),
        ("min()", "takes 1 or more"),
        ("round(1, 2, 3)", "takes 1 or 2"),
        ("round(1, 0.5)", "whole number of decimal places"),
        ("sqrt(2)*sqrt(2)-2", "too close to 0"),
        ("1/(sqrt(2)-sqrt(2))", "too close to 0"),
        ("floor(sqrt(2)*sqrt(2))", "too close to a whole number"),
    ],
)
def test_what_has_no_one_value_is_refused_with_a_reason(expression, reason):
    with pytest.raises(ToolError, match=reason):
        evaluate(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9**9",
        "9**99999999999999999999",
        "10**100000",
        "1e999999999",
        "0.5**100000",
        "(" * 400 + "1" + ")" * 400,
        "-" * 999 + "1",
        "1" * 100_000,
        "*".join(["9" * 90] * 11) + "**99",
        "sqrt(" * 200 + "2" + ")" * 200,
    ],
    ids=lambda text: text[:12],
)
def test_what_would_grow_without_bound_is_refused_at_once(expression):
    with pytest.raises(ToolError):  # without the bounds, hours
        evaluate(expression)


def value_of(text):
    """The number in an answer: exactly where it is exact, else its decimal."""
    exact = text.split(" (about ")[0]
    return Fraction(exact) if not exact.startswith("about ") else Fraction(Decimal(exact.removeprefix("about ")))


numbers = st.one_of(
    st.integers(0, 10**6).map(lambda n: (str(n), Fraction(n))),
    st.decimals(0, 10**4, places=3).map(lambda d: (f"{d:f}", Fraction(d))),
    st.integers(1_000, 10**9).map(lambda n: (f"{n:,}", Fraction(n))),
    st.integers(0, 100).map(lambda n: (f"({n}%)", Fraction(n, 100))),
)


def combined(inner):
    binary = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "//": lambda a, b: Fraction(a // b),
        "%": lambda a, b: a % b,
    }

    def join(left, operator, right):
        if operator in ("/", "//", "%"):
            assume(right[1] != 0)
        return f"({left[0]} {operator} ({right[0]}))", binary[operator](left[1], right[1])

    return st.one_of(
        st.builds(join, inner, st.sampled_from(list(binary)), inner),
        st.builds(lambda x: (f"-({x[0]})", -x[1]), inner),
        st.builds(lambda x, n: (f"({x[0]})**{n}", x[1] ** n), inner, st.integers(0, 4)),
        st.builds(lambda x: (f"abs({x[0]})", abs(x[1])), inner.filter(lambda x: "," not in x[0])),
    )


@given(st.recursive(numbers, combined, max_leaves=8))
def test_an_expression_of_rationals_has_the_value_that_fractions_give_it(expression):
    text, expected = expression
    assume(len(text) < 1_000 and max(abs(expected.numerator), expected.denominator) < 10**100)
    try:
        answer = evaluate(text)
    except ToolError as error:
        assume("grow too large" not in str(error))
        raise
    if answer.startswith("about "):
        assert value_of(answer) == pytest.approx(expected, rel=1e-9)
    else:
        assert value_of(answer) == expected


@given(st.integers(-(10**30), 10**30), st.integers(0, 25))
def test_a_finite_decimal_of_at_most_twenty_digits_is_written_out_whole(numerator, places):
    expected = Fraction(numerator, 10**places)
    answer = evaluate(f"({numerator})/10**{places}")
    whole = len(str(int(abs(expected)))) if abs(expected) >= 1 else 0
    decimals = next(k for k in range(places + 1) if (expected * 10**k).denominator == 1)
    assert value_of(answer) == expected
    assert ("about" not in answer) == (whole + decimals <= EXACT_DIGITS)


@given(st.fractions(0, 10**12), st.integers(2, 12))
def test_a_root_is_right_to_ten_digits(x, k):
    answer = evaluate(f"({x.numerator}/{x.denominator})**(1/{k})")
    root = value_of(answer)
    if answer.startswith("about "):
        assert float(root) == pytest.approx(math.pow(x, 1 / k), rel=1e-9)
    else:
        assert root**k == x


@given(st.text(max_size=60) | st.text("0123456789.,+-*/%() eEx_", max_size=60))
def test_any_text_gives_an_answer_or_a_tool_error(text):
    with contextlib.suppress(ToolError):
        assert evaluate(text)


@pytest.mark.parametrize("expression", ["True", "False", "None", "1 + True"])
def test_a_constant_that_is_no_number_is_refused(expression: str) -> None:
    with pytest.raises(ToolError):
        evaluate(expression)
