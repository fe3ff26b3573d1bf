"""``ponder model`` as a person types it, with a real vLLM behind it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.assemble import MINI
from agent.policy import note
from agent.policy.note import Note
from agent.settings import Settings
from tests.adapters import random_adapter
from tests.tui.commands import ponder
from tests.vllm_server import HOME
from tui.serving import server_of

waits_for_vllm = pytest.mark.timeout(700)


@pytest.fixture
def served(vllm: Note, monkeypatch: pytest.MonkeyPatch) -> Note:
    """The server, in the home of whoever serves it."""
    monkeypatch.setenv("PONDER_HOME", os.environ[HOME])
    return vllm


@waits_for_vllm
def test_an_adapter_is_loaded_listed_and_unloaded_on_vllm(served: Note, tmp_path: Path) -> None:
    folder = random_adapter(tmp_path / "adapter", seed=4711)
    loaded = ponder("model", "load", str(folder), "--name", "mine", folder=tmp_path)
    name = loaded.stdout.strip()
    assert name.startswith("mine-"), loaded.stderr
    again = ponder("model", "load", str(folder), "--name", "mine", folder=tmp_path)
    assert again.stdout.strip() == name, again.stderr
    listed = json.loads(ponder("model", "list", "--json", folder=tmp_path).stdout)
    assert listed["current"] == name
    assert {name, served.model} <= set(listed["models"])
    assert f"* {name}" in ponder("model", "list", folder=tmp_path).stdout
    assert ponder("model", "unload", name, folder=tmp_path).returncode == 0
    gone = ponder("model", "unload", name, folder=tmp_path)
    assert gone.returncode != 0
    assert f"No adapter {name!r} is loaded" in gone.stderr
    assert name not in ponder("model", "list", folder=tmp_path).stdout


@waits_for_vllm
def test_a_second_server_is_refused_while_vllm_runs(served: Note, tmp_path: Path) -> None:
    second = ponder("model", "serve", "--port", "1", folder=tmp_path)
    assert second.returncode != 0
    assert f"`ponder model stop` ends it ({served.base_url}, process {served.pid})" in second.stderr


@pytest.mark.parametrize("command", [["list"], ["load", "x"], ["unload", "x"], ["stop"], ["stop", "--process-reward"]])
def test_where_nothing_is_served_it_is_said_what_serves(command: list[str], tmp_path: Path) -> None:
    done = ponder("model", *command, folder=tmp_path)
    assert done.returncode != 0
    flag = " --process-reward" if "--process-reward" in command else ""
    assert f"is being served; `ponder model serve MODEL{flag}` serves one." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["./gone"], "'./gone' is no folder"),
        (["."], ". has no config.json"),
        (["x", "--port", "99999"], "less than or equal to 65535"),
        (["x", "--max-model-len", "4096"], "vLLM's own flags go after --"),
        (["x", "--api-key", "se cret"], "must be visible ASCII"),
        (["x", "--api-key", ""], "must be visible ASCII"),
        (["x", "--api-key", "schl\u00fcssel"], "must be visible ASCII"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_is_started(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    done = ponder("model", "serve", *arguments, folder=tmp_path)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not {"se cret", "schl"} & {part for part in ("se cret", "schl") if part in done.stderr}


def test_the_server_that_would_answer_is_the_one_that_is_named_or_served(home: Path) -> None:
    assert server_of(Settings(home=home)) is None
    assert server_of(Settings(home=home, base_url="http://x/v1")) == "http://x/v1"
    with note.left(home, Note("http://y/v1", "k", "m", os.getpid(), "vllm.log")):
        assert server_of(Settings(home=home)) == "http://y/v1"
        assert server_of(Settings(home=home, model=str(MINI))) is None


def test_a_plan_says_what_fits_and_why(tmp_path: Path) -> None:
    done = ponder("model", "plan", str(MINI), "--gpu-memory", "24GB", "--context", "4k", folder=tmp_path)
    assert "a request of 4,096 tokens keeps" in done.stdout, done.stderr
    assert "--max-model-len 4096" in done.stdout
    assert "--max-model-len 4096" in ponder("model", "plan", str(MINI), folder=tmp_path).stdout
    planned = ponder("model", "plan", str(MINI), "--context", "4k", "--goal", "cost", "--json", folder=tmp_path)
    assert list(json.loads(planned.stdout)["flags"]) == ["cost"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--context", "32k"], "reads 4,096 tokens"),
        (["--context", "0.0001k"], "reads 4,096 tokens"),
        (["--context", "4k", "--gpu-memory", "2GB"], "leaves no room"),
        (["--gpu-memory", "24"], "write 24GB"),
        (["--context", "4k", "--goal", "joy"], "no goal"),
    ],
)
def test_a_plan_that_cannot_be_says_why(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    wrong = ponder("model", "plan", str(MINI), *arguments, folder=tmp_path)
    assert sentence in wrong.stderr
    assert wrong.returncode != 0
    assert "Traceback" not in wrong.stderr
