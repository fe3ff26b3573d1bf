"""Does vLLM's pooling runner score steps as Transformers does?

    python tests/evidence/process_reward.py [SEQUENCES] [MODEL]

Two tiny process reward models with random weights: Qwen3's body with one linear layer (what ``ponder`` would train),
and Qwen2.5-Math-PRM's architecture; or the one in the folder MODEL. Random ids with a step tag in every twentieth
place, 16 at once; exits with 1 where two scores are more than 1e-5 apart.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from agent.policy.steps import StepEncoder
from tests.evidence.served import serving
from tests.process_reward_model import Kind, make
from verifiers.prm_endpoint import EndpointProcessRewardModel
from verifiers.prm_local import LocalProcessRewardModel

TOLERANCE = 1e-5
AT_ONCE = 16


async def largest_difference(folder: Path, model: Path, count: int) -> float:
    tag = StepEncoder.load(str(model)).tag_id
    draw = random.Random(0)
    sequences = [[tag if draw.random() < 0.05 else draw.randrange(2000) for _ in range(draw.randrange(50, 1500))]
                 for _ in range(count)]  # fmt: skip
    local = LocalProcessRewardModel.load(str(model), tag)
    with serving(folder / "home", "--max-model-len", "4096", model=model, role="process_reward") as note:
        served = EndpointProcessRewardModel(note.base_url, note.model, tag, note.api_key)
        gate = asyncio.Semaphore(AT_ONCE)

        async def score(sequence: list[int]) -> list[float]:
            async with gate:
                return await served.score(sequence)

        began = time.perf_counter()
        theirs = await asyncio.gather(*map(score, sequences))
        seconds = time.perf_counter() - began
    ours = [await local.score(sequence) for sequence in sequences]
    worst = max(abs(a - b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))
    scores = [score for row in ours for score in row]
    print(f"{model.name}: {count} sequences, {len(scores)} steps (scores {min(scores):.3f} to {max(scores):.3f}), "
          f"{sum(map(len, sequences)) / seconds:,.0f} tokens/s, largest difference {worst:.1e}")  # fmt: skip
    return worst


def main(count: int, model: str | None) -> bool:
    kinds: tuple[Kind, ...] = ("qwen3", "qwen2")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        judges = [Path(model)] if model else [make(folder / kind, kind) for kind in kinds]
        worst = max(asyncio.run(largest_difference(folder, judge, count)) for judge in judges)
    return worst <= TOLERANCE


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    sys.exit(not main(int(given.get(1, 200)), given.get(2)))
