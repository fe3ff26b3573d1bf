"""How good each step of a logged attempt was: what a process reward model learns. Pure functions of runs and tasks.

The label of a step is the share of the attempts through it that came to the right answer (Wang et al. 2024,
"Math-Shepherd"), or, where the task's demonstration can say, whether it was right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.graph import steps_of
from agent.records import Ending, Run
from rl.grade import is_right
from rl.tasks.check import checked_steps
from rl.tasks.task import Task

Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One attempt, with a label for each of its steps."""

    task_id: str
    question: str
    steps: Steps
    labels: tuple[float, ...]  # in [0, 1]
    checked: bool  # whether the task's demonstration gave the labels; else they are shares of attempts

    @property
    def right(self) -> bool:
        return self.labels[-1] > 0.5


def labelled(run: Run, task: Task, delimiter: str) -> list[Labelled]:
    """The finished attempts of a run; each sequence of steps once."""
    attempts: dict[Steps, bool] = {}
    drawn: list[tuple[Steps, bool]] = []
    for trajectory in run.trajectories():
        leaf, steps = trajectory[-1], steps_of(trajectory, delimiter)
        if steps and leaf.ending not in (Ending.STEP, Ending.TOOL_CALL, Ending.CANCELLED, Ending.ERROR):
            right = leaf.ending is Ending.ANSWER and is_right(task, leaf.text)
            drawn.append((steps, right))
            attempts[steps] = right
    through = shares(drawn)
    made = []
    for steps in attempts:
        checks = checked_steps(task, steps, delimiter)
        labels = through[steps] if checks is None else tuple(map(float, checks))
        made.append(Labelled(task.task_id, task.question, steps, labels, checks is not None))
    return made


def shares(attempts: Sequence[tuple[Steps, bool]]) -> dict[Steps, tuple[float, ...]]:
    """For each sequence of steps, the share of right ones among the attempts that have its first 1, 2, ... steps."""
    passed: Counter[Steps] = Counter()
    right: Counter[Steps] = Counter()
    for steps, is_right_ in attempts:
        for i in range(1, len(steps) + 1):
            passed[steps[:i]] += 1
            right[steps[:i]] += is_right_
    return {
        steps: tuple(right[steps[:i]] / passed[steps[:i]] for i in range(1, len(steps) + 1)) for steps, _ in attempts
    }
