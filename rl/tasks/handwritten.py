"""Questions written by hand, in ordinary wording that no generator made. A measure, never training data.

They were written after the generators were frozen, by somebody who had not read them; an earlier list was given up
because patterns of the generators had been modelled on it. Whoever changes a generator does not look at them.

``handwritten.jsonl`` beside this file has a question a line, with its gold answer, the family it would belong to, and how
many steps it takes. ``rl.evaluate`` asks them as the suite ``handwritten``, all of them as tier 0.
"""

from __future__ import annotations

import json
from pathlib import Path

from rl.tasks.task import Task

TIERS = range(1)
FILE = Path(__file__).with_suffix(".jsonl")
# For gold answers that are no text to compare with: what an answer has to say, one of these.
SAYS = {
    "declined": ("I can't", "I cannot", "I can not", "I'm unable", "I am unable", "I'm not able", "I am not able"),
    "greeted": ("hello", "hi", "hey", "good morning", "good evening"),
}


def tasks() -> list[Task]:
    """All of them, in the file's order, with no demonstration and nothing to look things up in."""
    return [task(index, json.loads(line)) for index, line in enumerate(FILE.read_text().splitlines())]


def task(index: int, written: dict[str, str]) -> Task:
    gold = written["gold"]
    metadata: dict[str, object] = {"says": SAYS[gold]} if gold in SAYS else {}
    tools = ("calculator", "python")
    return Task(f"handwritten/{index}", "handwritten", 0, written["question"], gold, (), tools=tools, metadata=metadata)
