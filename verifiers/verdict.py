"""A verdict and what it is about: the two plain values that every verifier speaks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from retrieval.passage import Passage


@dataclass(frozen=True, slots=True)
class Case:
    """One finished candidate answer to one question: all that a verifier may look at."""

    question: str
    answer: str  # the final text that the person would read, without the thought
    thought: str = ""  # the text inside <think>, of all steps, joined by newlines
    gold: str | None = None  # the reference answer, where there is one
    steps: tuple[str, ...] = ()  # what was written and read at each step, in order
    passages: tuple[Passage, ...] = ()  # what the candidate's searches found; a citation [i] is passages[i - 1]
    finished: bool = True  # False where the budget or a cancel ended it before an answer
    outcome: str = "answer"  # how it ended: a value of agent.records.Ending
    metadata: dict[str, object] = field(default_factory=dict)  # what a task's own checker needs (tests, kind, ...)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one verifier says of one case."""

    verifier: str  # the verifier's name, as weights and logs use it
    score: float | None  # in [0, 1]; None: this verifier has nothing to say of this case (never a silent zero)
    reason: str = ""  # one sentence a person can read
    tokens: int = 0  # read or written by a model to say so
    steps: tuple[float, ...] = ()  # the score of each of the case's steps, from who judges those

    def __post_init__(self) -> None:
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise ValueError(f"verifier {self.verifier!r} gave a score of {self.score}; scores lie in [0, 1]")


class Verifier(Protocol):
    """Scores the candidates of one question together, because agreement needs all of them and models like batches."""

    @property
    def name(self) -> str: ...

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        """One verdict per case, in order. Never raises for a bad answer: that is a score with a reason."""
        ...


async def side_by_side(judge: Callable[[Case], Awaitable[Verdict]], cases: Sequence[Case]) -> list[Verdict]:
    """Each case by itself, as many at once as there are processors: for verifiers that start a process for each."""
    at_once = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(case: Case) -> Verdict:
        async with at_once:
            return await judge(case)

    return list(await asyncio.gather(*map(one, cases)))


class VerifierError(Exception):
    """A verifier could not work at all, which says nothing about the answer. The message says what to do next."""
