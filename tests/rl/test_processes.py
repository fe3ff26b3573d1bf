"""Two processes under ``accelerate launch`` train as one does."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl.grpo import GRPOSettings, compared, train
from rl.optimise import Progress
from rl.processes import ALONE, Processes, launched
from rl.staleness import Limits, remembered
from tests.rl.test_grpo import GROUPS
from tests.rl.test_trie import model_of
from tests.tui.commands import LAUNCH

HOW = GRPOSettings(batch=3, epochs=3, learning_rate=0.01, warmup=1, micro_tokens=8)  # parts of one group
ANYBODYS = Limits(mismatch=math.inf, least_ess=0.0, micro_tokens=8)


def training(folder: Path, processes: Processes) -> tuple[torch.Tensor, list[Progress], list[float]]:
    """The weights after it, what each step said, and the log-probabilities that it began with."""
    model, told = model_of("qwen3").float(), []
    rows, _, _ = remembered(model, compared(GROUPS, HOW)[0], ANYBODYS, processes=processes)
    train(model, rows, HOW, folder, told.append, processes)
    old = [float(value) for row in rows for member in row.old for value in member]
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]), told, old


@given(st.lists(st.integers()), st.integers(1, 5))
def test_every_part_has_one_process(parts: list[int], count: int) -> None:
    shares = [list(Processes(index, count).share(parts)) for index in range(count)]
    assert sorted(each for share in shares for each in share) == sorted(parts)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.timeout(300)
def test_two_processes_have_the_losses_and_the_weights_of_one(tmp_path: Path) -> None:
    weights, told, old = training(tmp_path / "one", ALONE)
    launch = [sys.executable, *LAUNCH.split(), "-m", "tests.rl.test_processes", str(tmp_path)]
    done = subprocess.run(launch, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    both = [json.loads((tmp_path / f"{index}.json").read_text()) for index in (0, 1)]
    assert both[0]["losses"] == pytest.approx([each.loss for each in told], abs=1e-6)
    assert both[0]["tokens"] == [each.tokens for each in told]
    assert both[0] == both[1]
    assert both[0]["old"] == pytest.approx(old, abs=1e-6)
    assert both[0]["weights"] == pytest.approx(weights.tolist(), abs=1e-5)
    assert len((tmp_path / "two/metrics.jsonl").read_text().splitlines()) == len(told)  # one of the two writes it


def main(folder: Path) -> None:
    processes = launched()
    weights, told, old = training(folder / "two", processes)
    said = {"losses": [p.loss for p in told], "tokens": [p.tokens for p in told], "weights": weights.tolist()}
    (folder / f"{processes.index}.json").write_text(json.dumps(said | {"old": old}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
