"""Whether the function that an answer gives passes its task's tests, in the sandbox.

It runs after ``metadata["before"]``, what stood before it in the prompt. ``metadata["tests"]`` goes to
``verifiers.unit_tests``, which keeps what is expected out of the sandbox. ``metadata["program"]`` runs beside the code:
an honest answer is judged as HumanEval's harness would, but code that sets out to cheat could pass. That is good enough
to measure with, and not to train on.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from tools.sandbox import SandboxUnavailable
from verifiers.unit_tests import RunsPython, UnitTests, last_python_block
from verifiers.verdict import Case, Verdict, VerifierError, side_by_side


class FunctionTests:
    """1 where the last Python block of the answer passes all tests, else 0."""

    name = "function_tests"

    def __init__(self, sandbox: RunsPython) -> None:
        self._sandbox = sandbox
        self._unit_tests = UnitTests(sandbox)

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        """One verdict per case. Raises ``VerifierError`` where no sandbox works."""
        return await side_by_side(self._judge, cases)

    async def _judge(self, case: Case) -> Verdict:
        block = last_python_block(case.answer) if case.finished else None
        if block is None:
            return Verdict(self.name, 0.0, "It gives no Python code block.")
        code = f"{case.metadata.get('before', '')}\n{block}"
        if "program" not in case.metadata:
            [verdict] = await self._unit_tests.verify([replace(case, answer=f"```python\n{code}\n```")])
            return replace(verdict, verifier=self.name)
        return await self._run(f"{code}\n{case.metadata['program']}")

    async def _run(self, program: str) -> Verdict:
        """The program has to come to its end, which says a word that its code cannot foresee."""
        word = secrets.token_hex(8)
        try:
            ran = await self._sandbox.run(f"{program}\nprint('\\n{word}')\n")
        except SandboxUnavailable as error:
            raise VerifierError(str(error)) from error
        if ran.error is None and ran.output.rstrip().endswith(word):
            return Verdict(self.name, 1.0, "The tests come to their end.")
        return Verdict(self.name, 0.0, f"The tests fail: {(ran.error or 'the program ended before them')[:200]}.")
