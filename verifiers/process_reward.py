"""A process reward model judges an attempt by its steps (Lightman et al., 2023, "Let's Verify Step by Step").

Such a model reads a question and the steps that were taken, a step tag after each, and says at every tag how likely
the step before it is right. It is given ids; who makes them from text is its caller's choice (``Encode``).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from verifiers.verdict import Case, Verdict, VerifierError

KNOWN = 1024  # attempts whose scores are kept
Encode = Callable[[str, Sequence[str]], list[int]]  # a question and steps -> ids with one step tag after each step
AGGREGATIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "last": lambda scores: scores[-1],
    "min": min,
    "product": math.prod,
    "mean": lambda scores: math.fsum(scores) / len(scores),
}


class ProcessRewardModel(Protocol):
    """Implemented in this process by ``prm_local``, and on a server by ``prm_endpoint``."""

    @property
    def step_tag_id(self) -> int: ...

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        """At each step tag in order, the probability that the step before it is right. Raises ``VerifierError``."""
        ...


class ProcessReward:
    """Scores a case by its steps; a case without steps, or too long for the model, has no score.

    An attempt is as good as its worst step, unless ``aggregation`` says otherwise: what is wrong stays wrong.
    """

    name = "process_reward"
    judges_steps = True  # of attempts that are not finished, too

    def __init__(self, model: ProcessRewardModel, encode: Encode, aggregation: str = "min") -> None:
        if aggregation not in AGGREGATIONS:
            raise VerifierError(f"There is no aggregation {aggregation!r}; take one of {', '.join(AGGREGATIONS)}.")
        self._model = model
        self._encode = encode
        self._aggregation = aggregation
        self._known: dict[tuple[int, ...], list[float]] = {}  # what was judged in an earlier wave

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        """Attempts with the same steps are read once: the first of them has the tokens."""
        asked = [tuple(self._encode(case.question, case.steps)) if case.steps else () for case in cases]
        different = list(dict.fromkeys(filter(None, asked)))
        found = dict(zip(different, await asyncio.gather(*map(self._scores, different)), strict=True))
        tokens = {asked.index(token_ids): len(token_ids) for token_ids in different}
        return [
            self._verdict(case, found.get(token_ids, "It has no steps."), tokens.get(i, 0))
            for i, (case, token_ids) in enumerate(zip(cases, asked, strict=True))
        ]

    async def _scores(self, token_ids: tuple[int, ...]) -> list[float] | str:
        """Of the steps; or, in a sentence, why there are none."""
        if token_ids not in self._known:
            try:
                self._known[token_ids] = await self._model.score(token_ids)
            except VerifierError as error:
                return str(error)
            while len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]
        return self._known[token_ids]

    def _verdict(self, case: Case, scores: list[float] | str, tokens: int) -> Verdict:
        if isinstance(scores, str):
            return Verdict(self.name, None, scores)
        if len(scores) != len(case.steps):
            raise VerifierError(f"The model gave {len(scores)} scores for {len(case.steps)} steps; check its step tag.")
        shown = " ".join(f"{score:.2f}" for score in scores)
        reason = f"Its steps are right with {shown} ({self._aggregation})."
        return Verdict(self.name, AGGREGATIONS[self._aggregation](scores), reason, tokens, tuple(scores))
