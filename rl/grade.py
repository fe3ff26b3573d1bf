"""Whether an answer to a task is right: the same function for evaluation and for rewards.

``is_right`` is the rule of generated tasks. A task that names a checker, as those from files do, is graded by that
verifier with its gold answer, which nobody else is shown. ``grade`` knows which.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from functools import cache

from agent.errors import PonderError
from rl.suites.function_tests import FunctionTests
from rl.tasks.task import Task
from tools.sandbox import Sandbox
from verifiers import registry
from verifiers.answers import canonical, final_answer
from verifiers.verdict import Case, Verifier, VerifierError


class GradeError(PonderError):
    """A checker could not work, which says nothing of the answers."""


async def grade(task: Task, answers: Sequence[str | None]) -> list[bool]:
    """Whether each answer is right; None, no answer, is not. Raises ``GradeError``."""
    if not task.checker:
        return [is_right(task, answer) for answer in answers]
    given = [answer for answer in answers if answer is not None]
    cases = [Case(task.question, answer, gold=task.gold, metadata=task.metadata) for answer in given]
    try:
        verdicts = await checker(task.checker).verify(cases)
    except VerifierError as error:
        raise GradeError(f"{task.task_id} could not be graded: {error}") from error
    if silent := next((verdict for verdict in verdicts if verdict.score is None), None):
        raise GradeError(f"{task.task_id} could not be graded by {silent.verifier}: {silent.reason}")
    right = iter(verdict.score == 1.0 for verdict in verdicts)
    return [answer is not None and next(right) for answer in answers]


async def graded(tasks: Sequence[Task], answers: Sequence[str | None], report: Callable[[], None]) -> list[bool]:
    """One answer a task, as many at once as there are processors; ``report`` is called after each."""
    gate = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(task: Task, answer: str | None) -> bool:
        async with gate:
            [right] = await grade(task, [answer])
        report()
        return right

    return await asyncio.gather(*map(one, tasks, answers))


@cache
def checker(name: str) -> Verifier:
    """A verifier that grades; one for the life of the process, because some hold a process of their own."""
    return FunctionTests(Sandbox()) if name == FunctionTests.name else registry.load(name)


def is_right(task: Task, answer: str | None) -> bool:
    """Equal to a generated task's gold answer in canonical form; where it wants a sentence, the answer has to say it.

    ``metadata["says"]`` is what it has to say, or a tuple of phrases of which one is enough: whole words in any case.
    """
    if task.checker:
        raise ValueError(f"{task.task_id} is graded by {task.checker}, through grade")
    if answer is None:
        return False
    if (says := task.metadata.get("says")) is not None:
        phrases = says if isinstance(says, tuple) else (says,)
        return any(_says(answer, str(phrase)) for phrase in phrases)
    final = final_answer(answer)
    return final is not None and canonical(final, task.question) == canonical(task.gold, task.question)


def _says(answer: str, phrase: str) -> bool:
    answer = answer.replace("\u2019", "'")
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", answer, re.IGNORECASE) is not None
