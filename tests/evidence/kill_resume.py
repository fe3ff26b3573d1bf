"""Kill -9 in the middle of a best-of-8, at random moments; then ``ponder resume`` has to finish the run.

    python tests/evidence/kill_resume.py [KILLS] [MODEL]

Each time: what was logged before the kill is still there, once and unchanged; the database opens; the resumed run is
finished and has its 8 attempts. Exits with 1 where one of these fails.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.assemble import MINI
from agent.records import Run
from agent.store import RunFilter, Store

QUESTION = "Kate has 14 boxes with 6 pens in each. She gives away 9 pens. Ben has 3 times as many pens as Kate. "
QUESTION += "Then he loses 17. How many pens does Ben have now?"
ASK = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from agent.assemble import assemble
from agent.effort import EFFORTS
from agent.run import Ask, ask
from agent.search.attempts import BestOfN
from agent.settings import Settings

async def main():
    async with assemble(Settings(home=Path(sys.argv[1]), model=sys.argv[2])) as agent:
        print("ready", flush=True)
        await ask(agent, sys.argv[3], Ask(replace(EFFORTS["high"], strategy=BestOfN(8)), seed=int(sys.argv[4])))

asyncio.run(main())
"""


def killed(home: Path, model: str, seed: int, after: float | None) -> Run | None:
    """Ask in a process of its own and kill it ``after`` seconds into the run; the run as the log has it then."""
    command = [sys.executable, "-c", ASK, str(home), model, QUESTION, str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        if after is not None:
            time.sleep(after)
            os.killpg(process.pid, signal.SIGKILL)
    with Store.open(home / "log.sqlite") as store:
        runs = store.runs(RunFilter())
        return store.run(runs[0].run_id) if runs else None


def resumed(home: Path, model: str, run: Run) -> list[str]:
    """What is wrong after ``ponder resume``; empty where nothing is."""
    command = [
        sys.executable,
        "-c",
        "from tui.cli import main; main()",
        "resume",
        run.run_id,
        "--model",
        model,
        "--json",
    ]
    done = subprocess.run(
        command, env={**os.environ, "PONDER_HOME": str(home)}, capture_output=True, text=True, timeout=300
    )
    with Store.open(home / "log.sqlite") as store:
        after = store.run(run.run_id)
    problems = []
    if after.status != "finished" and "No attempt came to an answer" not in (after.error or ""):
        problems.append(f"status {after.status}: {done.stderr.strip()[-200:]}")
    if (attempts := len({node.path[0] for node in after.nodes})) != 8:
        problems.append(f"{attempts} attempts")
    if lost := [node.path for node in run.nodes if (now := after.node(node.path)) is None or now.sample != node.sample]:
        problems.append(f"lost or changed: {lost}")
    if len({node.path for node in after.nodes}) != len(after.nodes):
        problems.append("doubled nodes")
    return problems


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    model = sys.argv[2] if len(sys.argv) > 2 else str(MINI)
    whole = duration(model)
    print(f"a run that nobody kills takes {whole:.2f} s")
    moments, failures, in_the_middle, number = random.Random(0), 0, 0, 0
    while in_the_middle < kills:
        number += 1
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            after = moments.uniform(0.0, whole)
            run = killed(home, model, number, after)
            if run is None or run.status != "running":
                continue  # before the run was logged, or after its end
            in_the_middle += 1
            problems = resumed(home, model, run)
            failures += bool(problems)
            outcome = "; ".join(problems) or "ok"
            print(
                f"{in_the_middle:>3}: killed after {after:.2f} s with {len(run.nodes)} nodes logged: {outcome}",
                flush=True,
            )
    print(f"{in_the_middle} kills in the middle of a run, of {number}; {failures} failures")
    sys.exit(failures > 0)


def duration(model: str) -> float:
    """Seconds from a run's beginning to its end, when it is left alone."""
    with tempfile.TemporaryDirectory() as folder:
        run = killed(Path(folder), model, 0, None)
        assert run is not None
        return run.usage.seconds


if __name__ == "__main__":
    main()
