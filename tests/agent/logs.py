"""A small run and its nodes, for the tests of the log."""

import sqlite3
from contextlib import closing
from pathlib import Path

from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams

MINI = PolicyVersion("mini", version="v1")
RUN = Run("run-1", "How many pens?", "thread-1", "low", "single", {"n": 1}, "fixed n=1", 2**64 - 1, MINI, "2026-11-01")


def sample(prompt: tuple[int, ...] = (1, 2), tokens: tuple[int, ...] = (3, 4), seed: int = 0) -> Sample:
    return Sample(prompt, tokens, tuple(-0.5 * i for i in range(len(tokens))), "stop", MINI, SamplingParams(seed=seed))


def node(path: tuple[int, ...] = (0,), drawn: Sample | None = None) -> Node:
    return Node(path, drawn or sample(), Ending.ANSWER, thought="Hm.", text="Answer: 75")


def scalar(path: Path, query: str) -> object:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchone()[0]
