"""An update on one logged group, ours against TRL's trainer: python tests/benchmarks/bench_grpo.py [MODEL_FOLDER]

A group of 8 that shares its first 1,024 tokens, or 2,048, with 128 own ones each. Both take the same loss, gradient,
clipping and AdamW step in float32; TRL gets the group through ``rollout_func``, so that neither samples. They take
turns in one process; memory is that of processes of their own, above what they had with the model loaded. TRL runs
without gradient checkpointing: that would take longer, and 11 of 1,642 MiB less.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import psutil
import torch

from agent.policy.model import load_model
from agent.records import PolicyVersion
from rl.export import rows
from rl.groups import Group, Member
from rl.grpo import GRPOSettings, accumulate, compared
from rl.loss import LossSettings
from tests.rl.trl_trainer import grpo_trainer

MINI = Path(__file__).parents[2] / "agent" / "policy" / "mini"
OWN, MEMBERS = 128, 8


def group_of(shared: int, vocabulary: int) -> Group:
    draw = random.Random(shared)
    prompt = tuple(draw.randrange(vocabulary) for _ in range(shared))
    learn = (False,) * shared + (True,) * OWN
    logprobs = tuple(-8.0 * each for each in learn)
    made = [
        Member((i,), prompt + tuple(draw.randrange(vocabulary) for _ in range(OWN)), learn, logprobs, draw.random())
        for i in range(MEMBERS)
    ]
    return Group("r", (), PolicyVersion("mini"), 1.0, 0, tuple(made), True)


def our_update(folder: Path, group: Group) -> Callable[[], object]:
    model = load_model(folder, "cpu").train()
    settings = GRPOSettings(LossSettings("grpo"))
    batch, _ = compared([group], settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def update() -> float:
        learned = accumulate(model, batch, settings)
        finish(model, optimizer)
        return learned.loss

    return update


def their_update(folder: Path, group: Group) -> Callable[[], object]:
    """The trainer's own step on its own rollouts, without the bookkeeping of its loop."""
    with tempfile.TemporaryDirectory() as out:
        more = {"output_dir": out, "loss_type": "grpo"}
        trainer: Any = grpo_trainer(folder, [*rows([group], "trl")], **more)
    optimizer = torch.optim.AdamW(trainer.model.parameters(), lr=1e-6)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    questions = [{"prompt": "?", "reward": member.reward} for member in group.members]

    def update() -> float:
        loss = trainer.training_step(trainer.model, questions, None)
        finish(trainer.model, optimizer)
        return float(loss)

    return update


def finish(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def ratios(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int, clock: Callable[[], float]
) -> list[float]:
    """How many times as long theirs takes, by turns; the first turn warms up."""
    found = []
    for _ in range(repeats + 1):
        start = clock()
        ours()
        middle = clock()
        theirs()
        found.append((clock() - middle) / (middle - start))
    return found[1:]


def peak(folder: Path, shared: int, whose: str) -> float:
    """MiB that three updates need above what the process had before, in a process of its own."""
    command = [sys.executable, __file__, str(folder), "--memory", whose, "--shared", str(shared)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800).stdout.split()[-1])


def measure(update: Callable[[], object]) -> float:
    """By the kernel's mark of the process itself: what ``getrusage`` says begins with that of the parent."""
    before = psutil.Process().memory_info().rss
    for _ in range(3):
        update()
    marked = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert marked
    return (1024 * int(marked[1]) - before) / 2**20


def update_of(whose: str, folder: Path, shared: int) -> Callable[[], object]:
    group = group_of(shared, 2000)
    return our_update(folder, group) if whose == "ours" else their_update(folder, group)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=MINI)
    parser.add_argument("--shared", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cpu", action="store_true", help="count CPU seconds instead: for a machine that others use")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", choices=["ours", "trl"], help="print the MiB of this one only")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.memory:
        return print(measure(update_of(given.memory, given.folder, given.shared[0])))
    clock = time.process_time if given.cpu else time.perf_counter
    print("| shared | own | TRL's time to ours | MiB ours | TRL |")
    print("|---|---|---|---|---|")
    for shared in given.shared:
        print(line(given.folder, shared, given.repeats, clock), flush=True)
    return None


def line(folder: Path, shared: int, repeats: int, clock: Callable[[], float]) -> str:
    found = ratios(update_of("ours", folder, shared), update_of("trl", folder, shared), repeats, clock)
    times = f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
    cells = [f"{shared:,}", f"{MEMBERS} x {OWN}", times]
    cells += [f"{peak(folder, shared, whose):.0f}" for whose in ("ours", "trl")]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
