"""How many of a group's candidates agree: self-consistency (Wang et al., 2022, arXiv:2203.11171) as a score.

Needs no reference. Says nothing of a candidate that stands alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from verifiers.answers import canonical, final_answer
from verifiers.verdict import Case, Verdict


class Consensus:
    """The share of the group's finished candidates that have the same final answer, by ``answers.canonical``.

    A candidate without a final answer scores 0 where others have one. No score where fewer than two finished, or
    where nobody gave a final answer: there is nothing to agree on.
    """

    name = "consensus"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        keys = [self._key(case) for case in cases]
        finished = sum(case.finished for case in cases)
        votes = Counter(key for key in keys if key is not None)
        if finished < 2 or not votes:
            return [Verdict(self.name, None, "There are no two final answers to compare.") for _ in cases]
        return [self._judge(votes[key] if key is not None else 0, finished) for key in keys]

    @staticmethod
    def _key(case: Case) -> str | None:
        answer = final_answer(case.answer) if case.finished else None
        return None if answer is None else canonical(answer, case.question)

    def _judge(self, votes: int, finished: int) -> Verdict:
        if votes == 0:
            return Verdict(self.name, 0.0, "It gives no final answer.")
        return Verdict(self.name, votes / finished, f"{votes} of {finished} finished candidates give this answer.")
