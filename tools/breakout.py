"""The sandbox's self-test: programs that really try to break out, with bait that shows whether one of them did.

``sandbox`` runs them in every tier before it trusts the tier. A probe is a program; ending without an exception is an
escape. The bait is checked from outside as well, so that a probe which lies about itself does not help it.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

WORKS = "works"  # printed by a sandbox that can still compute
CLONE_NEWUSER = 0x10000000
_CONTROL = """
import json, math, os
with open("note.txt", "w") as file:
    file.write(json.dumps({"root": math.isqrt(49)}))
with open("note.txt") as file:
    assert json.load(file) == {"root": 7}
os.remove("note.txt")
"""


@dataclass(frozen=True, slots=True)
class Bait:
    """What lies outside the sandbox, in reach of a program that is not confined."""

    folder: Path  # holds `secret` and nothing else
    secret: Path
    server: socket.socket  # listens on 127.0.0.1
    local_server: socket.socket  # listens on an abstract Unix address

    def touched(self) -> list[str]:
        """What the probes did to the bait, seen from outside."""
        found = [] if self.secret.exists() and self.secret.read_text() == "secret" else ["changed a file outside"]
        found += ["made a file outside"] if os.listdir(self.folder) != [self.secret.name] else []
        for server in (self.server, self.local_server):
            try:
                server.accept()[0].close()
            except BlockingIOError:
                continue
            found.append("reached a server outside")
        return found


@contextmanager
def bait() -> Iterator[Bait]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ponder-bait-")))
        secret = folder / "secret"
        secret.write_text("secret")
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        local_server = stack.enter_context(socket.socket(socket.AF_UNIX))
        local_server.bind(f"\0ponder-{secrets.token_hex(8)}")
        local_server.listen()
        server.setblocking(False)
        local_server.setblocking(False)
        yield Bait(folder, secret, server, local_server)


def probes(bait: Bait, readable: list[str], memory_bytes: int, disk_bytes: int) -> dict[str, str]:
    """Name to program. ``readable`` is granted, and no escape; where ``exec`` succeeds, nothing after it is run."""
    secret, outside = repr(str(bait.secret)), repr(str(bait.folder / "new"))
    reading = {
        "read /etc/passwd": "open('/etc/passwd').read()",
        "read a file outside": f"open({secret}).read()",
        "list a folder outside": f"import os; os.listdir({str(bait.folder)!r})",
        "read the parent's environment": f"open('/proc/{os.getpid()}/environ').read()",
    }
    home = os.path.expanduser("~")
    if home != "/" and os.access(home, os.R_OK):
        for name in os.listdir(home):
            if not any(f"{path}/".startswith(f"{home}/{name}/") for path in readable):  # the way to Python is seen
                reading["list the home folder"] = f"import os; assert {name!r} in os.listdir({home!r})"
    if not any(__file__.startswith(f"{path}/") for path in readable):  # installed among Python's own packages
        reading["read this project"] = f"open({__file__!r}).read()"
    acting = {
        "connect to a server": f"import socket; socket.create_connection({bait.server.getsockname()!r}, 1)",
        "connect to a local server": (
            f"import socket; socket.socket(socket.AF_UNIX).connect({bait.local_server.getsockname()!r})"
        ),
        "write a file outside": f"open({outside}, 'w').write('x')",
        "empty a file outside": f"import os; os.open({secret}, os.O_RDONLY | os.O_TRUNC)",
        "remove a file outside": f"import os; os.remove({secret})",
        "link to a file outside": f"import os; os.link({secret}, 'link')",
        "change a file's mode outside": f"import os; os.chmod({secret}, 0o600)",
        "change a file's times outside": f"import os; os.utime({secret})",
        "signal the parent": f"import os; os.kill({os.getpid()}, 0)",
        "become its own master": f"import ctypes\nif ctypes.CDLL(None).unshare({CLONE_NEWUSER}): raise OSError",
        "start a process": "import os\nif not os.fork(): os._exit(0)",
        "start a thread": "import threading; threading.Thread(target=print).start()",
        "take too much memory": f"x = 'x' * {2 * memory_bytes}",
        "write too much": f"open('big', 'wb').write(bytes({2 * disk_bytes}))",
        "run another program": "import os; os.execv('/bin/true', ['true'])",
    }
    return reading | acting


def all_in_one(programs: dict[str, str]) -> str:
    """One program that runs the probes and prints ``works`` and the names of those that were held, a line each."""
    return f"""
exec({_CONTROL!r}, {{}})
print({WORKS!r}, flush=True)
for name, program in {programs!r}.items():
    try:
        exec(program, {{}})
    except BaseException:
        print(name, flush=True)
"""
