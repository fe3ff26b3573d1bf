"""How far a judge can be believed: what its verdicts follow besides the answers. ``report`` is a pure function of them.

A judge without a bias never lets a place win in both orders (``first_place``, ``second_place``), prefers the longer
attempt no more often than the right one is longer, and lets the right one win. ``ponder bench judge`` calls it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from agent.graph import case_of
from agent.records import Run
from agent.store import RunFilter, Store
from rl.grade import is_right
from rl.intervals import wilson
from rl.tasks import handwritten
from rl.tasks.suite import task_of
from rl.tasks.task import Task
from verifiers.answers import canonical, final_answer
from verifiers.judge import Comparison, PairwiseJudge, attempt_text
from verifiers.verdict import Case


@dataclass(frozen=True, slots=True)
class Judged:
    """One comparison, and what is known of the two attempts."""

    comparison: Comparison
    lengths: tuple[int, int]  # characters of what the judge was shown, in the order of the comparison
    right: tuple[bool, bool] | None  # by the task's gold; None where it has none


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many. A tie counts one half where it counts at all."""

    count: float
    of: int

    def summary(self) -> dict[str, Any]:
        """With the 95 % Wilson interval; no share of nothing."""
        share = self.count / self.of if self.of else None
        return {"share": share, "interval": wilson(self.count, self.of), "count": self.count, "of": self.of}


@dataclass(frozen=True, slots=True)
class Report:
    """Each share is of the pairs that were read in both orders, or of some of them."""

    pairs: int
    unreadable: int  # pairs of which a reply had no verdict
    tokens: int  # read and written
    first_place: Share  # the first place won in both orders
    second_place: Share  # the second place did
    longer_won: Share  # of the pairs with a winner and two lengths
    longer_right: Share  # of the pairs with one right attempt and two lengths: what the above is to be held against
    right_won: Share  # of the pairs with one right attempt; ties count one half
    right_won_decided: Share  # of those with a winner

    def summary(self) -> dict[str, Any]:
        """As plain JSON values."""
        shares = {name: value.summary() for name in self.__slots__ if isinstance(value := getattr(self, name), Share)}
        return asdict(self) | shares


def report(judged: Sequence[Judged]) -> Report:
    """The biases of a judge, and how far it agrees with the truth."""
    read = [each for each in judged if each.comparison.won is not None]
    contested = [each for each in read if each.right in ((True, False), (False, True))]
    unequal = [each for each in read if each.lengths[0] != each.lengths[1]]
    return Report(
        pairs=len(judged),
        unreadable=len(judged) - len(read),
        tokens=sum(sum(each.comparison.tokens) for each in judged),
        first_place=share([each.comparison.places == ("first", "first") for each in read]),
        second_place=share([each.comparison.places == ("second", "second") for each in read]),
        longer_won=share([_won(each, _longer(each)) for each in unequal if each.comparison.won != 0.5]),
        longer_right=share([each.right == _longer(each) for each in unequal if each in contested]),
        right_won=share([_won(each, each.right) for each in contested]),
        right_won_decided=share([_won(each, each.right) for each in contested if each.comparison.won != 0.5]),
    )


def share(points: Sequence[float]) -> Share:
    return Share(sum(points), len(points))


def _longer(each: Judged) -> tuple[bool, bool]:
    return each.lengths[0] > each.lengths[1], each.lengths[0] < each.lengths[1]


def _won(each: Judged, marked: tuple[bool, bool] | None) -> float:
    """What the marked one of the two got of the comparison."""
    won = each.comparison.won
    assert won is not None
    assert marked is not None
    return won if marked[0] else 1.0 - won


# --- the log ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """The attempts of one logged run at a task."""

    cases: tuple[Case, ...]
    right: tuple[bool, ...] | None  # by the task's gold; None where the task is not known here


def disputed(log: Store, limit: int, delimiter: str = "\n\n") -> list[Question]:
    """The newest logged runs of tasks whose finished attempts gave at least two different answers."""
    runs = log.runs(RunFilter(tasks=True, status="finished"))
    questions = (question_of(log.run(run.run_id), delimiter) for run in runs)
    return list(islice((each for each in questions if differ(each.cases)), limit))


def question_of(run: Run, delimiter: str) -> Question:
    attempts = run.trajectories()
    task = task_named(str(run.metadata["task_id"]))
    right = None if task is None or task.checker else tuple(is_right(task, attempt[-1].text) for attempt in attempts)
    return Question(tuple(case_of(run.question, attempt, delimiter) for attempt in attempts), right)


def differ(cases: Sequence[Case]) -> bool:
    answers = {canonical(final_answer(c.answer) or c.answer, c.question) for c in cases if c.finished and c.answer}
    return len(answers) > 1


def task_named(task_id: str) -> Task | None:
    """The task of that id; None where no family here has it."""
    if task_id.startswith("handwritten/"):
        return next((task for task in handwritten.tasks() if task.task_id == task_id), None)
    try:
        return task_of(task_id)
    except (KeyError, ValueError):
        return None


async def judge_all(
    judge: PairwiseJudge, questions: Sequence[Question], at_once: int, tell: Callable[[], None]
) -> list[Judged]:
    """The comparisons of every question, with what is known of the attempts."""
    gate = asyncio.Semaphore(at_once)

    async def one(question: Question) -> list[Judged]:
        async with gate:
            compared = await judge.compare(question.cases)
        tell()
        return judged_of(question, compared)

    return [judged for each in await asyncio.gather(*map(one, questions)) for judged in each]


def judged_of(question: Question, compared: Sequence[Comparison]) -> list[Judged]:
    lengths = [len(attempt_text(case)) for case in question.cases]
    right = question.right
    return [
        Judged(c, (lengths[c.one], lengths[c.other]), None if right is None else (right[c.one], right[c.other]))
        for c in compared
    ]
