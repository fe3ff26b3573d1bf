"""Whether each step of an attempt is right, where a family's demonstration can say so. ``rl.step_labels`` asks.

A step is right when all steps up to it are what the demonstration does. Only families whose way is as good as
unique can say: arithmetic stories (each line ends in its term) and letters that are spelled out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from rl.grade import is_right
from rl.tasks.task import Task


def checked_steps(task: Task, steps: Sequence[str], delimiter: str) -> list[bool] | None:
    """For each step, whether it and all before it are right; None where nobody can say.

    An attempt that goes another way and comes to the right answer is one of which nobody can.
    """
    wanted = demonstrated(task, delimiter)
    if wanted is None:
        return None
    answers = is_right(task, steps[-1])  # in whatever words
    same = [i < len(wanted) and essence(step) == wanted[i] for i, step in enumerate(steps)]
    same[-1] = same[-1] or answers
    verdicts = [all(same[: i + 1]) for i in range(len(same))]
    return None if answers and not verdicts[-1] else verdicts


def demonstrated(task: Task, delimiter: str) -> list[str] | None:
    """The essence of each step of the demonstration; None where another way may be as good."""
    by_lines = task.family == "arithmetic" or (task.family == "strings" and len(task.demonstration) == 1)
    detours = any(result.startswith("Error:") for turn in task.demonstration for result in turn.results)
    if not by_lines or detours:
        return None
    steps: list[str] = []
    for turn in task.demonstration:
        steps += turn.thought.split(delimiter)
        for (name, arguments), result in zip(turn.calls, turn.results, strict=True):
            steps.append(f"{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n{result}")
        steps += [turn.text] if turn.text else []
    return [essence(step) for step in steps]


def essence(step: str) -> str:
    """What of a step has to be the same: the term of a story's line, a call's result, a word and its letter."""
    if step.startswith('{"name"'):
        return step.rpartition("\n")[2]
    label, colon, term = step.partition(": ")
    return " ".join((term if colon else label).lower().split())
