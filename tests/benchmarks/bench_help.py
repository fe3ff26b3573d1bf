"""How long ``ponder --help`` takes, beside a Python that does nothing: python tests/benchmarks/bench_help.py

Each is a process of its own, in turns, 21 times; the medians are compared, because a busy machine disturbs both alike.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROUNDS = 21
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "ponder --help": [sys.executable, "-c", "from tui.cli import main; main()", "--help"],
}


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    began = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return time.perf_counter() - began


def main() -> None:
    taken = {name: [0.0] * ROUNDS for name in COMMANDS}
    for turn in range(ROUNDS):
        for name, command in COMMANDS.items():
            taken[name][turn] = seconds(command)
    nothing, shown = (statistics.median(taken[name]) for name in COMMANDS)
    for name, times in taken.items():
        print(f"{name:15} median {statistics.median(times) * 1000:4.0f} ms, least {min(times) * 1000:4.0f} ms")
    print(f"ratio {shown / nothing:.1f}")


if __name__ == "__main__":
    main()
