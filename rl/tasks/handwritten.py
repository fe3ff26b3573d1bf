"""Questions that people wrote by hand, in ordinary wording that no generator made. A measure, never training data.

``handwritten.jsonl`` beside this file has a question a line, with its gold answer, the family it would belong to, and how
many steps it takes. ``rl.evaluate`` asks them as the suite ``handwritten``, all of them as tier 0.
"""

from __future__ import annotations

import json
from pathlib import Path

from rl.tasks.task import Task

TIERS = range(1)
FILE = Path(__file__).with_suffix(".jsonl")
# One of these in an answer counts as declining, or as greeting back.
DECLINED = ("can't", "cannot", "can not", "unable", "not able", "hello", "hi", "hey", "good morning")


def tasks() -> list[Task]:
    """All of them, in the file's order, with no demonstration and nothing to look things up in."""
    return [task(index, json.loads(line)) for index, line in enumerate(FILE.read_text().splitlines())]


def task(index: int, written: dict[str, str]) -> Task:
    gold = written["gold"]
    metadata: dict[str, object] = {"says": DECLINED} if gold == "declined" else {}
    tools = ("calculator", "python")
    return Task(f"handwritten/{index}", "handwritten", 0, written["question"], gold, (), tools=tools, metadata=metadata)
