"""Signs of life: on standard error of a person's terminal, and nowhere else."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from rl.optimise import Progress
from tui.progress import bar, drawing, loading


def test_where_nobody_looks_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with loading(), bar() as shown:
        shown(10, 3, "reading")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("rank", "drawn"), [(None, True), ("0", True), ("1", False)])
def test_of_several_processes_one_draws(
    rank: str | None, drawn: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    with bar() as shown:
        shown(10, 3, "reading")
    out, err = capsys.readouterr()
    assert out == ""
    assert ("reading" in err) == drawn


def test_a_training_that_goes_on_has_charts_of_its_earlier_steps_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    losses = (8.0, 4.0, 2.0, 1.0)
    with bar() as draw:
        show = drawing(draw, tmp_path)
        for step, loss in enumerate(losses):
            with (tmp_path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, "loss": loss}) + "\n")
            if step >= 2:  # the others were taken before
                show(4, Progress(step, loss, 10, 10, 1.0, 0.5))
    out, err = capsys.readouterr()
    assert out == ""
    assert "4/4" in err
    assert "loss 1 (1 to 8)" in err


def test_control_c_ends_what_is_loading_without_waiting_for_it() -> None:
    reached = []

    async def load() -> None:
        with loading():
            signal.raise_signal(signal.SIGINT)  # within a block that never awaits
            reached.append("the end of the block")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(load())
    finally:
        signal.signal(signal.SIGINT, before)
    assert not reached


def test_a_command_in_the_background_goes_on_ignoring_control_c() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with loading():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
