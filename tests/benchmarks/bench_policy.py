"""How fast the embedded policy is, as ratios on one machine: python tests/benchmarks/bench_policy.py MODEL_FOLDER

Every sample has the same number of tokens (nothing stops early), so that times compare; each figure is the median of
several rounds, and the things compared take turns within a round. The prefix cache is on, as in use.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.policy.embedded import EmbeddedPolicy
from agent.policy.model import load_model, use_threads
from agent.records import SamplingParams
from agent.system_prompt import open_prompt

SYSTEM = open_prompt().text
TOOLS = [
    {"type": "function", "function": {"name": name, "description": text, "parameters": {"type": "object"}}}
    for name, text in (("calculator", "Evaluate an arithmetic expression exactly."), ("search", "Search documents."))
]


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=100, help="tokens of every sample")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", action="store_true", help="count CPU seconds instead: for a machine that others use")
    given = parser.parse_args()
    policy = EmbeddedPolicy.load(given.folder)
    policy.renderer.stop_token_ids = ()
    prompts = [
        policy.renderer.start(
            [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"Tom has {12 + i} boxes with {i} pens in each. How many pens are there?"},
            ],
            TOOLS,
        )
        for i in range(16)
    ]
    params = SamplingParams(max_tokens=given.tokens)
    print(f"{policy.version}, prompts of {len(prompts[0])} tokens, samples of {given.tokens}")
    generate = with_generate(given.folder, prompts, given.tokens)

    async def together() -> None:
        await asyncio.gather(*(policy.sample(prompt, params) for prompt in prompts))

    async def one_by_one() -> None:
        for prompt in prompts:
            await policy.sample(prompt, params)

    async def eight_separate() -> None:
        for i in range(8):
            await policy.sample(prompts[0], replace(params, seed=i))

    seconds = await medians(
        given.rounds,
        time.process_time if given.cpu else time.perf_counter,
        {
            "1 sample": lambda: policy.sample(prompts[0], params),
            "n = 8 of one prompt": lambda: policy.sample(prompts[0], params, 8),
            "8 separate samples": eight_separate,
            "16 questions together": together,
            "16 questions one after the other": one_by_one,
            "Transformers' generate on the 16": generate,
        },
    )
    for name, median in seconds.items():
        print(f"{median * 1000:8.0f} ms  {name}")
    one, n8, separate, at_once, in_turn, theirs = seconds.values()
    print(f"n = 8 of one prompt takes {n8 / one:.2f}x one sample; 8 separate ones take {separate / n8:.2f}x that")
    print(f"16 questions together are {in_turn / at_once:.2f}x faster than one after the other")
    print(f"Transformers' generate takes {theirs / at_once:.2f}x the time of the embedded policy on the same batch")
    await policy.close()


def with_generate(folder: Path, prompts: list[list[int]], tokens: int) -> Callable[[], Awaitable[None]]:
    """The same prompts as one left-padded batch through ``model.generate``, in a thread."""
    import torch

    model: Any = load_model(folder).eval()
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])

    def run() -> None:
        use_threads(model)
        with torch.inference_mode():
            out = model.generate(ids, attention_mask=mask, do_sample=True, max_new_tokens=tokens, min_new_tokens=tokens)
        assert out.shape[1] == width + tokens

    return lambda: asyncio.to_thread(run)


async def medians(
    rounds: int, clock: Callable[[], float], works: dict[str, Callable[[], Awaitable[object]]]
) -> dict[str, float]:
    """Median seconds of each work over the rounds, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            start = clock()
            await work()
            seconds[name].append(clock() - start)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


if __name__ == "__main__":
    asyncio.run(main())
