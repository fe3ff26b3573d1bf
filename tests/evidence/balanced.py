"""What it is worth that a thread stays with its server: python tests/evidence/balanced.py [--threads 24] [--turns 6]

Two servers of vLLM with room for few prompts behind one policy. Threads talk, several at once: each turn's prompt is
the last one and more. Once as the policy chooses, once with the server chosen by turns; how much of the prompts the
servers had in their cache, as vLLM counts it, and how many samples each had at once at most.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from agent.policy import balanced
from agent.policy.balanced import Backend, BalancedPolicy
from agent.policy.connect import connect
from agent.records import SamplingParams
from tests.evidence.served import serving

TURN, SAID = 96, 32  # tokens that a turn adds, and that are sampled in it


async def talk(policy: BalancedPolicy, threads: int, turns: int, seed: int) -> tuple[int, int, float]:
    """Tokens of all prompts, those of them that were cached, and seconds."""
    gate, began = asyncio.Semaphore(8), time.perf_counter()

    async def thread(number: int) -> list[tuple[int, int]]:
        rng = random.Random(f"{seed}/{number}")
        prompt, counted = [rng.randrange(1000) for _ in range(TURN)], []
        for turn in range(turns):
            async with gate:
                [sample] = await policy.sample(prompt, SamplingParams(max_tokens=SAID, seed=turn))
            counted.append((len(prompt), sample.cached_prompt_tokens))
            prompt += [*sample.token_ids, *(rng.randrange(1000) for _ in range(TURN))]
            await asyncio.sleep(rng.random())  # the person reads
        return counted

    found = [each for told in await asyncio.gather(*map(thread, range(threads))) for each in told]
    return sum(length for length, _ in found), sum(cached for _, cached in found), time.perf_counter() - began


async def main(threads: int, turns: int, rounds: int) -> None:
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        serving(Path(one)) as first,
        serving(Path(other)) as second,
    ):
        policies = [await connect(note.base_url, api_key=note.api_key) for note in (first, second)]
        turn = itertools.count()

        def by_turns(backends: Sequence[Backend], _: Sequence[int], __: float) -> int:
            return next(turn) % len(backends)

        print("| chosen | prompts' tokens | cached | seconds |\n|---|---|---|---|")
        for number in range(rounds):
            for name, choice in (("by what was read", balanced.preferred), ("by turns", by_turns)):
                with patch.object(balanced, "preferred", choice):
                    policy = BalancedPolicy(policies)
                    seed = 2 * number + (choice is by_turns)  # a cache has nothing of another's prompts
                    whole, cached, seconds = await talk(policy, threads, turns, seed)
                print(f"| {name} | {whole:,} | {cached / whole:.2f} | {seconds:.1f} |", flush=True)
        for policy in policies:
            await policy.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name, value in (("threads", 24), ("turns", 6), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asyncio.run(main(**vars(parser.parse_args())))
