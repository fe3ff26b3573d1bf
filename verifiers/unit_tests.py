"""Whether the Python code of an answer passes the task's tests, run where it can do no harm and cannot lie about it.

The sandbox only computes what the code gives back; what the tests expect never enters it, and the comparison is made
here. So printing, exiting with 0, objects that equal everything, and reading the test program from memory gain nothing:
only the right values pass. Used for tasks whose metadata has ``tests``.
"""

from __future__ import annotations

import ast
import re
import secrets
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tools.sandbox import SandboxUnavailable
from verifiers.verdict import Case, Verdict, VerifierError, side_by_side

LONGEST_VALUE = 10_000  # characters of a value's repr that are read back, and four times those of what is expected

# A Counter equals a dict and a namedtuple a tuple, but they are written otherwise. The types have no names here: the
# code may have given these to something else.
_PLAIN = """
def plain_{nonce}(value):
    if isinstance(value, type({{}})):
        return {{plain_{nonce}(key): plain_{nonce}(part) for key, part in value.items()}}
    if isinstance(value, type(())):
        return (*[plain_{nonce}(part) for part in value],)
    if isinstance(value, type([])):
        return [plain_{nonce}(part) for part in value]
    return value
"""
_FENCED = re.compile(r"^```[ \t]*([\w+-]*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Ran(Protocol):
    """What became of a program."""

    @property
    def output(self) -> str: ...  # what it printed

    @property
    def error(self) -> str | None: ...  # why it did not end well


class RunsPython(Protocol):
    """The part of ``tools.sandbox.Sandbox`` that is needed here."""

    async def run(self, code: str) -> Ran: ...


@dataclass(frozen=True, slots=True)
class Check:
    """One call and what it has to give."""

    call: str  # a Python expression
    expected: object  # a literal


class UnitTests:
    """1 where the last Python block of the answer passes all tests, else 0; no tests, no score.

    ``metadata["tests"]`` is a sequence of lines like ``assert add(2, 3) == 5``: a call, and a literal to compare it
    with. ``assert CALL`` and ``assert not CALL`` stand for True and False.
    """

    name = "unit_tests"

    def __init__(self, sandbox: RunsPython) -> None:
        self._sandbox = sandbox

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        """One verdict per case. Raises VerifierError for tests of another form, and where no sandbox works."""
        return await side_by_side(self._judge, cases)

    async def _judge(self, case: Case) -> Verdict:
        tests = read_checks(case.metadata.get("tests", ()))
        if not tests:
            return Verdict(self.name, None, "The task has no tests.")
        code = last_python_block(case.answer) if case.finished else None
        if code is None:
            return Verdict(self.name, 0.0, "It gives no Python code block.")
        nonce = secrets.token_hex(8)  # tells the results from whatever else the code prints
        try:
            ran = await self._sandbox.run(program_of(code, tests, nonce))
        except SandboxUnavailable as error:
            raise VerifierError(str(error)) from error
        return self._compare(tests, results(ran.output, nonce), ran.error)

    def _compare(self, tests: Sequence[Check], given: dict[int, str], error: str | None) -> Verdict:
        failed = [at for at, test in enumerate(tests) if not _gives(given.get(at), test.expected)]
        if not failed:
            return Verdict(self.name, 1.0, f"All {len(tests)} tests pass.")
        first = tests[failed[0]]
        said = given.get(failed[0], error or "nothing")[:200]
        reason = f"{len(failed)} of {len(tests)} tests fail: {first.call} gave {said}, expected {first.expected!r}."
        return Verdict(self.name, 0.0, reason)


def last_python_block(answer: str) -> str | None:
    """The code of the last fenced block that is marked as Python or not at all."""
    blocks = [code for language, code in _FENCED.findall(answer) if language.lower() in ("", "python", "python3", "py")]
    return blocks[-1] if blocks else None


def read_checks(lines: object) -> list[Check]:
    """The tests of a task's metadata. Raises VerifierError, naming the line that is of another form."""
    if isinstance(lines, str) or not isinstance(lines, Sequence):
        raise VerifierError("A task's `tests` must be a list of lines like `assert add(2, 3) == 5`.")
    return [_read_check(str(line)) for line in lines]


def _read_check(line: str) -> Check:
    try:
        match ast.parse(line.strip()).body:
            case [ast.Assert(test=ast.Compare(left=call, ops=[ast.Eq() | ast.Is()], comparators=[literal]))]:
                return Check(ast.unparse(call), ast.literal_eval(literal))
            case [ast.Assert(test=ast.UnaryOp(op=ast.Not(), operand=ast.Call() as call))]:
                return Check(ast.unparse(call), False)
            case [ast.Assert(test=ast.Call() as call)]:
                return Check(ast.unparse(call), True)
    except (SyntaxError, ValueError) as error:
        raise VerifierError(f"The test `{line}` is not of the form `assert CALL == LITERAL` ({error}).") from error
    raise VerifierError(f"The test `{line}` is not of the form `assert CALL == LITERAL`; rewrite it so.")


def program_of(code: str, tests: Sequence[Check], nonce: str) -> str:
    """The code, then each call, its value printed on a line of its own: nonce, number, repr.

    Plain statements only, because the weakest sandbox runs a part of Python that has no ``exec``.
    """
    calls = (
        f"try:\n    print('\\n{nonce} {at}', repr(plain_{nonce}({test.call})))\n"
        f"except Exception as error:\n    print('\\n{nonce} {at} !', type(error).__name__)\n"
        for at, test in enumerate(tests)
    )
    return f"{code}\n{_PLAIN.format(nonce=nonce)}" + "".join(calls)


def results(output: str, nonce: str) -> dict[int, str]:
    """By test number, what the program's lines with the nonce say."""
    lines = re.findall(rf"^{nonce} ([0-9]{{1,6}}) (.*)$", output, re.MULTILINE)
    return {int(at): said for at, said in lines}


def _gives(said: str | None, expected: object) -> bool:
    """Whether a repr that untrusted code had printed is that of a plain value equal to ``expected``."""
    if said is None or len(said) > LONGEST_VALUE + 4 * len(repr(expected)):
        return False
    try:
        with warnings.catch_warnings(action="ignore"):  # of what untrusted text looks like
            return ast.literal_eval(said) == expected
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return False
