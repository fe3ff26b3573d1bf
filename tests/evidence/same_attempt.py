"""Is an attempt the same however many are drawn beside it?

    python tests/evidence/same_attempt.py [MODEL] [QUESTIONS]

Asks each question twice under one root seed, with n = 4 and with n = 16, and compares attempts 0 to 3 step by step:
prompts, tokens and log-probabilities, bit for bit. Exits with 1 where one differs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from agent.assemble import MINI, assemble, open_encoder
from agent.effort import EFFORTS
from agent.records import Run
from agent.search.attempts import BestOfN
from agent.settings import Settings
from rl.evaluate import Harness, ask_all
from rl.tasks.suite import mixture

FEW, MANY = 4, 16


async def asked(model: str, questions: int, home: Path) -> list[list[Run]]:
    """The runs with few attempts and those with many, in the order of the questions."""
    settings = Settings(home=home, model=model)
    tasks = [mixture(21, i, "held_out") for i in range(questions)]
    async with assemble(settings) as agent:
        harness = Harness(agent, open_encoder(settings))
        efforts = [replace(EFFORTS["high"], strategy=BestOfN(n)) for n in (FEW, MANY)]
        return [await ask_all(harness, tasks, effort, lambda: None) for effort in efforts]


def drawn(run: Run) -> dict[tuple[int, ...], tuple[object, ...]]:
    """Of the first attempts: what each step read and sampled, and how likely that was."""
    return {
        node.path: (node.sample.prompt_token_ids, node.sample.token_ids, node.sample.logprobs)
        for node in run.nodes
        if node.path[0] < FEW
    }


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else str(MINI)
    questions = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory() as home:
        few, many = asyncio.run(asked(model, questions, Path(home)))
    steps = sum(len(drawn(run)) for run in few)
    different = sum(drawn(one) != drawn(other) for one, other in zip(few, many, strict=True))
    print(f"{questions} questions, {FEW * questions} attempts, {steps} steps: {different} questions differ")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
