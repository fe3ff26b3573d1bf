"""Adapters swapped under load: does any request fail, any run mix two versions, any sample name the wrong one?

    python tests/evidence/swap_adapters.py [SWAPS]

A real vLLM, 16 runs at once. Each swap loads an adapter with new random weights and unloads the one before it when its
last run has ended. Afterwards every sample's log-probabilities are computed again with the weights of the version that
it names. Exits with 1 where one of these fails.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from agent.assemble import assemble
from agent.budget import Budget
from agent.context import Agent
from agent.effort import EFFORTS
from agent.policy import adapters
from agent.policy.note import Note
from agent.records import Ending, Run
from agent.run import Ask, ask
from agent.search.attempts import BestOfN
from agent.settings import Settings
from rl.tasks.suite import mixture
from tests.adapters import adapted, difference, random_adapter
from tests.evidence.served import memory, serving

AT_ONCE = 16
TOLERANCE = 1e-4
HOW = Ask(replace(EFFORTS["high"], strategy=BestOfN(2), budget=Budget(steps=2, sample_tokens=32)), reference_share=0.0)


async def load(agent: Agent, over: asyncio.Event, runs: list[Run], failed: list[str], worker: int) -> None:
    """Ask one question after the other until it is over."""
    index = worker
    while not over.is_set():
        try:
            runs.append(await ask(agent, mixture(5, index, "held_out").question, replace(HOW, seed=index)))
        except Exception as error:  # every kind counts
            failed.append(repr(error))
        index += AT_ONCE


async def swap(agent: Agent, home: Path, found: Note, swaps: int) -> tuple[list[Run], list[str], list[int]]:
    over, runs, failed = asyncio.Event(), list[Run](), list[str]()
    workers = [asyncio.create_task(load(agent, over, runs, failed, i)) for i in range(AT_ONCE)]
    before, sizes = None, []
    for i in range(swaps):
        name = await adapters.load(home, found, random_adapter(home / "made" / str(i), seed=i))
        if before:
            old = before
            await adapters.unload(home, found, old, lambda old=old: using(agent, old))
        before = name
        sizes.append(memory(found))
        print(f"swap {i + 1}: {name}, {len(runs)} runs, {sizes[-1] / 2**20:.0f} MiB", file=sys.stderr, flush=True)
        await asyncio.sleep(0.5)
    over.set()
    await asyncio.gather(*workers)
    return runs, failed, sizes


def using(agent: Agent, name: str) -> int:
    return sum(run.policy.adapter == name for run in agent.store.under_way())


def check(home: Path, runs: list[Run]) -> tuple[int, int, int, float]:
    """(runs with two versions, samples that do not match theirs, samples, largest difference of those that match)."""
    mixed = sum(len({node.sample.policy for node in run.nodes} | {run.policy}) > 1 for run in runs)
    folders = {adapters.kept(home, folder, "ponder")[1]: folder for folder in (home / "made").iterdir()}
    by_version: dict[str, list[Run]] = {}
    for run in runs:
        if run.policy.adapter:  # those of the first moments had none
            by_version.setdefault(run.policy.adapter, []).append(run)
    wrong, samples, largest = 0, 0, 0.0
    for name, theirs in by_version.items():
        model = adapted(folders[name])
        for run in theirs:
            for node in run.nodes:
                if node.sample.token_ids:
                    apart = difference(model, node.sample)
                    samples, wrong = samples + 1, wrong + (apart > TOLERANCE)
                    largest = max(largest, apart if apart <= TOLERANCE else 0.0)
    return mixed, wrong, samples, largest


async def main(swaps: int) -> int:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), "--max-loras", "4") as found:
        home = Path(folder)
        async with assemble(Settings(home=home, encoder="none")) as agent:
            runs, failed, sizes = await swap(agent, home, found, swaps)
        failed += [node.note for run in runs for node in run.nodes if node.ending is Ending.ERROR]
        mixed, wrong, samples, largest = check(home, runs)
        versions = Counter(run.policy.adapter for run in runs)
    print(
        f"{swaps} swaps under {AT_ONCE} runs at once: {len(runs)} runs of {len(versions)} versions, {samples} samples"
    )
    print(f"failed requests: {len(failed)} {Counter(failed) or ''}")
    print(f"runs with two versions: {mixed}")
    print(f"samples that the weights they name did not draw: {wrong} (largest difference of the others {largest:.1e})")
    fifths = [sizes[len(sizes) * i // 5 : len(sizes) * (i + 1) // 5] for i in range(5)]
    means = ", ".join(f"{sum(part) / len(part) / 2**20:.0f}" for part in fifths if part)
    print(f"memory of the server, MiB, mean of each fifth (its cache is touched little by little): {means}")
    return int(bool(failed or mixed or wrong))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)))
