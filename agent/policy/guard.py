"""A process tree that ends with whoever asked for it, however that one ends.

``python -m agent.policy.guard COMMAND...`` starts the command and waits on its own standard input, a pipe from whoever
asked. When that closes, because the other end let go of it or was killed, the command is asked to end and then killed,
and with it everything that it has started: the guard adopts orphans (Linux, ``PR_SET_CHILD_SUBREAPER``), so that a
process cannot leave the tree by outliving its parent. Should the guard be killed, the kernel kills the command.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

GRACE = 15.0  # seconds that the command has to end by itself
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def main(command: Sequence[str]) -> int:
    """Run the command; its exit status, or minus the signal that ended it."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C is for whoever asked, who then lets go of the pipe
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, the command does not inherit it
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    )
    if not ended(child):
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
    status = child.poll()
    end_tree()
    return status if status is not None else -signal.SIGKILL


def ended(child: subprocess.Popen[bytes]) -> bool:
    """Wait for the command's end, or for that of standard input; whether it was the command's."""
    process = os.pidfd_open(child.pid)
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    waiting.register(0, select.POLLIN)
    events = dict(waiting.poll())
    os.close(process)
    return process in events


def end_tree() -> None:
    """Kill every child until there is none; those of a killed child become ours."""
    with suppress(ChildProcessError):
        while True:
            for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            os.waitpid(-1, 0)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.exit(status if status >= 0 else 128 - status)
