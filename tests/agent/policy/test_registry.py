"""The registry: whole whatever happens, one version promoted or none, and each named by its weights."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agent.policy import adapters, registry, vault
from agent.policy.registry import Origin, Target, VersionError
from agent.policy.weights import CONFIG, WEIGHTS, version_in
from tests.agent.policy.registering import complete

BASE = Origin(base="a/base")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return complete(tmp_path / "model", b"weights")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / CONFIG).write_text("{}")
    (folder / WEIGHTS).write_bytes(b"adapter")
    return folder


def added(home: Path, folder: Path, weights: bytes, origin: Origin = BASE) -> str:
    return registry.add(home, complete(folder, weights), origin).id


# --- what there is ----------------------------------------------------------------------------------------------------


def test_a_version_is_named_by_its_weights_and_kept_without_what_belongs_to_the_training(
    home: Path, model: Path
) -> None:
    version = registry.add(home, model, Origin(base="a/base", data={"rows": 3}, settings={"lr": 1e-6}, seed=7))
    assert version.id == f"ponder-{version_in(model).version}"
    assert (version.kind, version.state, version.seed) == ("full", "candidate", 7)
    folder = registry.weights_of(home, version.id)
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert sorted(file.name for file in folder.iterdir()) == [
        "chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert registry.versions(home) == [version]
    assert version_in(folder) == version_in(folder).__class__(version.id, version=version.id.removeprefix("ponder-"))


def test_nobody_else_can_read_it(home: Path, model: Path) -> None:
    version = registry.add(home, model, BASE)
    registry.promote(home, version.id)
    place = home / "versions"
    modes = {path: path.stat().st_mode & 0o777 for path in (place, *place.rglob("*"))}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes


def test_the_same_weights_are_one_version(home: Path, model: Path, tmp_path: Path) -> None:
    first = registry.add(home, model, BASE)
    assert registry.add(home, complete(tmp_path / "again", b"weights"), Origin(base="a/base", seed=3)) == first
    assert len(registry.versions(home)) == 1


def test_an_adapter_is_called_as_a_server_calls_it(home: Path, adapter: Path) -> None:
    version = registry.add(home, adapter, BASE)
    assert version.kind == "lora"
    assert version.id == adapters.kept(home, adapter, "ponder")[1]


@pytest.mark.parametrize("lacking", ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"])
def test_what_lacks_something_is_refused_and_leaves_nothing(home: Path, model: Path, lacking: str) -> None:
    (model / lacking).unlink()
    with pytest.raises(VersionError, match=f"{lacking.replace('model.', '[*].')} is missing"):
        registry.add(home, model, BASE)
    assert not list((home / "versions").glob("*"))


def test_an_unknown_parent_is_refused(home: Path, model: Path) -> None:
    with pytest.raises(VersionError, match="not in the registry"):
        registry.add(home, model, Origin(base="a/base", parent="ponder-0123456789ab"))


def test_a_version_is_found_by_the_beginning_of_its_id_or_its_digest(home: Path, tmp_path: Path) -> None:
    ids = [added(home, tmp_path / str(i), bytes([i])) for i in range(20)]  # of 16 first digits, two share one
    for version in ids:
        assert registry.find(home, version).id == version
        assert registry.find(home, version.removeprefix("ponder-")).id == version
    with pytest.raises(VersionError, match="write more of it"):
        registry.find(home, "ponder-")
    for unknown in ("", "ponder-zz", "../.."):
        with pytest.raises(VersionError, match="There is no version"):
            registry.find(home, unknown)
    assert registry.named(home, ids[0]) == registry.find(home, ids[0])
    assert registry.named(home, ids[0][:-1]) is None


def test_parents_lead_to_the_base(home: Path, tmp_path: Path, adapter: Path) -> None:
    first = added(home, tmp_path / "1", b"1")
    second = added(home, tmp_path / "2", b"2", Origin(base=first))
    third = registry.add(home, adapter, Origin(base=str(registry.weights_of(home, second)), parent=second))
    assert [each.id for each in registry.lineage(home, third)] == [third.id, second, first]
    assert third.base == second
    assert registry.find(home, second).base == "a/base"  # the root, not what stands between


def test_what_a_gate_said_is_kept_and_what_it_rejected_needs_force(home: Path, model: Path) -> None:
    version = registry.add(home, model, BASE)
    registry.record_evaluation(home, version.id, {"summary": "worse"}, passed=False)
    assert registry.find(home, version.id).state == "rejected"
    with pytest.raises(VersionError, match="--force"):
        registry.promote(home, version.id)
    assert registry.promote(home, version.id, despite=True).state == "promoted"
    assert registry.record_evaluation(home, version.id, {"summary": "better"}, passed=True).evaluation == {
        "summary": "better"
    }
    registry.rollback(home)
    assert registry.find(home, version.id).state == "retired"


def test_pruning_keeps_what_answers_what_it_goes_back_to_and_what_others_go_on_top_of(
    home: Path, tmp_path: Path, adapter: Path
) -> None:
    old, below, before = (added(home, tmp_path / name, name.encode()) for name in ("old", "below", "before"))
    top = registry.add(home, adapter, Origin(base=below)).id
    for version in (old, below, before, top):
        registry.promote(home, version)
    assert registry.prune(home) == [old]
    with pytest.raises(VersionError, match="not there any more"):
        registry.promote(home, old)
    assert registry.find(home, old).state == "retired"
    assert [back.id if (back := registry.rollback(home)) else None for _ in range(3)] == [before, below, None]
    assert registry.add(home, complete(tmp_path / "old again", b"old"), BASE).id == old
    assert registry.promote(home, old).id == old


# --- which one answers ------------------------------------------------------------------------------------------------


def test_a_promoted_version_takes_the_place_of_its_base_and_of_no_other(home: Path, tmp_path: Path) -> None:
    base, other = complete(tmp_path / "base", b"base"), complete(tmp_path / "other", b"other")
    version = added(home, tmp_path / "new", b"new", Origin(base=str(base)))
    assert registry.target(home, str(base)) == Target(str(base), str(base))
    registry.promote(home, version)
    weights = str(registry.weights_of(home, version))
    assert registry.target(home, str(base)) == Target(weights, version, None, version)
    assert registry.target(home, str(other)) == Target(str(other), str(other))
    assert registry.target(home, "a/hub") == Target("a/hub", "a/hub")


def test_an_adapter_goes_on_the_very_weights_that_it_was_trained_on(home: Path, tmp_path: Path, adapter: Path) -> None:
    base = complete(tmp_path / "base", b"base")
    version = registry.promote(home, registry.add(home, adapter, Origin(base=str(base))).id)
    assert registry.target(home, str(base)) == Target(str(base), str(base), version.id, version.id)
    (base / "model.safetensors").write_bytes(b"newer")
    assert registry.target(home, str(base)) == Target(str(base), str(base))


def test_an_adapter_on_a_version_brings_that_versions_weights(home: Path, tmp_path: Path, adapter: Path) -> None:
    below = added(home, tmp_path / "below", b"below")
    version = registry.promote(home, registry.add(home, adapter, Origin(base=below)).id).id
    assert registry.target(home, "a/base") == Target(str(registry.weights_of(home, below)), below, version, version)


def test_a_change_that_could_not_be_served_is_taken_back(home: Path, tmp_path: Path) -> None:
    ids = [added(home, tmp_path / str(i), bytes([i])) for i in range(3)]
    served = registry.target(home, "a/base")
    for version in ids:
        registry.promote(home, version)
        failed = registry.target(home, "a/base")
        assert registry.undo(home, failed, served, "no memory")
        assert registry.target(home, "a/base") == served
        registry.promote(home, version)
        served = registry.target(home, "a/base")
    registry.rollback(home)  # from the third to the second, which does not start any more
    assert registry.undo(home, registry.target(home, "a/base"), served, "no memory")
    assert registry.current(home).promoted == ids[2]
    assert registry.current(home).history[-1].why == "undone: no memory"
    back = registry.rollback(home)
    assert back is not None
    assert back.id == ids[1]
    assert not registry.undo(home, served, served, "not the last change")


def test_a_damaged_file_says_what_to_do(home: Path, model: Path) -> None:
    version = registry.add(home, model, BASE)
    registry.promote(home, version.id)
    (home / "versions" / "current.json").write_text('{"promoted": ')
    with pytest.raises(VersionError, match=r"current.json cannot be read .* delete it"):
        registry.promoted(home)
    (home / "versions" / "current.json").unlink()
    (home / "versions" / version.id / "version.json").write_text("[]")
    with pytest.raises(VersionError, match=r"version.json cannot be read .* remove the folder"):
        registry.versions(home)


STEPS = st.lists(st.tuples(st.sampled_from(["add", "promote", "reject", "rollback", "prune"]), st.integers(0, 4)))


@given(STEPS)
@hypothesis_settings(max_examples=30)
def test_whatever_is_done_one_version_is_promoted_or_none_and_a_rollback_goes_back(
    steps: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, made = Path(folder) / "home", Path(folder)
        folders = [complete(made / str(i), bytes([i])) for i in range(5)]
        names = [f"ponder-{version_in(each).version}" for each in folders]
        expected: list[str] = []  # promoted, the last one answers
        rejected: set[str] = set()
        for step, i in steps:
            known = [each.id for each in registry.versions(home)]
            there = names[i] in known and (home / "versions" / names[i] / "weights").is_dir()
            if step == "add":
                registry.add(home, folders[i], BASE)
            elif step == "reject" and names[i] in known:
                registry.record_evaluation(home, names[i], {}, passed=False)
                rejected.add(names[i])
            elif step == "promote" and there and (names[i] not in rejected or expected[-1:] == [names[i]]):
                registry.promote(home, names[i])
                expected += [] if expected[-1:] == [names[i]] else [names[i]]
            elif step == "rollback" and expected:
                expected.pop()
                registry.rollback(home)
            elif step == "prune":
                registry.prune(home)
                whole = {n for n in names if (home / "versions" / n / "weights").is_dir()}
                expected = [n for n in expected if n in whole]
            states = [each.state for each in registry.versions(home)]
            assert states.count("promoted") == bool(expected)
            now = registry.promoted(home)
            assert (now.id if now else None) == (expected[-1] if expected else None)
            assert now is None or registry.weights_of(home, now.id).is_dir()


# --- processes that are killed ----------------------------------------------------------------------------------------


def whole(home: Path) -> None:
    """Every version that is listed is complete and is what its name says; what answers is one of them."""
    for version in registry.versions(home):
        folder = home / "versions" / version.id / "weights"
        assert not folder.exists() or f"ponder-{version_in(folder).version}" == version.id
    now = registry.promoted(home)
    assert now is None or registry.weights_of(home, now.id).is_dir()


@pytest.mark.timeout(300)
def test_after_kill_9_at_any_moment_the_registry_is_whole_and_nothing_is_left_over(home: Path, tmp_path: Path) -> None:
    moments, turn = random.Random(5), 0
    for _ in range(8):
        line = [sys.executable, "-m", "tests.agent.policy.registering", str(home), str(tmp_path / "made"), str(turn)]
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}) as writer:
            assert writer.stdout is not None
            for _ in range(moments.randint(1, 4)):
                turn = int(writer.stdout.readline())
            time.sleep(moments.uniform(0.0, 0.05))
            writer.kill()
            turn = max([turn, *map(int, writer.stdout.read().split())]) + 1
        whole(home)
    registry.prune(home)
    assert not list((home / "versions").glob(f"{vault.MAKING}*"))
    assert registry.versions(home)


def test_what_a_killed_writer_left_is_removed_and_what_another_is_making_is_not(home: Path, model: Path) -> None:
    with vault.making(home / "versions") as theirs:
        left = home / "versions" / f"{vault.MAKING}left"
        (left / "weights").mkdir(parents=True)
        version = registry.add(home, model, BASE)
        assert not left.exists()
        assert theirs.exists()
        assert registry.versions(home) == [version]


def test_writers_at_the_same_time_make_one_version_and_lose_no_promotion(home: Path, tmp_path: Path) -> None:
    folders = [complete(tmp_path / f"{i}", bytes([i // 2])) for i in range(6)]

    def write(folder: Path) -> None:
        registry.promote(home, registry.add(home, folder, BASE).id)

    threads = [threading.Thread(target=write, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.versions(home)) == 3
    now = registry.current(home)
    assert {change.promoted for change in now.history} == {each.id for each in registry.versions(home)}
    assert json.loads((home / "versions" / "current.json").read_text())["promoted"] == now.promoted


def test_a_lock_that_is_never_let_go_of_is_told(home: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "PATIENCE", 0.05)
    with vault.alone(home / "versions"), pytest.raises(VersionError, match="Another process"):
        registry.add(home, model, BASE)
