"""Whether the final answer is mathematically the reference: ``x*2`` for ``2x``, ``0.5`` for ``\\frac{1}{2}``.

Plain numbers are compared here as exact rationals. Formulas go to math-verify
(https://github.com/huggingface/Math-Verify), in a process that is ended at a limit. Prose is compared as text,
because to sympy ``listen`` and ``silent`` are equal products. Used wherever a task has a gold answer.
"""

from __future__ import annotations

import asyncio
import re
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
        equal = compare_plainly(gold, answer, question)
        try:
            if equal is None:
                loop = asyncio.get_running_loop()
                equal = await loop.run_in_executor(self._thread, self._worker.equal, to_latex(gold), to_latex(answer))
        except TooHard as error:
            return Verdict(self.name, 0.0, str(error))
        if equal:
            return Verdict(self.name, 1.0, f"The final answer means {gold[:100]}.")
        return Verdict(self.name, 0.0, f"The final answer is {answer[:100]}, the reference {gold[:100]}.")


def compare_plainly(gold: str, answer: str, question: str = "") -> bool | None:
    """What text and exact rationals can tell without sympy; None where it takes mathematics."""
    if canonical(gold, question) == canonical(answer, question):
        return True
    expected, given = quantity(gold, question), quantity(answer, question)
    if expected and given and _is_plain(expected) and _is_plain(given):
        return _same_number(expected, given)
    return None if is_formula(gold) and is_formula(answer) else False


def _is_plain(value: Quantity) -> bool:
    """Whether the unit is a unit: in ``2x`` and ``2 pi`` it may be a factor."""
    return not value.unit.isalpha() or len(value.unit) > 2


def _same_number(gold: Quantity, answer: Quantity) -> bool:
    if {gold.unit, answer.unit} == {"", "%"}:
        return _share(gold) == _share(answer)
    return gold.unit == answer.unit and _is_rounding(answer.number, gold.number)


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
    formula = " ".join(formula.split()).strip("$ ").translate(_SYMBOLS).replace("**", "^")
    formula = re.sub(r"^\\[(\[](.*)\\[)\]]$", r"\1", formula)
    formula = _PLAIN_FUNCTION.sub(lambda match: f"\\{match[0]} ", formula)
    formula = re.sub(r"\^(-?[0-9]+)", r"^{\1}", formula)
    return re.sub(r"(?<![0-9.)}])([0-9]+) ?/ ?([0-9]+)(?![0-9.(!^])", r"\\frac{\1}{\2}", formula)
