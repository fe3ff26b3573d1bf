"""A turn of ``ponder improve``, on a model that answers nonsense and is rewarded for its length."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.policy import registry
from agent.settings import Settings
from rl.gate_records import GateSettings, Mixture
from rl.grpo import GRPOSettings
from rl.improve import begun, incumbent_of, turns
from tui.improving import Turn, mixture_of, take

pytestmark = pytest.mark.timeout(600)
RULES = GateSettings(primary=Mixture("sums", (("sums", 1),)), guards=(), attempts=1, first=30, most=30)
HOW = GRPOSettings(epochs=2, learning_rate=1e-3, batch=2)


@pytest.fixture
def settings(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    verifier = "from tests.tui.test_grpo import VERIFIER\nexec(VERIFIER)\n"
    (tmp_path / "mine_of_improving.py").write_text(verifier)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Settings(home=tmp_path / "home", model=model, encoder="none")


def test_a_turn_leaves_a_candidate_and_its_decision_and_is_not_taken_again(settings: Settings, tmp_path: Path) -> None:
    turn = Turn("sums/1", 3, "medium", "mine_of_improving:Length", 0)
    assert turns(tmp_path / "loop") == 0
    said = take(settings, tmp_path / "loop/turn-0", 0, turn, HOW, RULES)
    [version] = registry.versions(settings.home)
    assert f"{version.id} is not promoted" in said
    assert (version.state, version.parent, version.kind) == ("rejected", None, "full")
    assert version.data["groups"] > 0
    assert version.settings["reward"] == "mine_of_improving:Length"
    assert version.evaluation is not None
    assert version.evaluation["summary"] in said
    assert turns(tmp_path / "loop") == 1
    assert json.loads((tmp_path / "loop/turn-0/decision.json").read_text())["promote"] is False
    again = take(settings, tmp_path / "loop/turn-0", 0, turn, HOW, RULES)  # killed before it could note the end
    assert again == said
    assert registry.versions(settings.home) == [version]


def test_a_turn_challenges_whom_it_began_with_also_when_its_candidate_has_taken_over(
    settings: Settings, tmp_path: Path
) -> None:
    turn = Turn("sums/1", 3, "medium", "mine_of_improving:Length", 0)
    first = tmp_path / "loop/turn-0"
    take(settings, first, 0, turn, HOW, RULES)
    [version] = registry.versions(settings.home)
    registry.promote(settings.home, version.id, despite=True)
    assert begun(settings, first).version is None
    assert incumbent_of(settings).version == version.id
    take(settings, tmp_path / "loop/turn-1", 1, turn, replace(HOW, seed=1), RULES)
    child = next(each for each in registry.versions(settings.home) if each.id != version.id)
    assert child.parent == version.id


def test_the_primary_suite_is_named_as_an_evaluation_names_suites() -> None:
    assert mixture_of("sums/1,units") == Mixture("sums/1,units", (("sums", 1), ("units", 1), ("units", 2)))
