"""Do logged log-probabilities equal a plain forward pass, and is every trajectory a chain of prefixes?

    python tests/evidence/token_truth.py [MODEL] [SAMPLES]

Asks held-out questions at temperatures 1 and 0.7, then recomputes every logged sample with Transformers in float32,
one sequence at a time and with no cache. Exits with 1 where a log-probability differs by more than 1e-4.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from agent.assemble import MINI, assemble, open_encoder
from agent.effort import EFFORTS
from agent.records import Node, Run
from agent.search.attempts import BestOfN
from agent.settings import Settings
from rl.evaluate import Harness, ask_all
from rl.tasks.suite import mixture

TOLERANCE = 1e-4


async def sampled(model: str, wanted: int, home: Path) -> list[Run]:
    """Runs with at least ``wanted`` samples, half of them at each temperature."""
    settings = Settings(home=home, model=model)
    runs: list[Run] = []
    async with assemble(settings) as agent:
        harness = Harness(agent, open_encoder(settings))
        for seed, temperature in ((11, 1.0), (12, 0.7)):
            effort = replace(EFFORTS["high"], strategy=BestOfN(4), temperature=temperature)
            tasks = [mixture(seed, i, "held_out") for i in range(-(-wanted // 8))]
            runs += await ask_all(harness, tasks, effort, lambda: None)
    return runs


def recomputed(model: torch.nn.Module, node: Node) -> float:
    """The largest difference between a logged log-probability of this sample and a plain forward pass."""
    sample = node.sample
    ids = torch.tensor([[*sample.prompt_token_ids, *sample.token_ids]])
    with torch.inference_mode():
        logits_T_V = model(ids).logits[0, len(sample.prompt_token_ids) - 1 : -1].float()
    logprobs_T_V = torch.log_softmax(logits_T_V.double() / sample.params.temperature, dim=-1)
    mine = logprobs_T_V.gather(1, torch.tensor(sample.token_ids)[:, None])[:, 0]
    return float((mine - torch.tensor(sample.logprobs, dtype=torch.float64)).abs().max())


def broken_chains(run: Run) -> int:
    """Steps whose prompt is not the last prompt, what was sampled, and something appended."""
    broken = 0
    for trajectory in run.trajectories():
        for before, after in pairwise(trajectory):
            start = before.sample.prompt_token_ids + before.sample.token_ids
            kept = after.sample.prompt_token_ids[: len(start)] == start
            broken += not kept and not after.note.startswith("compacted")
    return broken


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else str(MINI)
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with tempfile.TemporaryDirectory() as home:
        runs = asyncio.run(sampled(folder, wanted, Path(home)))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    worst: dict[float, float] = {}
    nodes = [node for run in runs for node in run.nodes if node.sample.token_ids]
    for node in nodes:
        temperature = node.sample.params.temperature
        worst[temperature] = max(worst.get(temperature, 0.0), recomputed(model, node))
    tokens = sum(len(node.sample.token_ids) for node in nodes)
    print(f"{len(nodes)} samples, {tokens} tokens, of {len(runs)} runs")
    for temperature, difference in sorted(worst.items()):
        print(f"temperature {temperature}: largest difference {difference:.2e}")
    print(f"broken prefix chains: {sum(map(broken_chains, runs))}")
    sys.exit(max(worst.values()) > TOLERANCE or any(map(broken_chains, runs)))


if __name__ == "__main__":
    main()
