"""How many of a group's candidates agree: self-consistency (Wang et al., 2022, arXiv:2203.11171) as a score.

Needs no reference. Says nothing of a candidate that stands alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from verifiers.answers import canonical, final_answer
from verifiers.verdict import Case, Verdict


class Consensus:
    """The share of the group's finished candidates that have the same answer, by ``answers.canonical``.

    Where a candidate states no final answer, its whole text stands for it, so that equal refusals agree. An unfinished
    or empty candidate scores 0. No score where fewer than two finished, or where nobody states a final answer and no
    two texts are the same: free prose neither agrees nor disagrees.
    """

    name = "consensus"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        keys = [_key(case) for case in cases]
        finished = sum(case.finished for case in cases)
        votes = Counter(key for key in keys if key)
        comparable = any(case.finished and final_answer(case.answer) for case in cases) or len(votes) < votes.total()
        if finished < 2 or not comparable:
            return [Verdict(self.name, None, "There are no two answers to compare.") for _ in cases]
        return [self._judge(votes[key], finished) for key in keys]

    def _judge(self, votes: int, finished: int) -> Verdict:
        if votes == 0:
            return Verdict(self.name, 0.0, "It gives no answer.")
        return Verdict(self.name, votes / finished, f"{votes} of {finished} finished candidates give this answer.")


def _key(case: Case) -> str:
    """What the candidate votes for; "" where it has no vote."""
    return canonical(final_answer(case.answer) or case.answer, case.question) if case.finished else ""
