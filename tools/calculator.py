"""Arithmetic on exact numbers: rationals and decimals, read through ``ast`` and never through ``eval``.

Not a computer algebra system: there are no variables, and an irrational root is a decimal with a proven error bound
(ball arithmetic). The model calls it as the tool ``calculator``; ``evaluate`` is the plain function behind it.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import NamedTuple

from tools.tool import ToolError, tool

MAX_CHARACTERS = 1_000  # of an expression
MAX_DEPTH = 50  # of parentheses
MAX_BITS = 4_096  # of a numerator or denominator, at every step: 1,233 digits, so that nothing takes long
EXACT_DIGITS = 20  # a finite decimal of at most this many digits is the whole answer
SHOWN_DIGITS = 100  # longer fractions are shown by their decimal alone
MAX_ROOT = 12  # the divisor of a fractional power: 2**(1/12) is the last that is taken
_KEPT_DIGITS = 60  # significant digits of an inexact number

# The multiplication sign and two dots, the division sign, the minus sign and the en dash, and the no-break space.
_SPELLINGS = str.maketrans(
    {"\xd7": "*", "\xb7": "*", "\u22c5": "*", "\xf7": "/", "\u2212": "-", "\u2013": "-", "^": "**", "\xa0": " "}
)
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<operator>\*\*|//|[-+*/%(),]))",
    re.ASCII,
)


class Token(NamedTuple):
    kind: str  # "number" | "name" | "operator" | "percent" | "end"
    text: str


END = Token("end", "")


@dataclass(frozen=True, slots=True)
class Number:
    """A rational number, and how far at most the true value is from it."""

    value: Fraction
    error: Fraction = Fraction(0)  # 0: exact

    def __post_init__(self) -> None:
        if max(self.value.numerator.bit_length(), self.value.denominator.bit_length()) > MAX_BITS:
            raise ToolError("The numbers grow too large or too small to write out; change the expression.")


@tool
async def calculator(expression: str) -> str:
    """Evaluate an arithmetic expression exactly."""
    return evaluate(expression)


def evaluate(expression: str) -> str:
    """The value as the model reads it: ``75``, ``0.125``, ``1/3 (about 0.3333333333)``, ``about 1.414213562``.

    Raises ToolError: it is not arithmetic, it is ambiguous, or it would grow beyond the bounds above.
    """
    if len(expression) > MAX_CHARACTERS:
        raise ToolError(f"The expression is longer than {MAX_CHARACTERS} characters; split it into steps.")
    source = _python_source(_tokens(expression))
    try:
        tree = ast.parse(source, mode="eval")
        return _written(_value(tree.body, source))
    except ZeroDivisionError as error:
        raise ToolError("Division by zero.") from error
    except SyntaxError as error:
        raise ToolError(f"{expression.strip()!r} is not a complete arithmetic expression.") from error
    except (RecursionError, MemoryError) as error:
        raise ToolError("The expression is nested too deeply; split it into steps.") from error


def _tokens(expression: str) -> list[Token]:
    text, tokens, position, depth = expression.translate(_SPELLINGS).rstrip(), [], 0, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            strange = text[position:].lstrip()[:1]
            raise ToolError(f"{strange!r} is not arithmetic; use numbers, + - * / // % ** and parentheses.")
        token = Token(match.lastgroup, match[match.lastgroup])
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth > MAX_DEPTH:
            raise ToolError(f"More than {MAX_DEPTH} parentheses are open at once; split the expression into steps.")
        tokens.append(Token("operator", "*") if token.text in ("x", "X") else token)
        position = match.end()
    if not tokens:
        raise ToolError("The expression is empty.")
    return tokens


def _python_source(tokens: list[Token]) -> str:
    """The tokens as Python: no thousands separators, percentages as fractions."""
    _refuse_separators_between_arguments(tokens)
    tokens = _with_percentages(tokens)
    return " ".join(_plain_number(token.text) if token.kind == "number" else token.text for token in tokens)


def _plain_number(text: str) -> str:
    """Without thousands separators, and without the leading zeros that Python refuses."""
    return re.sub(r"^0+(?=\d)", "", text.replace(",", ""))


def _refuse_separators_between_arguments(tokens: list[Token]) -> None:
    """``max(1,200)`` may be one number or two; guessing would be wrong without anybody noticing."""
    calls: list[bool] = []  # for each open parenthesis, whether it holds the arguments of a function
    for before, token in itertools.pairwise([END, *tokens]):
        if token.text == "(":
            calls.append(before.kind == "name")
        elif token.text == ")" and calls:
            calls.pop()
        elif token.kind == "number" and "," in token.text and calls and calls[-1]:
            raise ToolError(f"{token.text!r} between arguments is ambiguous; put a space after a comma that separates.")


def _with_percentages(tokens: list[Token]) -> list[Token]:
    """``15%`` as 15/100 where it can be nothing else; ``10 % 3`` stays the remainder.

    After a number, ``%`` is a percent sign before ``*``, ``/``, ``of``, ``)``, ``,`` and the end, and the remainder
    before a number, a name or ``(``. Before + and - it could be either, and ``200 + 15%`` could mean 230 or 200.15:
    both are errors.
    """
    result: list[Token] = []
    for token, after in itertools.pairwise([*tokens, END]):
        previous = result[-1] if result else END
        if token.text == "of" and previous.kind == "percent":
            result.append(Token("operator", "*"))
        elif token.text != "%" or previous.kind != "number":
            result.append(token)
        elif after.text in ("+", "-"):
            raise ToolError(f"'{previous.text}% {after.text}' is ambiguous; write {previous.text}/100 or parentheses.")
        elif after.text in ("*", "/", "//", "of", ")", ",", ""):
            _refuse_bare_percent(result[:-1], previous.text, after.text)
            result[-1] = Token("percent", f"({_plain_number(previous.text)}/100)")
        else:
            result.append(token)
    return result


def _refuse_bare_percent(before: list[Token], number: str, after: str) -> None:
    """A percentage that is the whole right side of + or - : of what?"""
    binary = len(before) > 1 and before[-1].text in ("+", "-")
    if binary and (before[-2].kind in ("number", "percent") or before[-2].text == ")") and after in (")", ",", ""):
        raise ToolError(f"'{before[-1].text} {number}%' is ambiguous: of what? Write it as in {number}% * 200.")


def _value(node: ast.expr, source: str) -> Number:
    match node:
        case ast.Constant(value=value) if type(value) in (int, float):  # True is a constant too
            return _literal(source[node.col_offset : node.end_col_offset])
        case ast.UnaryOp(op=ast.UAdd()):
            return _value(node.operand, source)
        case ast.UnaryOp(op=ast.USub()):
            return _negative(_value(node.operand, source))
        case ast.BinOp() if (combine := _OPERATORS.get(type(node.op))) is not None:
            return combine(_value(node.left, source), _value(node.right, source))
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
            return _call(name, [_value(argument, source) for argument in node.args])
        case ast.Call(func=ast.Constant() | ast.BinOp() | ast.Call()):
            raise ToolError("A * is missing before a parenthesis.")
        case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name):
            raise ToolError(f"{name!r} is not known; the functions are {', '.join(sorted(_FUNCTIONS))}.")
    raise ToolError("Only one number can be computed at a time; use + - * / // % ** and parentheses.")


def _literal(text: str) -> Number:
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent)) > MAX_BITS // 4:
        raise ToolError(f"{text} is too large or too small to write out.")
    return Number(Fraction(mantissa.rstrip(".").replace("_", "")) * Fraction(10) ** int(exponent or 0))


def _call(name: str, arguments: list[Number]) -> Number:
    least, most, function = _FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        wanted = f"{least}" if least == most else f"{least} or more" if most > 2 else f"{least} or {most}"
        raise ToolError(f"{name} takes {wanted} arguments; it was given {len(arguments)}.")
    return function(*arguments)


def _add(a: Number, b: Number) -> Number:
    return Number(a.value + b.value, a.error + b.error)


def _subtract(a: Number, b: Number) -> Number:
    return Number(a.value - b.value, a.error + b.error)


def _multiply(a: Number, b: Number) -> Number:
    return _rounded(a.value * b.value, abs(a.value) * b.error + abs(b.value) * a.error + a.error * b.error)


def _divide(a: Number, b: Number) -> Number:
    least = abs(b.value) - b.error  # the divisor is at least this far from 0
    if least <= 0 and b.error:
        raise ToolError("The divisor is too close to 0 to tell; simplify the expression.")
    quotient = a.value / b.value
    return _rounded(quotient, (a.error + abs(quotient) * b.error) / least)


def _floor_divide(a: Number, b: Number) -> Number:
    return _integer(_divide(a, b), math.floor)


def _remainder(a: Number, b: Number) -> Number:
    return _subtract(a, _multiply(_floor_divide(a, b), b))


def _power(base: Number, exponent: Number) -> Number:
    times, root = exponent.value.numerator, exponent.value.denominator
    if exponent.error or root > MAX_ROOT:
        raise ToolError(f"A power must be a whole number or a fraction with a divisor of at most {MAX_ROOT}.")
    if base.value == 0 and times < 0 and not base.error:
        raise ZeroDivisionError
    if abs(times).bit_length() > 64:
        raise ToolError("The power is too large; use a smaller one.")
    base = _root(base, root) if root > 1 else base
    result = _whole_power(base, abs(times))
    return result if times >= 0 else _divide(Number(Fraction(1)), result)


def _whole_power(base: Number, times: int) -> Number:
    """By squaring. A power that is too long to keep exactly, as of monthly interest, is kept to ``_KEPT_DIGITS``."""
    bits = max(base.value.numerator.bit_length(), base.value.denominator.bit_length()) - 1
    if not base.error and times * bits <= MAX_BITS:
        return Number(base.value**times)
    base = Number(base.value, base.error or abs(base.value) / 10**_KEPT_DIGITS)
    result = Number(Fraction(1))
    for bit in bin(times)[2:]:
        result = _multiply(result, result)
        result = _multiply(result, base) if bit == "1" else result
    return result


def _root(x: Number, k: int) -> Number:
    """The k-th root: exact where there is an exact one, else a decimal whose error is bounded.

    The whole root r of y has r <= y ** (1/k) < r + 1, so for y = x * scale ** k the true root lies within 1 / scale.
    """
    low, high = max(x.value - x.error, Fraction(0)), x.value + x.error
    if high < 0:
        raise ToolError("The root of a negative number is not a real number.")
    numerator, denominator = _whole_root(low.numerator, k), _whole_root(low.denominator, k)
    if not x.error and numerator**k == low.numerator and denominator**k == low.denominator:
        return Number(Fraction(numerator, denominator))
    scale = 10 ** max(0, _KEPT_DIGITS - _magnitude(high) // k)
    below = Fraction(_whole_root(math.floor(low * scale**k), k), scale)
    above = Fraction(_whole_root(math.ceil(high * scale**k), k) + 1, scale)
    return Number((below + above) / 2, (above - below) / 2)


def _whole_root(n: int, k: int) -> int:
    """The largest r with r ** k <= n, by Newton's method from above (n >= 0)."""
    if k == 2 or n < 2:
        return math.isqrt(n) if k == 2 else n
    root = 1 << -(-n.bit_length() // k)
    while (closer := ((k - 1) * root + n // root ** (k - 1)) // k) < root:
        root = closer
    return root


def _rounded(value: Fraction, error: Fraction) -> Number:
    """An inexact number with no more digits than its error leaves meaning to, so that fractions do not grow."""
    if not error:
        return Number(value)
    scale = Fraction(10) ** (_KEPT_DIGITS - _magnitude(max(abs(value), error)))
    kept = Fraction(round(value * scale)) / scale
    bound = Fraction(math.ceil((error + abs(value - kept)) * scale)) / scale
    return Number(kept, bound)


def _magnitude(x: Fraction) -> int:
    """A power of ten not far from x > 0: off by at most one."""
    return math.floor((x.numerator.bit_length() - x.denominator.bit_length()) * math.log10(2))


def _integer(x: Number, to_integer: Callable[[Fraction], int]) -> Number:
    low, high = to_integer(x.value - x.error), to_integer(x.value + x.error)
    if low != high:
        raise ToolError("The value is too close to a whole number to round safely; simplify the expression.")
    return Number(Fraction(low))


def _round(x: Number, digits: Number | None = None) -> Number:
    """Half away from zero, as it is taught."""
    places = digits.value if digits else Fraction(0)
    if places.denominator != 1 or abs(places) > SHOWN_DIGITS or (digits and digits.error):
        raise ToolError(f"round takes a whole number of decimal places, at most {SHOWN_DIGITS}.")
    scale = Number(Fraction(10) ** int(places))
    return _divide(_integer(_multiply(x, scale), _half_away), scale)


def _half_away(x: Fraction) -> int:
    return int(math.copysign(1, x)) * math.floor(abs(x) + Fraction(1, 2))


def _absolute(x: Number) -> Number:
    return Number(abs(x.value), x.error)


def _largest(*numbers: Number) -> Number:
    """The maximum; what cannot be told apart from it adds its error, and what can does not."""
    best = max(numbers, key=lambda number: number.value)
    rivals = [number for number in numbers if number.value + number.error >= best.value - best.error]
    return Number(best.value, max(number.error for number in rivals))


def _smallest(*numbers: Number) -> Number:
    return _negative(_largest(*map(_negative, numbers)))


def _negative(x: Number) -> Number:
    return Number(-x.value, x.error)


_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: _add,
    ast.Sub: _subtract,
    ast.Mult: _multiply,
    ast.Div: _divide,
    ast.FloorDiv: _floor_divide,
    ast.Mod: _remainder,
    ast.Pow: _power,
}
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Number]]] = {  # least and most arguments
    "sqrt": (1, 1, lambda x: _root(x, 2)),
    "abs": (1, 1, _absolute),
    "round": (1, 2, _round),
    "floor": (1, 1, lambda x: _integer(x, math.floor)),
    "ceil": (1, 1, lambda x: _integer(x, math.ceil)),
    "min": (1, MAX_CHARACTERS, _smallest),
    "max": (1, MAX_CHARACTERS, _largest),
}


def _written(number: Number) -> str:
    if number.error:
        return f"about {_approximate(number)}"
    finite = _finite_decimal(number.value)
    if finite is not None:
        return finite
    about = _approximate(number)
    fraction = str(number.value)
    return f"{fraction} (about {about})" if len(fraction) <= SHOWN_DIGITS else f"about {about}"


def _finite_decimal(value: Fraction) -> str | None:
    """``value`` written out, where at most ``EXACT_DIGITS`` digits (a leading 0 not counted) say it exactly."""
    for places in range(EXACT_DIGITS + 1):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = f"{abs(scaled.numerator):0{places + 1}d}"
            whole, decimals = digits[: len(digits) - places], digits[len(digits) - places :]
            if len(whole.lstrip("0") + decimals) > EXACT_DIGITS:
                return None
            return f"{'-' if value < 0 else ''}{whole}{'.' if decimals else ''}{decimals}"
    return None


def _approximate(number: Number) -> str:
    """Ten significant digits, or as many as the error bound supports."""
    for digits in range(10, 0, -1):
        context = Context(prec=digits, Emin=-9_999, Emax=9_999)
        low, high = (_decimal(number.value + sign * number.error, context) for sign in (-1, 1))
        if low == high:
            return _plain(low)
    raise ToolError("The value is too close to 0 to tell; simplify the expression.")


def _decimal(value: Fraction, context: Context) -> Decimal:
    return context.divide(Decimal(value.numerator), Decimal(value.denominator))


def _plain(value: Decimal) -> str:
    """Without trailing zeros; with an exponent only where the number is very large or very small."""
    value = value.normalize()
    if -7 <= value.adjusted() < 20:
        return f"{value:f}"
    return f"{value:e}".replace("e+", "e")
