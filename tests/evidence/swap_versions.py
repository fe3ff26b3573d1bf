"""Versions promoted and rolled back under load: does any request fail, any run mix two, any sample name the wrong one?

    python tests/evidence/swap_versions.py [CHANGES]

A real ``ponder model serve``, 8 runs at once. In turn weights are promoted (a server of their own, while the old one
finishes its runs), an adapter on them (loaded into the running server), and both are rolled back. Afterwards the
log-probabilities of up to 50 runs of each version are computed again with the weights that they name. Exits with 1
where one of these fails.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.assemble import MINI, assemble
from agent.budget import Budget
from agent.context import Agent
from agent.effort import EFFORTS
from agent.policy import note, registry
from agent.policy.note import Note
from agent.policy.registry import Origin
from agent.records import Ending, Run
from agent.run import Ask, ask
from agent.search.attempts import BestOfN
from agent.settings import Settings
from rl.tasks.suite import mixture
from tests.adapters import adapted, difference, random_adapter
from tests.evidence.served import serving

AT_ONCE = 8
TOLERANCE = 1e-4
CHECKED = 50  # runs of each version whose samples are computed again: a start takes long enough for thousands
LIMITS = ("--max-loras", "4", "--max-model-len", "4096", "--max-num-seqs", "64", "--dtype", "float32")
HOW = Ask(replace(EFFORTS["high"], strategy=BestOfN(2), budget=Budget(steps=2, sample_tokens=32)), reference_share=0.0)


def changed_weights(folder: Path, seed: int, scale: float = 0.01) -> Path:
    """The shipped miniature with noise on its weights: another version, and one that answers."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(MINI, folder)
    drawn = torch.Generator().manual_seed(seed)
    tensors = load_file(folder / "model.safetensors")
    noisy = {name: t + (scale * torch.randn(t.shape, generator=drawn)).to(t.dtype) for name, t in tensors.items()}
    save_file(noisy, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@dataclass(slots=True)
class Load:
    """Runs that are asked without a pause."""

    runs: list[Run] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def one_after_another(self, agent: Agent, worker: int) -> None:
        index = worker
        while True:
            try:
                self.runs.append(await ask(agent, mixture(5, index, "held_out").question, replace(HOW, seed=index)))
            except Exception as error:  # every kind counts
                self.failed.append(repr(error))
                await asyncio.sleep(0.1)
            index += AT_ONCE

    def failures(self) -> list[str]:
        return self.failed + [node.note for run in self.runs for node in run.nodes if node.ending is Ending.ERROR]


@asynccontextmanager
async def under_load(home: Path, at_once: int = AT_ONCE) -> AsyncIterator[Load]:
    """Runs of one agent, as a long-lived process has it, for as long as the block lasts."""
    load = Load()
    async with assemble(Settings(home=home, encoder="none")) as agent:
        workers = [asyncio.create_task(load.one_after_another(agent, i)) for i in range(at_once)]
        try:
            yield load
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def taken(home: Path, load: Load, more: int = AT_ONCE, seconds: float = 900.0) -> Note:
    """Wait until what is promoted answers new runs, and some have ended since. Raises ``TimeoutError``."""
    wanted = registry.target(home, str(MINI))
    enough: int | None = None
    async with asyncio.timeout(seconds):
        while True:
            now = note.read(home)
            if now and enough is None and (now.model, now.adapter) == (wanted.name, wanted.adapter):
                enough = len(load.runs) + more
            if now and enough is not None and len(load.runs) >= enough:
                return now
            await asyncio.sleep(0.1)


def mixed(runs: list[Run]) -> int:
    """Runs with two versions."""
    return sum(len({node.sample.policy for node in run.nodes} | {run.policy}) > 1 for run in runs)


def wrong(home: Path, runs: list[Run]) -> tuple[int, int, float]:
    """(samples that the weights they name did not draw, samples, the largest difference of the others)."""
    wrongly, samples, largest = 0, 0, 0.0
    for policy in {run.policy for run in runs}:
        model = weights_named(home, policy.model, policy.adapter)
        theirs = [run for run in runs if run.policy == policy]
        for sample in [node.sample for run in theirs[:: 1 + len(theirs) // CHECKED] for node in run.nodes]:
            if sample.token_ids:
                apart = difference(model, sample)
                samples, wrongly = samples + 1, wrongly + (apart > TOLERANCE)
                largest = max(largest, apart if apart <= TOLERANCE else 0.0)
    return wrongly, samples, largest


def weights_named(home: Path, model: str, adapter: str | None) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    base = Path(model) if Path(model).is_dir() else registry.weights_of(home, model)
    if adapter is not None:
        return adapted(registry.weights_of(home, adapter), base)
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


async def change(home: Path, turn: int) -> str:
    """In turn: weights, an adapter on them, back to the weights, back to the base."""
    if turn % 4 == 0:
        folder = changed_weights(home / "made" / str(turn), turn)
        return registry.promote(home, registry.add(home, folder, Origin(base=str(MINI))).id).id
    if turn % 4 == 1:
        below = registry.promoted(home)
        assert below is not None
        folder = random_adapter(home / "made" / str(turn), turn)
        return registry.promote(home, registry.add(home, folder, Origin(base=below.id, parent=below.id)).id).id
    back = registry.rollback(home)
    return back.id if back else "the base"


async def main(changes: int) -> int:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), *LIMITS) as _:
        home = Path(folder)
        async with under_load(home) as load:
            for turn in range(changes):
                began = time.monotonic()
                name = await change(home, turn)
                now = await taken(home, load)
                seconds, failures = time.monotonic() - began, len(load.failures())
                line = f"{name} at {now.base_url} after {seconds:.0f} s, {len(load.runs)} runs, {failures} failures"
                print(f"change {turn + 1}: {line}", file=sys.stderr, flush=True)
        versions = Counter(str(run.policy) for run in load.runs)
        wrongly, samples, largest = wrong(home, load.runs)
    print(f"{changes} changes under {AT_ONCE} runs at once: {len(load.runs)} runs of {len(versions)} versions, "
          f"{samples} samples")  # fmt: skip
    print(f"failed requests: {len(load.failures())} {Counter(load.failures()) or ''}")
    print(f"runs with two versions: {mixed(load.runs)}")
    print(
        f"samples that the weights they name did not draw: {wrongly} (largest difference of the others {largest:.1e})"
    )
    return int(bool(load.failures() or mixed(load.runs) or wrongly))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)))
