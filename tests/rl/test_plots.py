"""Pictures of results."""

from pathlib import Path

import pytest

from rl.plots import line_of, tokens_plot
from rl.results import Outcome, Result


def result(effort: str, strategy: str, tier: int = 1) -> Result:
    return Result("units", tier, effort, strategy, (Outcome("a", 1.0, 30.0, 0.1), Outcome("b", 0.0, 50.0, 0.1)))


@pytest.mark.parametrize(
    ("effort", "strategy", "line"),
    [("low", "single", "effort"), ("pool", "majority@16", "majority"), ("pool", "best_of_4", "best_of"),
     ("", "beam:beams=4", "beam")],
)  # fmt: skip
def test_ways_that_differ_in_size_are_one_line(effort: str, strategy: str, line: str) -> None:
    assert line_of(result(effort, strategy)) == line


def test_every_suite_has_its_panel(tmp_path: Path) -> None:
    rows = [result("pool", name, tier) for name in ("pass@1", "majority@2", "majority@4") for tier in range(1, 5)]
    tokens_plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("right", [0.0, 1.0])
@pytest.mark.parametrize("attempts", [1, 4])
def test_what_is_always_right_or_never_can_be_drawn(right: float, attempts: int, tmp_path: Path) -> None:
    outcomes = tuple(Outcome(str(i), right, 30.0, 0.1) for i in range(7))
    tokens_plot([Result("units", 1, "pool", "pass@1", outcomes, attempts)], tmp_path / "plot.png")
