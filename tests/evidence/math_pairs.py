"""Does the math verifier give every pair of the table its verdict, and soon? python tests/evidence/math_pairs.py

Each pair of tests/verifiers/math_pairs.jsonl is judged alone; exits with 1 where a verdict is wrong or takes
``SLOWEST`` seconds by the clock. The verifier's own limit is 1 s of processor time, so run it where nothing else runs:
the load is printed. A pair that is marked ``missed`` means the same and is known not to be seen.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from verifiers.math_answers import MathAnswers
from verifiers.verdict import Case

PAIRS = Path(__file__).parents[1] / "verifiers" / "math_pairs.jsonl"
SLOWEST = 2.0


@dataclass(frozen=True, slots=True)
class Timed:
    """One pair's verdict."""

    right: bool
    seconds: float  # by the clock
    processor: float  # seconds, of this process and the worker with its forks


async def timed(math: MathAnswers, pair: dict[str, Any]) -> Timed:
    began, before = time.perf_counter(), processor_seconds()
    [verdict] = await math.verify([Case("", f"Answer: {pair['answer']}", gold=pair["gold"])])
    right = bool(verdict.score) == (pair["right"] and not pair.get("missed"))
    return Timed(right, time.perf_counter() - began, processor_seconds() - before)


def processor_seconds() -> float:
    us = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in (us, *us.children()))


async def main() -> bool:
    math = MathAnswers()
    await math.verify([Case("", "Answer: x+x", gold="2x")])  # the process starts with the first formula
    found: dict[str, list[Timed]] = defaultdict(list)
    pairs = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    for pair in pairs:
        found[pair["kind"]].append(await timed(math, pair))
    math.close()
    every = [each for of_kind in found.values() for each in of_kind]
    print(f"{'kind':24} {'pairs':>5}  {'right':>5}  {'slowest, s':>10}  {'of processor time':>17}")
    for kind, results in (*found.items(), ("all", every)):
        slowest, processor = max(each.seconds for each in results), max(each.processor for each in results)
        print(f"{kind:24} {len(results):5}  {sum(r.right for r in results):5}  {slowest:10.3f}  {processor:17.3f}")
    missed = sum(bool(pair.get("missed")) for pair in pairs)
    print(f"{missed} of them mean the same and are known not to be seen; not seeing them counts as right here.")
    print(f"Load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.")
    return all(each.right and each.seconds < SLOWEST for each in every)


if __name__ == "__main__":
    sys.exit(not asyncio.run(main()))
