"""``ponder calibrate``: what auto effort stops by is found, kept and used."""

import json
from pathlib import Path

import pytest

from rl.results import Paired
from rl.thresholds import Fit, Level
from tests.tui.commands import one_sentence, ponder
from tui.calibrating import table

pytestmark = pytest.mark.timeout(400)


def test_what_is_found_is_kept_for_the_model_and_used_by_the_next_question(
    model: str, home: Path, tmp_path: Path
) -> None:
    plot = tmp_path / "levels.png"
    done = ponder("calibrate", "smalltalk", "--questions", "6", "--model", model, "--plot", str(plot), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "against high (95 %)" in done.stdout
    [(version, kept)] = json.loads((home / "thresholds.json").read_text()).items()
    assert version in done.stdout
    assert plot.stat().st_size > 0
    asked = ponder("ask", "Hello", "--effort", "auto", "--model", model, "--json", folder=tmp_path)
    settings = json.loads(asked.stdout)["settings"]["strategy"]
    assert (settings["weights"], settings["enough"]) == (kept["weights"], kept["enough"])


def test_a_suite_that_there_is_not_is_named(tmp_path: Path) -> None:
    done = ponder("calibrate", "riddles", folder=tmp_path)
    assert done.returncode != 0
    assert "There is no suite 'riddles'" in one_sentence(done)


def test_the_level_that_was_taken_is_marked() -> None:
    levels = [
        Level(enough, False, 0.8, 100.0 * enough, Paired(-0.01, (-0.02, 0.0), 0.5, enough)) for enough in (0.5, 0.9)
    ]
    fit = Fit((0.0,) * 4, (), tuple(levels), levels[1], 0.81, 0.02)
    assert [line.endswith("*") for line in table(fit).splitlines()] == [False, False, False, True]
    assert "-1.0 (-2.0 to +0.0)" in table(fit)
