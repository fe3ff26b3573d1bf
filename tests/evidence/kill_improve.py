"""Kill -9 in the middle of `ponder improve`, at random moments; it has to end as if nobody had killed it.

    python tests/evidence/kill_improve.py OUT [--kills 50] [--seed 0] [--turns 3] [--questions 12]

A chain is one command of ``--turns`` turns on the shipped miniature, in small sizes, with a gate that lets through what
looks a little better. It is run once undisturbed, and once, in another home, in a process group of its own that is
killed up to twice in each phase of each turn: the process says when a phase begins, and the kill comes at a uniformly
random moment within as long as that phase took undisturbed. Chains of further seeds follow until there were enough. The
processes are forked from one that has imported the libraries, which would take most of the time.

After each kill every version is whole, and so is what a server would serve. At the end of each turn: the same groups,
token for token, the same steps, the same weights, the same decision of the gate, the same version that answers. A kill
counts for the phase that the process was in. Goes on after the last whole chain; exits with 1 where something differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from agent.assemble import MINI
from agent.policy import registry
from agent.policy.weights import version_in
from agent.settings import Settings
from rl import gate_records, grpo, improve
from rl.gate_records import GateSettings, Mixture
from rl.selection import Wanted
from tui.choosing import Lesson, collected

SUITE, DEADLINE = "strings/4", 600.0  # seconds without a word from the process
PHASES = ("collecting", "training", "registering", "gating", "promoting", "between turns")
CALLS = ("begun", "learned_from", "enter", "judge", "settle")  # what a turn calls where each but the last begins
HEAVY = [
    "__main__",
    "rl.gating",
    "rl.teach",
    "tui.grpo",
    "matplotlib.pyplot",
    "transformers.models.qwen3.modeling_qwen3",
]
GATE = partial(
    GateSettings, guards=(Mixture("sums", (("sums", 1),)),), alpha=0.49, least=0.0, looks=(1.0,), hopeless=0.0,
    attempts=1, guard_first=30, guard_most=30, longest=5.0,
)  # fmt: skip
Moment = tuple[int, int]  # a turn, and the place of a phase in PHASES


@dataclass(frozen=True, slots=True)
class Chain:
    """One command, and where it works."""

    place: Path
    seed: int
    turns: int
    questions: int

    @property
    def home(self) -> Path:
        return self.place / "home"

    def turn(self, number: int) -> Path:
        return self.place / "loop" / f"turn-{number}"

    @property
    def over(self) -> int:
        """Turns that are."""
        return sum((self.turn(number) / "decision.json").exists() for number in range(self.turns))


def command(chain: Chain, signs: Connection) -> None:
    """``ponder improve`` in this process, which leads a group of its own and says where each phase begins."""
    from tui.cli import main as ponder

    def telling(phase: int, call: Any, *given: Any) -> Any:
        signs.send(phase)
        came = call(*given)
        if PHASES[phase] == "promoting":
            signs.send(phase + 1)
        return came

    os.setsid()
    os.environ["PONDER_HOME"], os.environ["PONDER_ENCODER"] = str(chain.home), "none"  # nothing here is searched
    with (chain.place / "said.txt").open("a") as said:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(said.fileno(), stream.fileno())
    for phase, name in enumerate(CALLS):
        setattr(improve, name, partial(telling, phase, getattr(improve, name)))
    gate_records.GateSettings = GATE  # type: ignore[misc, assignment] - the command has no option for small gates
    grpo.GRPOSettings = partial(grpo.GRPOSettings, batch=2, checkpoint_every=1)  # type: ignore[misc, assignment]
    sizes = ("--turns", str(chain.turns), "--questions", str(chain.questions), "--seed", str(chain.seed))
    gate = ("--primary", SUITE, "--most", "30", "--margin", "0.5", "--epochs", "2", "--learning-rate", "5e-4")
    sys.argv = ["ponder", "improve", str(chain.turn(0).parent), SUITE, *sizes, *gate]
    ponder()


def run(chain: Chain, kill: Moment | None = None, after: float = 0.0) -> tuple[dict[Moment, float], bool]:
    """When each phase began, in seconds, and the process ended (the last of all phases); whether it was killed,
    ``after`` seconds into that moment. Raises ``RuntimeError`` where it failed by itself.
    """
    chain.place.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    signs, end = context.Pipe(duplex=False)
    process = context.Process(target=command, args=(chain, end))
    turn, times, due = chain.over - 1, dict[Moment, float](), None
    process.start()
    end.close()
    while True:
        try:
            if not signs.poll(DEADLINE if due is None else max(0.0, due - time.monotonic())):
                os.killpg(process.pid or 0, signal.SIGKILL)
                break
            phase = signs.recv()
        except EOFError:
            break
        turn += phase == 0
        times[turn, phase] = time.monotonic()
        if kill and due is None and (turn, phase) >= kill:
            due = time.monotonic() + after
    process.join(DEADLINE)
    times[turn, len(PHASES)] = time.monotonic()
    if process.exitcode not in (0, -signal.SIGKILL) or (process.exitcode and due is None):
        raise RuntimeError(f"it ended with {process.exitcode}: {chain.place / 'said.txt'} says why")
    return times, process.exitcode != 0


def lasting(times: Mapping[Moment, float]) -> dict[Moment, float]:
    """Seconds of each phase."""
    moments = sorted(times)
    return {one: times[other] - times[one] for one, other in pairwise(moments)}


# --- what has to hold -------------------------------------------------------------------------------------------------


def torn(home: Path) -> list[str]:
    """What of the registry is not whole, now that nobody writes it."""
    weights = {each.id: registry.weights_of(home, each.id) for each in registry.versions(home)}
    problems = [f"{i} holds other weights" for i, at in weights.items() if f"ponder-{version_in(at).version}" != i]
    served = registry.target(home, str(MINI))
    if served.version and f"ponder-{version_in(Path(served.model)).version}" != served.version:
        problems.append(f"what would be served, {served.model}, is not {served.version}")
    return problems


def quiet(*_: object, **__: object) -> None:
    """No bar."""


def turn_of(chain: Chain, number: int) -> dict[str, Any]:
    """What a turn came to, in values that are the same wherever and whenever it is taken."""
    place = chain.turn(number)
    lesson = Lesson(Wanted(run_ids=json.loads((place / "runs.json").read_text())), "with_gold")
    found = collected(Settings(home=chain.home), lesson, quiet)
    groups = [[asdict(member) for member in group.members] for group in found.groups]
    steps = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    decision = json.loads((place / "decision.json").read_text())
    version = registry.find(chain.home, decision["contest"]["candidate"])
    return {
        "groups": hashlib.sha256(json.dumps(groups).encode()).hexdigest(),
        "steps": [step | {"seconds": 0, "new_tokens": 0} for step in steps],
        "weights": hashlib.sha256((place / "model" / "model.safetensors").read_bytes()).hexdigest(),
        "candidate": [version.id, version.parent, {**version.data, "hash": "of run ids"}],
        "decision": decision,
        "promoted": [change.promoted for change in registry.current(chain.home).history],
    }


def differing(one: Chain, other: Chain) -> list[str]:
    """What is not the same at the end of the turns of both."""
    found = []
    for number in range(one.turns):
        mine, theirs = turn_of(one, number), turn_of(other, number)
        found += [f"turn {number}: {name}" for name in mine if mine[name] != theirs[name]]
    return found


# --- the experiment ---------------------------------------------------------------------------------------------------


def tried(one: Chain, other: Chain, most: int) -> dict[str, Any]:
    """A chain undisturbed, and the same with at most so many kills."""
    for each in (one, other):
        shutil.rmtree(each.place, ignore_errors=True)
    draw, began = random.Random(other.seed), time.monotonic()
    seconds = lasting(run(one)[0])
    kills, problems = [], []
    wanted = [moment for moment in seconds if moment[1] < len(CALLS) for _ in range(draw.randint(0, 2))]
    for moment in wanted:
        times, killed = run(other, moment, draw.uniform(0.0, seconds[moment])) if len(kills) < most else ({}, False)
        if killed:
            *_, (turn, phase), _ = sorted(times)
            kills.append(PHASES[phase])
            found = torn(other.home)
            problems += [f"after kill {len(kills)}, {PHASES[phase]}: {each}" for each in found]
            print(f"chain {other.seed}, turn {turn}: killed while {PHASES[phase]} {found or ''}", flush=True)
    run(other)
    problems += torn(other.home) + differing(one, other)
    promoted, minutes = len(registry.current(other.home).history), (time.monotonic() - began) / 60
    return {"kills": kills, "problems": problems, "promoted": promoted, "turns": one.turns, "minutes": minutes}


def table(found: Sequence[Mapping[str, Any]]) -> str:
    kills = Counter(phase for each in found for phase in each["kills"])
    lines = ["| killed while | kills |", "|---|---|", *(f"| {phase} | {kills[phase]} |" for phase in PHASES)]
    problems = [f"chain {i}, {each}" for i, chain in enumerate(found) for each in chain["problems"]]
    turns, promoted, minutes = (sum(each[name] for each in found) for name in ("turns", "promoted", "minutes"))
    lines += [f"| all | {kills.total()} |", ""]
    lines.append(f"{turns} turns in {len(found)} chains, {promoted} promoted, {len(problems)} differences; "
                 f"{minutes:.0f} minutes with the undisturbed chains.")  # fmt: skip
    return "\n".join([*lines, *(f"- {each}" for each in problems)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="Of the first chain.")
    parser.add_argument("--turns", type=int, default=3, help="Of a chain.")
    parser.add_argument("--questions", type=int, default=12, help="That a turn asks.")
    given = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    multiprocessing.get_context("forkserver").set_forkserver_preload(HEAVY)
    file = given.out / "chains.jsonl"
    found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    while (left := given.kills - sum(len(each["kills"]) for each in found)) > 0:
        seed, names = given.seed + 1000 * len(found), ("undisturbed", "killed")
        one, other = (Chain(given.out / name / str(seed), seed, given.turns, given.questions) for name in names)
        found.append(tried(one, other, left))
        with file.open("a") as lines:
            lines.write(json.dumps(found[-1]) + "\n")
    (given.out / "table.md").write_text(table(found) + "\n")
    print(table(found))
    sys.exit(any(each["problems"] for each in found))


if __name__ == "__main__":
    main()
