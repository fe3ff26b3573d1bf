"""Whether an answer to a generated task is right: the same function for evaluation and for rewards."""

from __future__ import annotations

from rl.tasks.task import Task
from verifiers.answers import canonical, final_answer


def is_right(task: Task, answer: str | None) -> bool:
    """Equal to the gold answer in canonical form; where the task wants a sentence, the answer has to say it."""
    if answer is None:
        return False
    if "says" in task.metadata:
        return str(task.metadata["says"]) in answer
    final = final_answer(answer)
    return final is not None and canonical(final, task.question) == canonical(task.gold, task.question)
