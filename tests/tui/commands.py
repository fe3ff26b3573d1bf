"""Commands as a person runs them: real processes, in a folder and a home of their own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from tui.cli import main; main()"]
LAUNCH = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
LAUNCH += " --dynamo_backend no --main_process_port 0"
TWO_PROCESSES = [sys.executable, *LAUNCH.split(), str(Path(sys.executable).parent / "ponder")]
DEADLINE = 240  # seconds: a busy machine takes 30 to import what an answer needs
# What moves a cursor or restyles a terminal: every control character but a newline and a tab.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def environment(**changes: str) -> dict[str, str]:
    """This process's, where conftest has set PONDER_HOME, without what a developer's shell may add."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PONDER_ENCODER": "none", "NO_COLOR": "1", "COLUMNS": "200"} | changes


def ponder(
    *arguments: str | bytes,
    folder: Path,
    stdin: bytes = b"",
    command: Sequence[str] = COMMAND,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in ``folder``."""
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=environment(**variables),
        input=stdin,
        capture_output=True,
        timeout=DEADLINE,
    )
    return subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())


def begun(*arguments: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
    """Start a command, to talk to and to interrupt."""
    pipe = subprocess.PIPE
    whole = environment(PYTHONUNBUFFERED="1", **variables)
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, env=whole, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1
    )


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What the process prints up to a line that holds ``text``."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} was never printed, but {''.join(lines)!r}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[str]:
    """`ponder serve`, ready to be asked, and its address."""
    port = free_port()
    process = begun("serve", "--port", str(port), *arguments, folder=folder, **variables)
    try:
        until_ready(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def until_ready(port: int, path: str = "/readyz") -> None:
    """Raises ``TimeoutError`` where nothing listens there in time."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            if httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, a moment later."""
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that failed said: one line on standard error, and nothing of Python's insides."""
    assert done.stdout == ""
    [line] = [line for line in done.stderr.splitlines() if line.strip()]
    assert "Traceback" not in line
    assert line.endswith((".", "`"))
    return line
