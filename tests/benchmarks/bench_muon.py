"""A step of Muon for the miniature's matrices, PyTorch's and ours: python tests/benchmarks/bench_muon.py [MODEL_FOLDER]

Gradients are random; the two take turns. Threads are as ``OMP_NUM_THREADS`` says.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from agent.policy.model import load_model
from rl.muon import Muon

MINI = Path(__file__).parents[2] / "agent" / "policy" / "mini"
REPEATS = 5


def matrices(folder: Path) -> list[torch.nn.Parameter]:
    model = load_model(folder, "cpu")
    found = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    for parameter in found:
        parameter.grad = torch.randn_like(parameter)
    return found


def seconds(optimizer: torch.optim.Optimizer) -> float:
    began = time.perf_counter()
    optimizer.step()
    return time.perf_counter() - began


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else MINI
    theirs = torch.optim.Muon(matrices(folder), weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    ours = Muon(matrices(folder), weight_decay=0.01)
    times = [(seconds(theirs), seconds(ours)) for _ in range(REPEATS + 1)][1:]
    for name, found in zip(("torch.optim.Muon", "rl.muon.Muon"), zip(*times, strict=True), strict=True):
        print(f"{name:18} {statistics.median(found):.3f} s a step ({min(found):.3f} to {max(found):.3f})")


if __name__ == "__main__":
    main()
