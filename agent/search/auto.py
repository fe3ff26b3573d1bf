"""Effort that spends where it helps: one attempt, and more only while its answer is not likely enough to be right.

How likely is read from what costs nothing: how sure the model was of its tokens, what the verifiers say, and how many
attempts agree. ``rl.thresholds`` fits that to a model (``ponder calibrate``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.search.attempts import CHOOSE
from agent.search.bridges import CLOSE
from agent.search.posterior import leader_stays
from agent.search.strategy import By, Candidate, Choice, Count, Grow, Share, attempts, leaders, mean_logprob


@dataclass(frozen=True, slots=True)
class Auto:
    """One attempt, one more, then waves, until the leading answer is likely enough, or would hardly change any more.

    Without ``weights`` nothing is known of the model, and only agreement ends it, as at high effort. With
    ``quick_weights``, the first attempt of all answers without a thought; it counts only where it is likely enough.
    """

    n: Count = 8  # most attempts
    wave: Count = 2
    enough: Share = 1.0  # the probability of being right at which it stops
    weights: Sequence[float] = ()  # of ``signs``, in a logistic regression
    quick_weights: Sequence[float] = ()  # the same for an attempt that did not think
    level: Share = 0.99  # the probability of leading to the end at which it stops
    by: By = "majority"
    name: str = "auto"

    @property
    def stopping_rule(self) -> str:
        right = f"right>={self.enough:.3g} or " if self.weights else ""
        return f"{right}posterior>={self.level} wave={self.wave} n<={self.n}"

    def grow(self, candidates: Sequence[Candidate]) -> list[Grow]:
        if self.quick_weights and not candidates:
            return [Grow(bridge=CLOSE)]
        if self.quick_enough(candidates):
            return []
        candidates = thought(candidates)
        left = self.n - len(candidates)
        if not candidates:
            return attempts(1)
        if left <= 0 or self.sure(candidates) or self.settled_vote(candidates, left):
            return []
        return attempts(min(left, self.wave, len(candidates)))

    def sure(self, candidates: Sequence[Candidate]) -> bool:
        return bool(self.weights) and probability_right(candidates, self.weights) >= self.enough

    def settled_vote(self, candidates: Sequence[Candidate], left: int) -> bool:
        votes = [count for _, count in Counter(c.answer for c in candidates if c.answered).most_common(2)]
        return bool(votes) and leader_stays(votes[0], votes[1] if len(votes) > 1 else 0, left) >= self.level

    def quick_enough(self, candidates: Sequence[Candidate]) -> bool:
        quick = [c for c in candidates if c.bridge == CLOSE]
        return bool(quick and self.quick_weights) and probability_right(quick, self.quick_weights) >= self.enough

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        if self.quick_enough(candidates):
            return Choice(candidates[0].path, "likely enough without a thought")
        made = thought(candidates) or candidates
        choice = CHOOSE[self.by](made)
        chance = f"; right with a probability of {probability_right(made, self.weights):.2f}" if self.weights else ""
        return replace(choice, reason=choice.reason + chance)


def thought(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [c for c in candidates if c.bridge != CLOSE]


SIGNS = 4


def probability_right(candidates: Sequence[Candidate], weights: Sequence[float]) -> float:
    """That the leading answer is right; 0 where nobody gave one."""
    if not any(c.answered for c in candidates):
        return 0.0
    return 0.5 * (1 + math.tanh(0.5 * math.fsum(w * x for w, x in zip(weights, signs(candidates), strict=True))))


def signs(candidates: Sequence[Candidate]) -> tuple[float, ...]:
    """What speaks for the leading answer: 1, doubt, agreement and score.

    Doubt is the logarithm of the attempts' mean nats a token, which estimates the entropy that they were drawn with;
    agreement is the log-odds of the votes, one half added to each side; score that of its best attempt, from -1 to 1.
    """
    agreeing = leaders(candidates)
    count, nats = len(agreeing), -mean_logprob(agreeing)
    scores = [c.score for c in agreeing if c.score is not None]
    return (
        1.0,
        math.log(max(0.0, nats) + 1e-3),
        math.log((count + 0.5) / (len(candidates) - count + 0.5)),
        2 * max(scores) - 1 if scores else 0.0,
    )
