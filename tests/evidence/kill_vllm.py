"""Kill -9 of vLLM in the middle of a best-of-8, at random moments: does the run finish, and is anything lost?

    python tests/evidence/kill_vllm.py [KILLS]

Each time one process of the server is killed (in turn the one that answers, the engine, the worker) while eight
attempts are under way; ``ponder model serve`` starts it again. Then the run has to be finished, or failed with its
reason; what was logged at the moment of the kill is still there unchanged; no sample that was cut is trainable. At the
end ``ponder model serve`` itself is killed, and no process of the server may be left. Exits with 1 where one of these
fails.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil

from agent.assemble import assemble
from agent.context import Agent
from agent.effort import EFFORTS
from agent.policy.note import Note
from agent.policy.server import STEADY
from agent.records import Ending, Node, Run
from agent.run import Ask, ask
from agent.search.attempts import BestOfN
from agent.settings import Settings
from agent.store import RunFilter
from rl.tasks.suite import generate
from tests.evidence.served import processes, serving
from tests.vllm_server import answering

HOW = Ask(replace(EFFORTS["high"], strategy=BestOfN(8)), reference_share=0.0)
LONGEST = 4.0  # seconds after which the latest kill falls


def victim(found: Note, turn: int) -> psutil.Process:
    """The process that answers, the engine or the worker: all but the guard and Python's own helpers."""
    able = [p for p in processes(found) if p.name().startswith("VLLM") or "api_server" in " ".join(p.cmdline()[:4])]
    able = [p for p in able if "agent.policy.guard" not in p.cmdline()]
    return able[turn % len(able)]


async def killed_once(agent: Agent, found: Note, turn: int, after: float) -> tuple[list[str], str]:
    """What is wrong after one kill, and how the run ended."""
    question = generate("arithmetic", 8, "held_out", 6, turn).question
    asked = asyncio.create_task(ask(agent, question, replace(HOW, seed=turn)))
    await asyncio.sleep(after)
    in_flight = not asked.done()
    [begun] = agent.store.runs(RunFilter(), limit=1)
    before = agent.store.run(begun.run_id)
    dying = victim(found, turn)
    name = dying.name()
    dying.kill()
    run = await asked
    problems = [f"status {run.status}"] if run.status not in ("finished", "failed") else []
    if run.status == "failed" and not run.error:
        problems.append("failed without a reason")
    if lost := [
        node.path for node in before.nodes if (now := run.node(node.path)) is None or now.sample != node.sample
    ]:
        problems.append(f"lost or changed: {lost}")
    problems += [f"trainable although cut: {node.path}" for node in cut(run) if node.sample.not_trainable is None]
    broken = sum(node.ending is Ending.ERROR for node in run.nodes)
    return problems, f"{name}, {'under way' if in_flight else 'over'}: {run.status}, {broken} steps broke off"


def cut(run: Run) -> list[Node]:
    return [node for node in run.nodes if node.sample.finish_reason in ("error", "cancelled")]


async def main(kills: int) -> int:
    moments, failures, ways = random.Random(0), 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as found:
        home = Path(folder)
        async with assemble(Settings(home=home, encoder="none")) as agent:
            for turn in range(kills):
                began = time.monotonic()
                problems, way = await killed_once(agent, found, turn, moments.uniform(0.1, LONGEST))
                answering(home)
                await asyncio.sleep(STEADY + 1)  # or it is given up as a server that crashes whenever it starts
                print(f"kill {turn + 1}: {way}, {time.monotonic() - began:.0f} s {problems or ''}", flush=True)
                failures += bool(problems)
                ways[way.partition(",")[2].strip()] += 1
        tree = processes(found)
        psutil.Process(found.pid).kill()
        left = psutil.wait_procs(tree, timeout=60)[1]
    print(f"{kills} kills, {failures} failures; left after kill -9 of ponder: {len(left)} processes")
    for way, count in ways.most_common():
        print(f"  {count:3} {way}")
    return int(bool(failures or left))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)))
