"""Multiple choice: MMLU (Hendrycks et al. 2021) and GPQA (Rein et al. 2023).

MMLU has ``question``, ``choices`` and the index of the right one in ``answer`` (or its letter). GPQA has ``Question``,
``Correct Answer`` and ``Incorrect Answer 1`` to ``3``; a hash of the question says in which order they are shown.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from string import ascii_uppercase

from rl.suites.row import Row, RowError, task_from, text, texts
from rl.tasks.task import Task, digest

NAME = "choices"
WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
ASK = "Answer with the letter of the right choice."


def fits(row: Row) -> bool:
    return {"question", "choices", "answer"} <= row.keys() or {"Question", "Correct Answer", WRONG[0]} <= row.keys()


def read(row: Row) -> Task:
    return read_gpqa(row) if "Correct Answer" in row else read_mmlu(row)


def read_mmlu(row: Row) -> Task:
    choices = texts(row, "choices")
    subject = {"subject": row["subject"]} if "subject" in row else {}
    return task_of(row, text(row, "question"), choices, index(row["answer"], len(choices)), subject)


def read_gpqa(row: Row) -> Task:
    question = text(row, "Question")
    choices = [text(row, key).strip() for key in ("Correct Answer", *WRONG)]
    order = random.Random(digest(question)).sample(range(4), 4)
    return task_of(row, question, [choices[i] for i in order], order.index(0), {})


def task_of(row: Row, question: str, choices: Sequence[str], right: int, metadata: dict[str, object]) -> Task:
    listed = "\n".join(f"{letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
    metadata |= {"choices": tuple(choices), "as_published": question}
    return task_from(NAME, row, f"{question}\n\n{listed}\n\n{ASK}", ascii_uppercase[right], "choice", metadata=metadata)


def index(answer: object, count: int) -> int:
    """Which choice is right, from its index, as a number or written out, or its letter."""
    written = str(answer).strip().upper().removesuffix(".0")  # as a table of numbers writes it
    found = ascii_uppercase.find(written) if len(written) == 1 and written.isalpha() else -1
    found = int(written) if written.isdecimal() else found
    if not 0 <= found < min(count, len(ascii_uppercase)):
        raise RowError(f"has the answer {str(answer)[:20]!r}, which is none of its {count} choices")
    return found
