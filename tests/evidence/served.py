"""A vLLM of its own for a script: ``ponder model serve`` in a home folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from agent.assemble import MINI
from agent.policy.note import Note, Role
from tests.vllm_server import PONDER, answering


@contextmanager
def serving(home: Path, *extra: str, model: Path = MINI, role: Role = "server") -> Iterator[Note]:
    """The note of a server that answers, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    judges = ["--process-reward"] if role == "process_reward" else []
    command = [sys.executable, "-c", PONDER, "model", "serve", str(model), *judges, "--port", str(port), "--", *extra]
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ, "PONDER_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            yield answering(home, role=role)
        finally:
            process.send_signal(signal.SIGTERM)


def processes(found: Note) -> list[psutil.Process]:
    """Every process under the one that watches over the server."""
    return psutil.Process(found.pid).children(recursive=True)


def memory(found: Note) -> int:
    """Bytes that belong to no other process (unique set size), of the server's whole tree."""
    return sum(process.memory_full_info().uss for process in processes(found))
