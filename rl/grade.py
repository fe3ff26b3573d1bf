"""Whether an answer to a task is right: the same function for evaluation and for rewards."""

from __future__ import annotations

import re

from rl.tasks.task import Task
from verifiers.answers import canonical, final_answer


def is_right(task: Task, answer: str | None) -> bool:
    """Equal to the gold answer in canonical form; where the task wants a sentence, the answer has to say it.

    ``metadata["says"]`` is what it has to say, or a tuple of phrases of which one is enough: whole words in any case.
    """
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
