"""``ponder versions``, ``promote`` and ``rollback`` as a person types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agent.assemble import MINI, policy_of
from agent.policy import registry
from agent.policy.registry import Origin, Version
from agent.records import PolicyVersion, SamplingParams
from agent.settings import Settings
from tests.adapters import adapted, difference, random_adapter
from tests.agent.policy.registering import complete
from tests.tui.commands import one_sentence, ponder
from tui.versions import said, tree


@pytest.fixture
def version(home: Path, tmp_path: Path) -> Version:
    return registry.add(home, complete(tmp_path / "model", b"weights"), Origin(base="a/hub"))


def test_without_versions_it_is_said_that_the_base_answers(tmp_path: Path) -> None:
    assert ponder("versions", folder=tmp_path).stdout == "There is no version yet: the base answers.\n"
    assert "nothing to go back to" in one_sentence(ponder("rollback", folder=tmp_path))
    assert "`ponder versions`" in one_sentence(ponder("promote", "x", folder=tmp_path))


def test_a_version_is_promoted_shown_and_left(home: Path, version: Version, tmp_path: Path) -> None:
    registry.record_evaluation(home, version.id, {"summary": "3 points better"}, passed=True)
    done = ponder("promote", version.id[:9], folder=tmp_path)
    assert done.stdout.splitlines() == [
        f"{version.id} is promoted",
        "It answers where `ponder model serve a/hub` serves it.",
    ], done.stderr
    [row] = [line for line in ponder("versions", folder=tmp_path).stdout.splitlines() if version.id in line]
    assert row.startswith(f"* {version.id}")
    assert row.endswith("3 points better")
    shown = json.loads(ponder("versions", "--json", folder=tmp_path).stdout)
    assert (shown["promoted"], shown["versions"][0]["state"]) == (version.id, "promoted")
    assert ponder("rollback", folder=tmp_path).stdout == "The base answers again\n"
    assert registry.promoted(home) is None


def test_a_rejected_one_needs_force_and_is_pruned(home: Path, version: Version, tmp_path: Path) -> None:
    registry.record_evaluation(home, version.id, {"summary": "worse"}, passed=False)
    assert "--force" in one_sentence(ponder("promote", version.id, folder=tmp_path))
    assert f"the weights of {version.id} are removed" in ponder("versions", "--prune", folder=tmp_path).stdout
    assert "train it again" in one_sentence(ponder("promote", version.id, "--force", folder=tmp_path))


def test_children_stand_under_their_parents(home: Path, version: Version, tmp_path: Path) -> None:
    other = registry.add(home, complete(tmp_path / "other", b"other"), Origin(base="a/hub"))
    child = registry.add(home, complete(tmp_path / "child", b"child"), Origin(base=version.id))
    assert [(each.id, depth) for each, depth in tree(registry.versions(home))] == [
        (version.id, 0), (child.id, 1), (other.id, 0),
    ]  # fmt: skip
    assert said({"points": 3}) == '{"points": 3}'
    assert len(said({"summary": "x" * 200})) == 61


async def test_promoted_weights_and_adapters_answer_in_this_process_unless_a_model_is_named(
    home: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(MINI, tmp_path / "same weights, another name")
    full = registry.add(home, folder, Origin(base=str(MINI)))
    lora = registry.add(home, random_adapter(tmp_path / "adapter", seed=5), Origin(base=str(MINI)))
    digest = lora.id.removeprefix("ponder-")
    expected = {
        full.id: PolicyVersion(full.id, version=full.id.removeprefix("ponder-")),
        lora.id: PolicyVersion("mini", lora.id, digest),
    }
    for promoted, version in expected.items():
        registry.promote(home, promoted)
        policy = await policy_of(Settings(home=home))
        assert policy.version == version
        [sample] = await policy.sample(
            policy.renderer.start([{"role": "user", "content": "Hi"}]), SamplingParams(max_tokens=8)
        )
        assert (difference(adapted(tmp_path / "adapter"), sample) < 1e-4) is (promoted == lora.id)
        await policy.close()
    named = await policy_of(Settings(home=home, model=str(MINI)))
    assert (named.version.model, named.version.adapter) == ("mini", None)
    by_id = await policy_of(Settings(home=home, model=full.id))
    assert by_id.version == expected[full.id]
    for policy in (named, by_id):
        await policy.close()
