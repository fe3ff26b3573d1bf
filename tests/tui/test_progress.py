"""Signs of life: on standard error of a person's terminal, and nowhere else."""

import asyncio
import signal

import pytest

from tui.progress import bar, loading


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
