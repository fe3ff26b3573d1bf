"""What a search strategy is: a small object that looks at the tree so far and says what to grow, and what to give.

A strategy decides; ``graph`` grows. All of them work on the same tree and none of them calls a model. ``grow`` is a
pure function of the tree, so that a killed run goes on as it would have gone, and a pool of attempts that is in the log
can be chosen from again in any other way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from pydantic import Field

from agent.records import ANSWERED, Ending, Path

OPEN = frozenset({Ending.STEP, Ending.TOOL_CALL})  # a search stopped there to look, and may go on

To = Literal["end", "step", "thought"]
By = Literal["best", "majority", "weighted"]  # how an answer is chosen
Count = Annotated[int, Field(ge=1, le=10_000)]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Grow:
    """New children of one node. Each is sampled on until its attempt ends, or to where the search looks again."""

    parent: Path = ()  # (): the question
    count: int = 1
    to: To = "end"  # "step": the next step of a thought ends, or a call has its results; "thought": the thought ends
    bridge: str = ""  # what stands between the parent and its children: a name of ``bridges``; "": nothing
    tokens: int | None = None  # most that each child samples before the search looks again


@dataclass(frozen=True, slots=True)
class Candidate:
    """The end of something that was grown, as a strategy sees it: a finished attempt, or a step to go on from."""

    path: Path  # of its last node
    ending: Ending
    answer: str | None  # in canonical form: equal answers are equal strings; None where it gave none
    score: float | None  # the weighted reward of its verifiers
    logprob: float = 0.0  # mean over its sampled tokens, in nats: how sure the model was
    start: Path = ()  # of the first node that was grown; its parent is what it was grown from
    bridge: str = ""  # with which it was grown

    @property
    def answered(self) -> bool:
        return self.ending in ANSWERED and self.answer is not None

    @property
    def open(self) -> bool:
        return self.ending in OPEN


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate whose answer is given, and why."""

    path: Path
    reason: str


class Strategy(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def stopping_rule(self) -> str:
        """When growing stops, in words that name the parameters; it is logged with the run."""
        ...

    def grow(self, candidates: Sequence[Candidate]) -> Sequence[Grow]:
        """What to grow now, all side by side; nothing is enough. ``candidates`` are in the order of their paths."""
        ...

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        """Pick from at least one candidate; unanswered ones only where there is nothing else."""
        ...


def breadth(strategy: Strategy) -> int:
    """About how many attempts it may come to: a run's own limits grow with it."""
    return getattr(strategy, "breadth", getattr(strategy, "n", 1))


def attempts(count: int) -> list[Grow]:
    """So many more from the question to the end."""
    return [Grow(count=count)] if count > 0 else []


def majority(candidates: Sequence[Candidate]) -> Choice:
    """The surest with the answer that most gave; where nobody gave one, the earliest that had begun to."""
    agreeing = leaders(candidates)
    if not agreeing:
        begun = (c for c in candidates if c.ending is Ending.BUDGET and c.answer is not None)
        return Choice(next(begun, candidates[0]).path, "no attempt came to an answer")
    return Choice(agreeing[0].path, f"{len(agreeing)} of {len(candidates)} attempts agree")


def leaders(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those with the answer that most gave; of answers with as many, the one that the model was surest of."""
    agreeing: dict[str, list[Candidate]] = {}
    for c in candidates:
        if c.answered:
            agreeing.setdefault(c.answer or "", []).append(c)
    return max(agreeing.values(), key=lambda group: (len(group), mean_logprob(group)), default=[])


def mean_logprob(candidates: Sequence[Candidate]) -> float:
    return math.fsum(c.logprob for c in candidates) / len(candidates)


def best(candidates: Sequence[Candidate]) -> Choice:
    """The one with the highest score, of equals the one that the model was surest of; the majority's without scores."""
    scored = [c for c in candidates if c.answered and c.score is not None]
    if not scored:
        return majority(candidates)
    top = max(scored, key=lambda c: (c.score or 0.0, c.logprob))
    return Choice(top.path, f"highest score, {top.score:.2f}, of {len(candidates)} attempts")


def weighted(candidates: Sequence[Candidate]) -> Choice:
    """The best attempt of the answer with the highest sum of scores (weighted self-consistency, Li et al. 2022).

    Where an attempt has no score, all count the same.
    """
    voting = [c for c in candidates if c.answered]
    if not voting or any(c.score is None for c in voting):
        return majority(candidates)
    sums: Counter[str] = Counter()
    for c in voting:
        sums[c.answer or ""] += c.score or 0.0  # type: ignore[assignment]
    answer, total = max(sums.items(), key=lambda item: item[1])
    agreeing = [c for c in voting if c.answer == answer]
    top = max(agreeing, key=lambda c: c.score or 0.0)
    shares = f"{total:.2f} of {sum(sums.values()):.2f}"
    return Choice(top.path, f"{len(agreeing)} of {len(candidates)} attempts agree, with {shares} in scores")
