"""What was fitted to a model is used for that model, that version and those verifiers only."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent import thresholds
from agent.assemble import MINI
from agent.effort import EFFORTS
from agent.errors import SettingsError
from agent.policy.weights import version_in
from agent.records import PolicyVersion
from agent.search.auto import Auto
from agent.thresholds import FILE_NAME, Thresholds, fitted, read, write
from verifiers.reward import WITHOUT_GOLD

VERSION = PolicyVersion("mini", version="0123")
FOUND = Thresholds((0.5, -1.0, 0.25, 1.5), 0.93, {"consensus": 1.0}, (), {"questions": 20})
AUTO = EFFORTS["auto"]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, VERSION, FOUND)
    write(tmp_path, replace(VERSION, version="4567"), replace(FOUND, enough=0.5))
    assert read(tmp_path)[str(VERSION)] == FOUND


def test_auto_gets_the_numbers_of_its_model() -> None:
    strategy = fitted(AUTO, VERSION, {str(VERSION): FOUND}, {"consensus": 1.0}).strategy
    assert isinstance(strategy, Auto)
    assert (strategy.weights, strategy.enough) == (FOUND.weights, FOUND.enough)


@pytest.mark.parametrize(
    ("version", "weights"), [(replace(VERSION, version="4567"), {"consensus": 1.0}), (VERSION, {"process_reward": 1.0})]
)
def test_those_of_another_version_or_other_verifiers_are_left(
    version: PolicyVersion, weights: dict[str, float]
) -> None:
    assert fitted(AUTO, version, {str(VERSION): FOUND}, weights) == AUTO


def test_only_auto_without_numbers_of_its_own_is_fitted() -> None:
    known = {str(VERSION): FOUND}
    own = replace(AUTO, strategy=Auto(weights=(1.0, 0.0, 0.0, 0.0), enough=0.7))
    for effort in (EFFORTS["high"], own):
        assert fitted(effort, VERSION, known, {"consensus": 1.0}) == effort


def test_a_folder_that_is_served_is_known_by_its_weights(tmp_path: Path) -> None:
    write(tmp_path, PolicyVersion(str(MINI)), FOUND)
    assert read(tmp_path)[str(version_in(MINI))] == FOUND


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"mini": 3}')
    with pytest.raises(SettingsError, match=r"thresholds.json cannot be read; delete it, and run `ponder calibrate`"):
        read(tmp_path)


def test_the_miniature_ships_with_numbers_of_its_own(tmp_path: Path) -> None:
    found = thresholds.read(tmp_path)[str(version_in(MINI))]
    assert dict(found.verifiers) == dict(WITHOUT_GOLD)
