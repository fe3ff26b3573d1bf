"""Are prefixes that a search shares sampled on vLLM's prefix cache? python tests/evidence/prefix_cache.py [MODEL]

MODEL is a process reward model's folder, for the searches over steps; without it they are left out. For each strategy,
the share of prompt tokens that the server did not compute again, beside the most that whole blocks allow: what another
prompt of the same run, or what was sampled after it, had in common with it. Exits with 1 where it is below 0.9 of that.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.assemble import assemble
from agent.effort import EFFORTS
from agent.records import Run
from agent.run import Ask, ask
from agent.search.registry import strategy_named
from agent.settings import Settings
from rl.tasks.suite import generate
from tests.evidence.served import serving

QUESTIONS = 10
BLOCK = 128  # tokens: vLLM's on a CPU
CHOOSING = ("best_of_n:n=16", "adaptive_best_of_n:n=16,level=0.99", "self_refine", "budget_forcing", "rollouts")
OVER_STEPS = ("beam:beams=4,expand=4", "beam:beams=4,expand=4,diverse=true", "tree_search:simulations=32")


def shareable(run: Run) -> int:
    """Prompt tokens that stood before in whole blocks, had every node come after those beside it."""
    seen: set[tuple[int, ...]] = set()
    total = 0
    for node in sorted(run.nodes, key=lambda node: (len(node.path), node.path)):
        prompt = node.sample.prompt_token_ids
        ends = range(BLOCK, len(prompt), BLOCK)  # the last token is always computed
        total += max((end for end in ends if tuple(prompt[:end]) in seen), default=0)
        whole = [*prompt, *node.sample.token_ids]
        seen.update(tuple(whole[:end]) for end in range(BLOCK, len(whole) + 1, BLOCK))
    return total


def line(spec: str, runs: Sequence[Run]) -> tuple[str, float]:
    prompts = sum(run.usage.prompt_tokens for run in runs)
    cached, possible = sum(run.usage.cached_prompt_tokens for run in runs), sum(map(shareable, runs))
    shares = f"{cached / prompts:.3f} of {prompts:,} prompt tokens cached, {possible / prompts:.3f} possible in a run"
    return f"{spec}: {shares}", cached / max(1, possible)


async def main(home: Path, judge: str | None) -> bool:
    good = True
    with serving(home, "--max-model-len", "4096"):
        async with assemble(Settings(home=home, process_reward=judge)) as agent:
            for spec in (*CHOOSING, *(OVER_STEPS if judge else ())):
                how = replace(EFFORTS["high"], name=spec, strategy=strategy_named(spec))
                asked = [(generate("arithmetic", 6, "held_out", 3, i).question, i) for i in range(QUESTIONS)]
                runs = [await ask(agent, text, Ask(how, seed=i, reference_share=0.0)) for text, i in asked]
                text, share = line(spec, runs)
                print(text, flush=True)
                good &= share >= 0.9
    return good


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(not asyncio.run(main(Path(folder), sys.argv[1] if len(sys.argv) > 1 else None)))
