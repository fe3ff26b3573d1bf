"""What it costs to log a step, while the prompts of a run grow.

    python tests/benchmarks/bench_store.py

For each size (tokens of prompt, tokens sampled a step): 8 attempts of 10 steps each go into one log; the median and the
slowest ``Store.add_node``, and reading the whole run back. Beside them the same bytes in one plain SQLite insert.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams
from agent.store import Store

SIZES = [(600, 200), (4_000, 600), (16_000, 1_000)]
ATTEMPTS, STEPS = 8, 10
POLICY = PolicyVersion("mini")


def tokens(draw: random.Random, count: int) -> tuple[int, ...]:
    return tuple(draw.randrange(4096) for _ in range(count))


def nodes(prompt: int, sampled: int) -> Iterator[Node]:
    """Attempts that share their first prompt; each step's prompt is the last with what followed."""
    draw = random.Random(0)
    opening = tokens(draw, prompt)
    for attempt in range(ATTEMPTS):
        path, before = (attempt,), opening
        for _ in range(STEPS):
            ids = tokens(draw, sampled)
            logprobs = tuple(-draw.random() for _ in ids)
            sample = Sample(before, ids, logprobs, "stop", POLICY, SamplingParams(seed=attempt))
            yield Node(path, sample, Ending.TOOL_CALL, thought="x" * 3 * sampled)
            path, before = (*path, 0), before + ids + tokens(draw, 50)


def measured(folder: Path, prompt: int, sampled: int) -> str:
    times: list[float] = []
    with Store.open(folder / "log.sqlite") as store:
        store.begin(Run("r", "q", "t", "low", "single", {}, "fixed n=1", 1, POLICY, "2026-01-01"))
        for node in nodes(prompt, sampled):
            began = time.perf_counter()
            store.add_node("r", node)
            times.append(1e3 * (time.perf_counter() - began))
        began = time.perf_counter()
        store.run("r")
        reading = 1e3 * (time.perf_counter() - began)
    median = statistics.median(times)
    cells = (
        f"{prompt:,}",
        f"{sampled:,}",
        f"{median:.2f}",
        f"{max(times):.1f}",
        f"{median / plain(folder, sampled):.1f}",
    )
    return f"| {' | '.join(cells)} | {reading:.0f} |"


def plain(folder: Path, sampled: int) -> float:
    """Milliseconds of one insert of as many bytes as a step's tokens and log-probabilities have."""
    db = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE steps (bytes BLOB)")
    times = []
    for _ in range(ATTEMPTS * STEPS):
        began = time.perf_counter()
        db.execute("INSERT INTO steps VALUES (?)", [bytes(8 * sampled)])
        times.append(1e3 * (time.perf_counter() - began))
    db.close()
    return statistics.median(times)


def main() -> None:
    print("| prompt | sampled | median ms a step | slowest | times a plain insert | ms to read the run |")
    print("|---|---|---|---|---|---|")
    for prompt, sampled in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            print(measured(Path(folder), prompt, sampled))


if __name__ == "__main__":
    main()
