"""The candidates of a question judged in one batch, against one by one: python tests/benchmarks/bench_judging.py MODEL

MODEL is a process reward model's folder. Attempts are the miniature's own, 16 a question, drawn before.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from agent.assemble import assemble
from agent.effort import EFFORTS
from agent.graph import case_of
from agent.policy.steps import StepEncoder
from agent.run import Ask, ask
from agent.search.attempts import BestOfN
from agent.settings import Settings
from rl.tasks.suite import generate
from verifiers.prm_local import LocalProcessRewardModel


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    encode = StepEncoder.load(given.model)
    model = LocalProcessRewardModel.load(given.model, encode.tag_id)
    effort = replace(EFFORTS["high"], strategy=BestOfN(16))
    groups = []
    with tempfile.TemporaryDirectory() as folder:
        async with assemble(Settings(home=Path(folder))) as agent:
            for index in range(given.questions):
                task = generate("arithmetic", 6, "held_out", 1, index)
                run = await ask(agent, task.question, Ask(effort, seed=index, reference_share=0.0))
                cases = [case_of(run.question, attempt, encode.delimiter) for attempt in run.trajectories()]
                groups.append([encode(case.question, case.steps) for case in cases])
    ratios = []
    for _ in range(given.rounds):
        start = time.perf_counter()
        for group in groups:
            for sequence in group:
                await model.score(sequence)
        middle = time.perf_counter()
        for group in groups:
            await asyncio.gather(*map(model.score, group))
        ratios.append((middle - start) / (time.perf_counter() - middle))
    tokens = statistics.mean(len(sequence) for group in groups for sequence in group)
    times = f"{statistics.median(ratios):.2f} times as fast as one by one ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"16 candidates of {tokens:.0f} tokens, in one batch: {times}")


if __name__ == "__main__":
    asyncio.run(main())
