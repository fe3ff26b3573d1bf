"""A best-of-16 on a vLLM whose queue holds next to nothing: python tests/evidence/busy.py

The server refuses what does not fit with 503; the run asks again, with pauses, within its own time. Exits with 1 where
an attempt is missing, where the server never refused, or where a run without time for it does not say why it ended.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from agent import events
from agent.assemble import assemble
from agent.budget import Budget
from agent.effort import EFFORTS
from agent.records import Run
from agent.run import Ask, stream
from agent.search.attempts import BestOfN
from agent.settings import Settings
from tests.evidence.served import serving

QUESTION = "Tom has 12 boxes with 7 pens in each and gives away 9 pens. How many pens does Tom have now?"


async def main(home: Path) -> bool:
    with serving(home, "--max-model-len", "4096", "--max-num-seqs", "2", "--max-num-queued-reqs", "2"):
        async with assemble(Settings(home=home)) as agent:
            good = True
            for seconds in (120.0, 2.0):
                effort = replace(EFFORTS["high"], strategy=BestOfN(16), budget=Budget(seconds=seconds))
                refused, run = 0, None
                async with aclosing(stream(agent, QUESTION, Ask(effort, seed=7))) as told:
                    async for event in told:
                        refused += isinstance(event, events.Retrying)
                        run = event.run if isinstance(event, events.Finished) else run
                assert isinstance(run, Run)
                attempts = len({node.path[0] for node in run.nodes})
                print(f"{seconds:.0f} s: {run.status}, {attempts} attempts begun, {refused} times asked again, "
                      f"{run.usage.seconds:.1f} s: {run.answer!r}; {run.error}")  # fmt: skip
                good &= refused > 0 and (attempts == 16 if seconds > 60 else bool(run.error))
    return good


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(not asyncio.run(main(Path(folder))))
