"""What the agent costs beside vLLM itself, as ratios in one run: python tests/benchmarks/bench_vllm.py [MODEL_FOLDER]

Two questions, on a vLLM that the script starts:

- best-of-16 by the agent (prompt, log, verifiers, choice included) against one raw request with n = 16, in tokens per
  second; raw requests stream or not, the faster counts;
- 16 streams at once that are captured (ids and log-probabilities checked, and logged) against 16 plain ones of the same
  client; beside them 16 whole runs of the agent, which do more than capture.

Every sample has the same number of tokens: the model is served with a tokenizer for which nothing ends a text. The
things compared take turns within a round; each figure is the median over the rounds with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai

from agent.assemble import MINI, assemble
from agent.budget import Budget
from agent.context import Agent
from agent.effort import EFFORTS, Effort
from agent.policy.endpoint import EndpointPolicy
from agent.policy.note import Note
from agent.records import Ending, Node, Sample, SamplingParams
from agent.run import Ask, ask, begin
from agent.search.attempts import BestOfN, Single
from agent.settings import Settings
from agent.system_prompt import open_prompt
from tests.evidence.served import serving

N = 16
QUESTION = "Tom has 12 boxes with 7 pens in each and gives away 9 pens. How many pens does Tom have now?"
Work = Callable[[int], Awaitable[int]]  # a seed -> how many tokens came


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", type=Path, default=MINI)
    parser.add_argument("--tokens", type=int, default=256, help="tokens of every sample")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("extra", nargs="*", help="after --: for vLLM as it is")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), *given.extra, model=endless(given.model, Path(folder) / "model")) as note,
    ):
        async with assemble(Settings(home=Path(folder))) as agent:
            assert isinstance(agent.policy, EndpointPolicy)
            agent.policy.renderer.stop_token_ids = ()
            works = works_of(agent, note, given.tokens)
            rates = await in_turn(works, given.rounds)
    for name, each in rates.items():
        print(f"{statistics.median(each):8.0f} tokens/s ({min(each):.0f} to {max(each):.0f})  {name}")
    best_of, raw, raw_stream, captured, plain, runs = rates.values()
    raw_best = max(raw, raw_stream, key=statistics.median)
    print(f"the agent's best-of-{N} reaches {ratio(best_of, raw_best)} of raw requests with n = {N}")
    print(f"{N} captured streams reach {ratio(captured, plain)} of {N} plain ones, {N} whole runs {ratio(runs, plain)}")


def endless(model: Path, copy: Path) -> Path:
    """A copy of the model of whose tokens none ends a text for vLLM."""
    shutil.copytree(model, copy)
    (copy / "generation_config.json").unlink(missing_ok=True)
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token": "<|endoftext|>"}))
    return copy


def works_of(agent: Agent, note: Note, tokens: int) -> dict[str, Work]:
    client = openai.AsyncOpenAI(base_url=note.base_url, api_key=note.api_key, max_retries=0, timeout=600)
    prompt = agent.policy.renderer.start(
        [{"role": "system", "content": open_prompt().text}, {"role": "user", "content": QUESTION}],
        agent.toolbox.schemas(),
    )
    budget = Budget(steps=1, tokens=10**6, sample_tokens=tokens, seconds=600)
    body: dict[str, Any] = {"model": note.model, "prompt": "", "max_tokens": tokens, "temperature": 1.0}
    extra = {"prompt": prompt, "ignore_eos": True, "top_k": -1}

    def effort(name: str, strategy: Any) -> Effort:
        return replace(EFFORTS["high"], name=name, strategy=strategy, temperature=1.0, budget=budget)

    async def best_of(seed: int) -> int:
        run = await ask(agent, QUESTION, Ask(effort("bench", BestOfN(N)), seed=seed))
        return run.usage.sampled_tokens

    async def raw(seed: int) -> int:
        done = await client.completions.create(**body, n=N, seed=seed, extra_body=extra)
        assert done.usage
        return done.usage.completion_tokens

    async def streamed(n: int, seed: int) -> int:
        counted = 0
        stream = await client.completions.create(
            **body, n=n, seed=seed, stream=True, stream_options={"include_usage": True}, extra_body=extra
        )
        async for chunk in stream:
            counted = chunk.usage.completion_tokens if chunk.usage else counted
        return counted

    async def captured(seed: int) -> int:
        run = begin(agent, QUESTION, Ask(effort("bench", BestOfN(N)), seed=seed))
        agent.store.begin(run)

        async def one(i: int) -> int:
            params = SamplingParams(max_tokens=tokens, temperature=1.0, seed=seed * N + i)
            async with aclosing(agent.policy.stream(prompt, params)) as pieces:  # type: ignore[type-var]
                [sample] = [piece async for piece in pieces if isinstance(piece, Sample)]
            agent.store.add_node(run.run_id, Node((i,), sample, Ending.ANSWER))
            return len(sample.token_ids)

        return sum(await asyncio.gather(*map(one, range(N))))

    async def runs(seed: int) -> int:
        asks = (ask(agent, QUESTION, Ask(effort("bench", Single()), seed=seed * N + i)) for i in range(N))
        return sum([run.usage.sampled_tokens for run in await asyncio.gather(*asks)])

    async def plain(seed: int) -> int:
        return sum(await asyncio.gather(*(streamed(1, seed * N + i) for i in range(N))))

    return {
        f"best-of-{N} by the agent": best_of,
        f"raw request, n = {N}": raw,
        f"raw streaming request, n = {N}": lambda seed: streamed(N, seed),
        f"{N} captured streams at once": captured,
        f"{N} plain streams at once": plain,
        f"{N} runs of the agent at once": runs,
    }


async def in_turn(works: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """Tokens per second of each work in each round, after one to warm up."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for seed in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            tokens = await work(seed)
            rates[name].append(tokens / (time.perf_counter() - start))
    return {name: each[1:] for name, each in rates.items()}


def ratio(ours: list[float], theirs: list[float]) -> str:
    pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})"


if __name__ == "__main__":
    asyncio.run(main())
