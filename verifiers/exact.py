"""Whether the final answer is the reference, written any way that ``answers.canonical`` sees through.

For names, dates, strings and plain numbers. Not for mathematics: ``math_answers`` also accepts ``x*2`` for ``2x``.
"""

from __future__ import annotations

from collections.abc import Sequence

from verifiers.answers import canonical, final_answer
from verifiers.verdict import Case, Verdict


class Exact:
    """1 where the final answer has the reference's normal form, else 0; no reference, no score."""

    name = "exact"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        return [self._judge(case) for case in cases]

    def _judge(self, case: Case) -> Verdict:
        if case.gold is None:
            return Verdict(self.name, None, "There is no reference answer.")
        answer = final_answer(case.answer) if case.finished else None
        if answer is None:
            return Verdict(self.name, 0.0, "It gives no final answer.")
        expected = canonical(case.gold, case.question)
        if canonical(answer, case.question) == expected:
            return Verdict(self.name, 1.0, f"The final answer is {case.gold}.")
        return Verdict(self.name, 0.0, f"The final answer is {answer[:100]}, the reference {case.gold}.")
