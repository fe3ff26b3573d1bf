"""An outcome reward model judges a finished attempt as a whole (Cobbe et al. 2021), as people or rewards compared some.

It was trained on pairs (Bradley & Terry 1952): the difference of two rewards is the logarithm of the odds that one is
preferred to the other, and a reward by itself means nothing. So the score is how likely the attempt would be preferred
to one of the mean reward (``center``). The model is asked as a process reward model is; its last probability counts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from verifiers.process_reward import Encode, ProcessRewardModel
from verifiers.verdict import Case, Verdict, VerifierError

KNOWN = 1024  # attempts whose scores are kept
EDGE = 1e-7  # a probability in float32 is known no better


class OutcomeReward:
    """Scores a case that has an answer; one that ended before it scores 0, and one that is too long has no score."""

    name = "outcome_reward"

    def __init__(self, model: ProcessRewardModel, encode: Encode, center: float = 0.0) -> None:
        self._model = model
        self._encode = encode
        self._center = center
        self._known: dict[tuple[int, ...], float] = {}  # what was judged in an earlier wave

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        """Attempts that read the same are read once: the first of them has the tokens."""
        asked = [tuple(self._encode(case.question, case.steps)) if case.finished else () for case in cases]
        different = list(dict.fromkeys(filter(None, asked)))
        found = dict(zip(different, await asyncio.gather(*map(self._score, different)), strict=True))
        first = {asked.index(token_ids): len(token_ids) for token_ids in different}
        return [
            self._verdict(case, found.get(token_ids, 0.0), first.get(i, 0))
            for i, (case, token_ids) in enumerate(zip(cases, asked, strict=True))
        ]

    async def _score(self, token_ids: tuple[int, ...]) -> float | str:
        """Or, in a sentence, why there is none."""
        if token_ids not in self._known:
            try:
                *_, probability = await self._model.score(token_ids)
            except VerifierError as error:
                return str(error)
            self._known[token_ids] = centred(probability, self._center)
            while len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]
        return self._known[token_ids]

    def _verdict(self, case: Case, score: float | str, tokens: int) -> Verdict:
        if not case.finished:
            return Verdict(self.name, 0.0, f"It ended before its answer ({case.outcome}).")
        if isinstance(score, str):
            return Verdict(self.name, None, score)
        return Verdict(self.name, score, f"It would be preferred to a mean attempt with {score:.2f}.", tokens)


def centred(probability: float, center: float) -> float:
    """The sigmoid of a reward, given as its own sigmoid, less ``center``."""
    inside = min(1 - EDGE, max(EDGE, probability))
    return 1 / (1 + math.exp(center - math.log(inside / (1 - inside))))
