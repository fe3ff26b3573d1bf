"""The guard: no process of a tree outlives whoever asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

GUARD = [sys.executable, "-m", "agent.policy.guard"]
# A tree of three: the command, a child of it, and a grandchild in a session of its own that ignores being asked to end.
TREE = """
import os, signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
middle = f"import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', {stubborn!r}], start_new_session=True, stdout=subprocess.PIPE); c.stdout.readline(); print(c.pid, flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", middle], stdout=subprocess.PIPE, text=True)
print(os.getpid(), child.pid, child.stdout.readline().strip(), flush=True)
time.sleep(600)
"""  # noqa: E501
ASKER = f"""
import subprocess, sys
guard = subprocess.Popen({[*GUARD, sys.executable, "-c", TREE]!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(guard.pid, guard.stdout.readline().strip(), flush=True)
sys.stdin.read()
"""  # noqa: E501


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_gone(pids: list[int], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.fixture
def tree() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Somebody who has asked for a tree; the pids are the guard's, the command's, its child's and grandchild's."""
    asker = subprocess.Popen([sys.executable, "-c", ASKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert asker.stdout is not None
    pids = [int(pid) for pid in asker.stdout.readline().split()]
    assert len(pids) == 4
    yield asker, pids
    for pid in (asker.pid, *pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    asker.wait()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_no_process_outlives_whoever_asked_for_it(
    tree: tuple[subprocess.Popen[str], list[int]], by: signal.Signals
) -> None:
    asker, pids = tree
    assert all(map(alive, pids))
    asker.send_signal(by)
    assert all_gone(pids)


def test_what_the_command_leaves_behind_ends_with_it(tree: tuple[subprocess.Popen[str], list[int]]) -> None:
    _, pids = tree
    os.kill(pids[1], signal.SIGKILL)
    assert all_gone(pids)


def test_the_command_is_killed_when_the_guard_is(tree: tuple[subprocess.Popen[str], list[int]]) -> None:
    _, pids = tree
    os.kill(pids[0], signal.SIGKILL)
    assert all_gone(pids[:2])


@pytest.mark.parametrize(
    ("program", "status"), [("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_guard_ends_as_the_command_did(program: str, status: int) -> None:
    done = subprocess.Popen([*GUARD, sys.executable, "-c", program], stdin=subprocess.PIPE)
    assert done.wait(30) == status


def test_the_command_may_end_by_itself_when_it_is_asked_to() -> None:
    program = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0)))
print('up', flush=True)
time.sleep(60)
"""
    guard = subprocess.Popen(
        [*GUARD, sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert guard.stdin
    assert guard.stdout
    assert guard.stdout.readline() == "up\n"
    guard.stdin.close()
    assert guard.stdout.read() == "bye\n"
    assert guard.wait(30) == 0


def test_a_command_that_does_nothing_about_it_ends_at_once_when_it_is_asked_to() -> None:
    program = "import time; print('up', flush=True); time.sleep(60)"
    guard = subprocess.Popen(
        [*GUARD, sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert guard.stdin
    assert guard.stdout
    assert guard.stdout.readline() == "up\n"
    guard.send_signal(signal.SIGTERM)  # which the guard itself does not follow
    with pytest.raises(subprocess.TimeoutExpired):
        guard.wait(0.5)
    guard.stdin.close()
    assert guard.wait(10) == 128 + signal.SIGTERM
