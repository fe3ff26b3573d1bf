"""A vLLM of its own for a script: ``ponder model serve`` in a home folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from agent.assemble import MINI
from agent.policy import note
from agent.policy.note import Note

PONDER = [sys.executable, "-c", "from tui.cli import main; main()"]


@contextmanager
def serving(home: Path, *extra: str, model: Path = MINI) -> Iterator[Note]:
    """The note of a server that answers, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [*PONDER, "model", "serve", str(model), "--port", str(port), "--", *extra]
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ, "PONDER_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            yield answering(home)
        finally:
            process.send_signal(signal.SIGTERM)


def answering(home: Path, seconds: float = 600) -> Note:
    """Wait until the server that this home names answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = note.read(home)
        try:
            if found and httpx.get(found.base_url.removesuffix("/v1") + "/health", timeout=5).status_code == 200:
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"vLLM did not come up within {seconds:.0f} seconds; see {home}/server/vllm.log")


def processes(found: Note) -> list[psutil.Process]:
    """Every process under the one that watches over the server."""
    return psutil.Process(found.pid).children(recursive=True)


def memory(found: Note) -> int:
    """Bytes that belong to no other process (unique set size), of the server's whole tree."""
    return sum(process.memory_full_info().uss for process in processes(found))
