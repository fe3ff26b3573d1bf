r"""The final answer inside a text, and the normal form in which two answers are compared.

Majority voting groups by ``canonical``; ``exact``, ``math_answers``, ``consensus`` and ``format`` build on both. Not a
judge of mathematics: ``2x`` and ``x*2`` differ here; that is ``math_answers``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

# Longer texts are prose, not values: they are only casefolded, which keeps every function here linear in its input.
LONGEST_VALUE = 200

ANSWER_LINE = re.compile(r"^[ \t>#*_-]{0,8}(?:final )?answer[ \t]?(?:\*\*)?:(.*)$", re.IGNORECASE | re.MULTILINE)
_CITATIONS = re.compile(r"(?<=\S)(?:\s+\[[0-9]{1,3}\])+\.?$")
_BRACES = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)

_MARKS = str.maketrans("\u2212\u2013\u2011\u2019\u2018\u201c\u201d", "---''\"\"")  # minus, dashes, quotes
_MARK_RUN = re.compile(r"[^\w\s\x00-\x7f]{31,}")  # what may be a longer run than normalising should see
_NO_BREAK_SPACES = re.compile("(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3})")  # 1 000 as typographers group it
_LATEX_SPACING = (("{,}", ","), ("\\,", ""), ("\\!", ""), ("\\;", " "), ("\\ ", " "), ("\\%", "%"), ("\\$", "$"))
_WRAPPERS = [pair.split() for pair in ("** **", "` `", '" "', "' '", "$ $", r"\( \)", r"\[ \]", r"\text{ }")]
_LATEX_FRACTION = re.compile(r"\\[dt]?frac ?\{ ?([0-9]+) ?\} ?\{ ?([0-9]+) ?\}")

_INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]+)?|\.[0-9]+)(?:e[+-]?[0-9]{{1,2}})?"
_WORD = r"[^\W\d_]+(?:/[^\W\d_]+)?"
_QUANTITY = re.compile(
    r"(?P<sign>[+-]?) ?(?P<currency>[$€£¥]?) ?"
    rf"(?:(?P<whole>{_INTEGER}) (?=[0-9,]+/))?(?P<number>{_DECIMAL})(?: ?/ ?(?P<divisor>{_DECIMAL}))?"
    rf"(?: ?(?P<unit>[%$€£¥°]|{_WORD}(?: {_WORD}){{0,2}}))?"
)
_UNIT_NAMES = {
    "percent": "%", "degree": "°", "dollar": "$", "usd": "$", "euro": "€", "eur": "€", "gram": "g", "kilogram": "kg",
    "metre": "m", "meter": "m", "kilometre": "km", "kilometer": "km", "centimetre": "cm", "centimeter": "cm",
    "hour": "h", "hr": "h", "minute": "min", "second": "s", "sec": "s", "litre": "l", "liter": "l",
}  # fmt: skip
_ASKED = re.compile(rf"\b(?:how many|how much|number of|in) ({_WORD}(?: {_WORD}){{0,2}})|([%$€£¥°])")


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact number and its unit."""

    number: Fraction
    unit: str = ""  # "km", "$", "%", "pen": singular, one spelling; "" where there is none

    def __str__(self) -> str:
        return f"{self.number} {self.unit}".rstrip()


def final_answer(text: str) -> str | None:
    r"""The X of the last line ``Answer: X``, else the content of the last ``\boxed{...}``, else None.

    A thought that is still in ``text`` is never read: everything up to the last ``</think>`` and everything from an
    unclosed ``<think>`` on. Linear in the length of ``text``.
    """
    spoken = text.rpartition("</think>")[2].partition("<think>")[0]
    lines = ANSWER_LINE.findall(spoken)
    stated = _bare(lines[-1].strip()) if lines else ""
    return _last_boxed(stated) or stated or _last_boxed(spoken) or None


def _bare(line: str) -> str:
    """What an answer line says, without the citations after it and the bold around it."""
    if len(line) <= LONGEST_VALUE:
        line = _CITATIONS.sub("", line)
    return line.removeprefix("**").removesuffix("**").strip()


def _last_boxed(text: str) -> str:
    """Content of the ``\\boxed{`` that begins last among those whose braces balance; "" where there is none."""
    open_braces: list[tuple[bool, int]] = []
    last = (-1, -1)
    for token in _BRACES.finditer(text):
        if token[0].endswith("{") and token[0] != "\\{":
            open_braces.append((token[0] != "{", token.end()))
        elif token[0] == "}" and open_braces:
            boxed, start = open_braces.pop()
            if boxed and start > last[0]:
                last = (start, token.start())
    return text[last[0] : last[1]].strip() if last[0] >= 0 else ""


def canonical(text: str, question: str = "") -> str:
    """The key under which equal answers group: ``canonical(canonical(x)) == canonical(x)``.

    Numbers are equal as exact rationals (``1,000``, ``1000.0`` and ``1e3`` are ``1000``; ``0.5`` is ``1/2``). A unit
    has one spelling and is never converted. Other text is casefolded, its whitespace collapsed, its last period gone.
    With the ``question``, a unit that it asks for is dropped: to "How many pens", ``75 pens`` is ``75``.
    """
    value = quantity(text, question)
    return str(value) if value else re.sub(r" ?, ?", ", ", plain(text)).strip()


def quantity(text: str, question: str = "") -> Quantity | None:
    """The number with its unit that the whole of ``text`` is, or None; ``question`` as in ``canonical``."""
    value = plain(text)
    if len(value) > LONGEST_VALUE:
        return None
    match = _QUANTITY.fullmatch(_LATEX_FRACTION.sub(r" \1/\2", value).strip())
    if match is None or (match["currency"] and match["unit"]):
        return None
    number = _number(match)
    unit = " ".join(_unit(word) for word in (match["currency"] or match["unit"] or "").split())
    if number is None or any(letter.isnumeric() for letter in unit):  # "10²" is not ten of the unit "²"
        return None
    return Quantity(number, "" if set(unit.split()) <= _asked_units(question) else unit)


def _number(match: re.Match[str]) -> Fraction | None:
    divisor = _fraction(match["divisor"] or "1")
    if divisor == 0:
        return None
    size = _fraction(match["whole"] or "0") + _fraction(match["number"]) / divisor
    return -size if match["sign"] == "-" else size


def _fraction(digits: str) -> Fraction:
    return Fraction(digits.replace(",", ""))


def _unit(word: str) -> str:
    """One spelling for a unit, in the singular."""
    plural = len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    singular = word[:-1] if plural else word
    return _UNIT_NAMES.get(singular, singular)


def _asked_units(question: str) -> set[str]:
    """What the question may be asking for: the signs in it and the words after "how many", "in" and the like."""
    text = " ".join(question.casefold().split())
    asked = {"%"} if "percent" in text else set[str]()
    for words, sign in _ASKED.findall(text):
        # A single letter is a variable unless it is a unit's symbol: "5x" never counts as 5.
        asked |= {unit for unit in map(_unit, words.split()) if len(unit) > 1 or unit in _UNIT_NAMES.values()}
        asked |= {sign} - {""}
    return asked


def plain(text: str) -> str:
    """Casefolded, whitespace collapsed, and, where it is short enough for a value, without wrapping and last period."""
    text = _NO_BREAK_SPACES.sub(",", _normal(text)).translate(_MARKS)
    text = " ".join(_normal(text.casefold()).split())
    while len(text) <= LONGEST_VALUE and (simpler := _simplify(text)) != text:
        text = simpler
    return text


def _normal(text: str) -> str:
    """NFC, which takes quadratic time in a run of combining marks; so it sees as few as in Stream-Safe Text Format."""
    return unicodedata.normalize("NFC", _MARK_RUN.sub(_with_fewer_marks, text))


def _with_fewer_marks(run: re.Match[str]) -> str:
    kept, marks = list[str](), 0
    for character in run[0]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        kept += [character] if marks <= 30 else []
    return "".join(kept)


def _simplify(text: str) -> str:
    for latex, meaning in _LATEX_SPACING:
        text = text.replace(latex, meaning)
    for opening, closing in _WRAPPERS:
        inner = text[len(opening) : -len(closing)]
        if text == opening + inner + closing and opening not in inner and closing not in inner:
            text = inner
    return " ".join(text.rstrip(" .").split())
