"""A person's own questions as a plain function: of (seed, index) it makes a question and its answer, or a ``Task``.

It is a family called ``module:function`` with one tier, 0, so that whatever takes a suite takes it, and a task's id is
enough to make it again when rewards are. A quarter of its questions, by the hash of their text, is held out, as of
other families.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rl.suites.files import SuiteError
from rl.suites.row import TOOLS
from rl.tasks.task import Draw, Task

TRIES = 200  # of which a split that has a quarter of the questions gets none once in 10^25
APART = 1_000_003  # indices between two tries


@dataclass(frozen=True, slots=True)
class FunctionFamily:
    """A pure function of seed and index as a family."""

    name: str  # module:function
    make: Callable[[int, int], Any]
    TIERS = range(1)

    def generate(self, draw: Draw, tier: int, task_id: str) -> Task:
        """The first of the split's questions at index, index + ``APART``, ... Raises ``SuiteError``."""
        seed, index = map(int, task_id.split("/")[3:])
        for attempt in range(TRIES):
            task = self._task(seed, index + attempt * APART, task_id)
            if draw.owns(task.question):
                return task
        raise SuiteError(
            f"{self.name} has no question for {draw.split} (held_out is a quarter of all questions, by their hash) at "
            f"{TRIES} indices; let it make more different ones, or write them to a file."
        )

    def _task(self, seed: int, index: int, task_id: str) -> Task:
        try:
            made = self.make(seed, index)
        except Exception as error:  # a stranger's code, which may raise anything
            sentence = f"{self.name}({seed}, {index}) raised {type(error).__name__} ({error}); mend it."
            raise SuiteError(sentence) from error
        if isinstance(made, Task):
            return replace(made, task_id=task_id, family=self.name, tier=0)
        match made:
            case (str(question), str() | int() | float() as answer) if question.strip():
                return Task(task_id, self.name, 0, question, str(answer), (), tools=TOOLS)
        raise SuiteError(f"{self.name}({seed}, {index}) gave no (question, answer), nor a Task; let it return one.")
