"""Whether the final answer is mathematically the reference: ``x*2`` for ``2x``, ``0.5`` for ``\\frac{1}{2}``.

Plain numbers are compared here as exact rationals. Formulas go to math-verify
(https://github.com/huggingface/Math-Verify), in a process that is ended at a limit. Prose is compared as text,
because to sympy ``listen`` and ``silent`` are equal products. Used wherever a task has a gold answer.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

from verifiers.answers import Quantity, canonical, final_answer, quantity
from verifiers.math_worker import MathWorker, TooHard
from verifiers.verdict import Case, Verdict

LONGEST_FORMULA = 400  # characters; longer ones are not worth a process's memory

_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|min|max|gcd|lcm|det|pi"
_COMMANDS = re.compile(r"\\(?:begin|end)\{[a-z]+\*?\}|\\[A-Za-z]+")
_PLAIN_FUNCTION = re.compile(rf"(?<![\\A-Za-z])(?:{_FUNCTIONS})(?![A-Za-z])")
_KNOWN_WORD = re.compile(rf"(?<![A-Za-z])(?:sqrt|{_FUNCTIONS})(?![A-Za-z])")
_WORD = re.compile(r"[^\W\d_]{3,}")
_SYMBOLS = {0x221E: r"\infty ", 0x3C0: r"\pi ", 0xD7: r"\times ", 0xB7: r"\cdot ", 0x2212: "-", 0xF7: "/"}
_SYMBOLS |= {0x2248: r"\approx ", 0xB0: r"^{\circ}"}

_DEGREES = re.compile(r"\^ ?(?:\\circ(?![a-z])|\{ ?\\circ ?\})")
_UNIT_AS_TEXT = re.compile(r"(?<=[\d}])\s*\\(?:text|textrm|mathrm|mbox)\s*\{([^{}]*)\}(?=[\s.$\\)\]]*$)")
_SUPERSCRIPTS = "".join(map(chr, (0x2070, 0xB9, 0xB2, 0xB3, *range(0x2074, 0x207A), 0x207A, 0x207B, 0x207F)))
_SUPERSCRIPT = re.compile(f"[{_SUPERSCRIPTS}]+")
_LOWERED = str.maketrans(_SUPERSCRIPTS, "0123456789+-n")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_ROOT = re.compile("\u221a ?(?:([0-9]+(?:\\.[0-9]+)?|[a-z])|(?=\\())")
_MONEY = frozenset("$€£¥")
_SHORT_UNITS = frozenset({"km", "cm", "mm", "kg", "mg", "ml", "ft", "lb", "oz"})  # others of two letters may be factors
# After a number these are no unit: they make another number of it, or a second answer.
_NO_UNITS_TEXT = """
    zero one two three four five six seven eight nine ten eleven twelve hundred thousand million billion trillion dozen
    half halve third fourth quarter fifth sixth seventh eighth ninth tenth hundredth thousandth point percentage
    squared cubed root factorial power modulo mod base minus plus divided over below negative
    sin cos tan sec csc cot log exp sqrt gcd lcm det infinity theta alpha beta
    or and to by not out either versus but
"""
_NO_UNITS = frozenset(_NO_UNITS_TEXT.split())


class MathAnswers:
    """1 where the final answer means the reference, else 0; no reference, no score.

    An answer that takes too long to compare scores 0, not None: a policy in training must not be able to make this
    verifier fall silent. The worker process starts with the first formula and stops with this object or ``close``.
    """

    name = "math"

    def __init__(self, cpu_seconds: float = 1.0) -> None:
        """``cpu_seconds`` is the processor time that one formula may take."""
        self._worker = MathWorker(cpu_seconds)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="math-answers")  # one worker, one at a time

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        """One verdict per case; equal answers are compared once. Raises VerifierError if sympy cannot be started."""
        judged: dict[tuple[str, str, str], Verdict] = {}
        verdicts = []
        for case in cases:
            answer = final_answer(case.answer) if case.finished else None
            if case.gold is None:
                verdicts.append(Verdict(self.name, None, "There is no reference answer."))
            elif answer is None:
                verdicts.append(Verdict(self.name, 0.0, "It gives no final answer."))
            else:
                key = (case.gold, answer, case.question)
                judged[key] = judged[key] if key in judged else await self._judge(*key)
                verdicts.append(judged[key])
        return verdicts

    def close(self) -> None:
        """Stop the thread and the process. The object is of no use afterwards."""
        self._thread.shutdown(cancel_futures=True)
        self._worker.close()

    async def _judge(self, gold: str, answer: str, question: str) -> Verdict:
        try:
            equal = compare_plainly(gold, answer, question)
            if equal is None:
                formulas = to_latex(gold), to_latex(answer)
                equal = await asyncio.get_running_loop().run_in_executor(self._thread, self._worker.equal, *formulas)
        except TooHard as error:
            return Verdict(self.name, 0.0, str(error))
        if equal:
            return Verdict(self.name, 1.0, f"The final answer means {gold[:100]}.")
        return Verdict(self.name, 0.0, f"The final answer is {answer[:100]}, the reference {gold[:100]}.")


def compare_plainly(gold: str, answer: str, question: str = "") -> bool | None:
    """What text and exact rationals can tell without sympy; None where it takes mathematics."""
    gold, answer = keyboard(gold), keyboard(answer)
    if canonical(gold, question) == canonical(answer, question):
        return True
    expected, given, stated = quantity(gold, question), quantity(answer, question), quantity(gold)
    if expected and given and _is_plain(expected, gold) and _is_plain(given, answer):
        adds_unit = stated and not stated.unit and _is_unit(given.unit)
        drops_currency = stated and stated.unit in _MONEY and not given.unit
        return _same_number(expected, Quantity(given.number, expected.unit) if adds_unit or drops_currency else given)
    return None if is_formula(gold) and is_formula(answer) else False


def keyboard(text: str) -> str:
    """Signs that no keyboard has, and LaTeX's ways to write a unit, as they are written otherwise."""
    if len(text) > LONGEST_FORMULA:
        return text
    text = _UNIT_AS_TEXT.sub(lambda unit: f" {unit[1].strip()}", _DEGREES.sub("°", text))
    text = _SUPERSCRIPT.sub(lambda raised: f"^{{{raised[0].translate(_LOWERED)}}}", text)
    text = _VULGAR.sub(
        lambda part: "\\frac{{{}}}{{{}}}".format(*unicodedata.normalize("NFKC", part[0]).split("\u2044")), text
    )
    return _ROOT.sub(lambda root: f"\\sqrt{{{root[1]}}}" if root[1] else "sqrt", text)


def _is_plain(value: Quantity, text: str) -> bool:
    """Whether the unit is a unit: in ``2x`` and ``2 pi`` it may be a factor."""
    is_long = len(value.unit) > 2 or value.unit in _SHORT_UNITS or _WORD.search(_COMMANDS.sub("", text))
    return not value.unit.isalpha() or bool(is_long)


def _is_unit(unit: str) -> bool:
    """Whether this after a number only says of what: ``mile per hour``, ``$`` and ``°``, not ``%`` or ``million``."""
    words = re.findall(r"[^\W\d_]+", unit)
    known = unit in _MONEY | {"°", "h", "s", "m", "g", "l", "m/s"}  # a letter: _is_plain saw that it was a word
    return known or (any(len(w) > 2 or w in _SHORT_UNITS for w in words) and _NO_UNITS.isdisjoint(words))


def _same_number(gold: Quantity, answer: Quantity) -> bool:
    if {gold.unit, answer.unit} == {"", "%"}:
        return _share(gold) == _share(answer)
    same = answer.number == gold.number or _is_rounding(answer.number, gold.number)
    return gold.unit == answer.unit and same


def _share(value: Quantity) -> Fraction:
    return value.number / 100 if value.unit == "%" else value.number


def _is_rounding(decimal: Fraction, exact: Fraction) -> bool:
    """Whether ``exact`` has no finite decimal and ``decimal`` is its correct rounding to six or more places."""
    if _places(exact) is not None:
        return False
    places = _places(decimal)
    return places is not None and places >= 6 and decimal == round(exact, places)


def _places(value: Fraction) -> int | None:
    """How many decimal places write the value exactly; None where it takes infinitely many."""
    rest, powers = value.denominator, []
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest, power = rest // prime, power + 1
        powers.append(power)
    return max(powers) if rest == 1 else None


def is_formula(text: str) -> bool:
    """Whether to read the text as mathematics: short, and with no word in it that a formula would not have.

    ``no`` and ``on``, ``5 cats`` and ``5 cast`` are text; so is ``12_8``, whose base math-verify drops.
    """
    if not 0 < len(text) <= LONGEST_FORMULA:
        return False
    bare = _KNOWN_WORD.sub("", _COMMANDS.sub("", text))
    is_word = bare == text and text.isalpha() and len(text) > 1
    return not (is_word or _WORD.search(bare) or re.search(r"\d_", text) or "$" in text.strip("$"))


def to_latex(formula: str) -> str:
    """Plain notation (``2**10``, ``sin(x)``, ``3/4 x``) as the LaTeX that math-verify parses best; LaTeX as it is."""
    formula = " ".join(keyboard(formula).split()).strip("$ ").translate(_SYMBOLS).replace("**", "^")
    formula = re.sub(r"^\\[(\[](.*)\\[)\]]$", r"\1", formula)
    formula = _PLAIN_FUNCTION.sub(lambda match: f"\\{match[0]} ", formula)
    formula = re.sub(r"\^(-?[0-9]+)", r"^{\1}", formula)
    return re.sub(r"(?<![0-9.)}])([0-9]+) ?/ ?([0-9]+)(?![0-9.(!^])", r"\\frac{\1}{\2}", formula)
