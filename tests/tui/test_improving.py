"""A turn of ``ponder improve``, on a model that answers nonsense and is rewarded for its length."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from agent.assemble import open_log
from agent.policy import note, registry
from agent.policy.note import Note
from agent.records import PolicyVersion
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
    verifier = "from tests.tui.test_grpo import MINE\nexec(MINE)\n"
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
    registry.promote(settings.home, version.id, despite=True)
    again = take(settings, tmp_path / "loop/turn-0", 0, turn, HOW, RULES)  # killed before it could note the end
    assert again == said, "it challenges whom it began with, though its candidate has taken over"
    assert [each.id for each in registry.versions(settings.home)] == [version.id]
    assert begun(settings, tmp_path / "loop/turn-1").version == version.id
    assert incumbent_of(settings).model == str(registry.weights_of(settings.home, version.id))


def test_with_an_adapter_it_asks_and_judges_by_the_server_that_runs_vllm(
    settings: Settings, vllm: Note, tmp_path: Path
) -> None:
    turn = Turn("strings/4", 3, "high", "mine_of_improving:Length", 4)
    own = settings.model_copy(update={"model": vllm.model})
    with note.left(own.home, replace(vllm, root=vllm.model, starting_since=None)):
        take(own, tmp_path / "loop/turn-0", 0, turn, HOW, RULES)
    [version] = registry.versions(own.home)
    with open_log(own) as log:
        runs = [log.run(run.run_id) for run in log.runs()]
    by = Counter(run.policy for run in runs)
    assert set(by) == {PolicyVersion(vllm.model), PolicyVersion(vllm.model, version.id, version.id[len("ponder-") :])}
    assert by[PolicyVersion(vllm.model)] == 3 + 30


def test_the_primary_suite_is_named_as_an_evaluation_names_suites() -> None:
    assert mixture_of("sums/1,units") == Mixture("sums/1,units", (("sums", 1), ("units", 1), ("units", 2)))
