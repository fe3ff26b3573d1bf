"""Runs a Python program that nobody has read, in the strongest sandbox that proves itself on this machine.

The tiers, strongest first: *bubblewrap* (own namespaces and an own file tree, and everything of the next but Landlock),
*landlock* (Landlock for files, seccomp for system calls, resource limits; works in containers) and *monty* (an
interpreter of a part of Python that knows no files, network or processes). A tier is used only after it held every
attempt in ``breakout``; the one that ran a program is in its outcome, so nothing falls back silently. The tool
``python`` calls this, and so does the verifier that runs unit tests.

Bounds in the first two tiers: one process, one thread, no network, nothing readable but Python's own library, nothing
writable but a fresh flat folder, and the limits below. Names and sizes of files outside can be probed in the landlock
tier (Landlock does not govern stat).
"""

from __future__ import annotations

import asyncio
import marshal
import os
import shutil
import signal
import stat
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from tools import breakout, jail
from tools.syscalls import SeccompMissing, program

_JAIL = Path(jail.__file__).read_text()  # run with -c, so that the sandbox need not see this package
_PYTHON = os.path.realpath(sys.executable)  # a virtual environment links to it
_KILL_SECONDS = 5.0  # a killed process is gone in milliseconds, unless the kernel holds it


T = TypeVar("T")


class Tier(StrEnum):
    """The sandboxes, strongest first."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    MONTY = "monty"


class SandboxUnavailable(Exception):
    """No permitted tier works here; the message says why each does not and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use."""

    seconds: float = 10.0  # wall time
    cpu_seconds: int = 10
    memory_bytes: int = 512 << 20  # of address space
    disk_bytes: int = 16 << 20  # of all files together, and of each
    files: int = 1_000
    output_bytes: int = 1_000_000  # printed, on each of standard output and standard error
    import_from: tuple[str, ...] = ()  # folders of packages that a program may import besides the standard library


@dataclass(frozen=True, slots=True)
class Outcome:
    """One program, finished or stopped."""

    tier: Tier
    output: str  # what it printed on standard output
    error: str | None  # why it did not end well: its exception's last line, or the bound that stopped it
    seconds: float  # wall time, the sandbox's start included


class Sandbox:
    """Chooses a tier at its first use, by the self-test, and keeps to it."""

    def __init__(self, limits: Limits | None = None, weakest: Tier = Tier.MONTY) -> None:
        """``weakest`` is the weakest tier that may be used; ``Tier.LANDLOCK`` refuses monty."""
        self.limits = limits or Limits()
        self.weakest = weakest
        self.refused: dict[Tier, str] = {}  # tiers that were tried and failed, and why
        self._tier: Tier | None = None
        self._choosing = asyncio.Lock()

    async def tier(self) -> Tier:
        """The tier in use, after its self-test (about a tenth of a second, once).

        Raises SandboxUnavailable: none that is permitted works here.
        """
        if self._tier is None:
            async with self._choosing:
                self._tier = self._tier or await self._choose()
        return self._tier

    async def run(self, code: str) -> Outcome:
        """Run ``code`` as a program. Cancelling this call kills it.

        Raises SandboxUnavailable: no permitted tier works, or the one that did can no longer start.
        """
        return await run_in(await self.tier(), code, self.limits)

    async def _choose(self) -> Tier:
        permitted = list(Tier)[: list(Tier).index(self.weakest) + 1]
        for tier in permitted:
            if tier not in self.refused:
                failures = await self_test(tier, self.limits)
                if not failures:
                    return tier
                self.refused[tier] = "; ".join(failures)
        reasons = " ".join(f"{tier}: {self.refused[tier].rstrip('.')}." for tier in permitted)
        raise SandboxUnavailable(
            f"No sandbox works on this machine, so programs are not run ({reasons}) "
            "Install bubblewrap, use Linux 5.13 or later with Landlock, or permit a weaker tier."
        )


async def self_test(tier: Tier, limits: Limits) -> list[str]:
    """Why ``tier`` cannot be trusted here; empty if every attempt to break out was held and programs still work."""
    patient = replace(limits, seconds=max(limits.seconds, 30.0), cpu_seconds=max(limits.cpu_seconds, 10))
    with breakout.bait() as bait:
        probes = breakout.probes(bait, _readable(limits), limits.memory_bytes, limits.disk_bytes)
        try:
            held = await (_held_by_monty(probes, patient) if tier is Tier.MONTY else _held(tier, probes, patient))
        except SandboxUnavailable as error:
            return [str(error)]
        escaped = [f"a program in it could {name}" for name in probes if name not in held]
        return escaped + [f"a program in it {act}" for act in bait.touched()]


async def _held(tier: Tier, probes: dict[str, str], limits: Limits) -> list[str]:
    """The probes that failed to break out, run in one process."""
    outcome = await run_in(tier, breakout.all_in_one(probes), limits)
    works, *held = outcome.output.splitlines() or [""]
    if works != breakout.WORKS:
        raise SandboxUnavailable(f"It cannot run a program: {outcome.error or 'nothing was printed'}")
    return held


async def _held_by_monty(probes: dict[str, str], limits: Limits) -> list[str]:
    """The probes that failed to break out, run one by one, because monty has no ``exec``."""
    works = await run_in(Tier.MONTY, f"print({breakout.WORKS!r})", limits)
    if works.output.strip() != breakout.WORKS:
        raise SandboxUnavailable(f"It cannot run a program: {works.error or 'nothing was printed'}")
    return [name for name, probe in probes.items() if (await run_in(Tier.MONTY, probe, limits)).error is not None]


async def run_in(tier: Tier, code: str, limits: Limits) -> Outcome:
    """Run ``code`` in this very tier, tested or not. Raises SandboxUnavailable: it cannot start."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(limits.seconds):
            output, error = await (_run_monty(code, limits) if tier is Tier.MONTY else _run_process(tier, code, limits))
    except TimeoutError:
        output, error = "", f"The program took longer than {limits.seconds:g} seconds and was stopped; make it do less."
    except _Overrun as overrun:
        output, error = "", f"The program {overrun} and was stopped; make it do less."
    return Outcome(tier, output, error, time.perf_counter() - started)


class _Overrun(Exception):
    """A bound that this side watches was passed; the message goes on from 'The program'."""


async def _guarded(work: Coroutine[Any, Any, T], guard: Coroutine[Any, Any, None]) -> T:
    """What ``work`` gives, unless ``guard`` raises first; neither outlives this call."""
    working, guarding = asyncio.ensure_future(work), asyncio.ensure_future(guard)
    try:
        await asyncio.wait({working, guarding}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            guarding.result()
        return working.result()
    finally:
        working.cancel()
        guarding.cancel()
        await asyncio.wait({working, guarding})


async def _run_process(tier: Tier, code: str, limits: Limits) -> tuple[str, str | None]:
    """In an own Python process that ``jail`` confines, inside bubblewrap's namespaces or with Landlock."""
    with tempfile.TemporaryDirectory(prefix="ponder-", ignore_cleanup_errors=True) as folder:
        inside = "/tmp" if tier is Tier.BUBBLEWRAP else folder
        command = [_PYTHON, "-S", "-s", "-P", "-X", "utf8", "-c", _JAIL]
        command = _bubblewrap(folder, limits) + command if tier is Tier.BUBBLEWRAP else command
        job = _job(tier, code, inside, limits)
        async with _process(command, inside) as process:
            talk, watch = _talk(process, job, limits), _watch(Path(folder), process.pid, limits)
            status, output, errors = await _guarded(talk, watch)
    if not output.startswith(jail.READY):
        reason = errors.strip().rpartition("\n")[2] or f"its process ended with status {status}"
        raise SandboxUnavailable(f"The {tier} sandbox could not start: {reason}")
    return output[1:].decode(errors="replace"), _complaint(tier, status, errors, limits)


def _job(tier: Tier, code: str, folder: str, limits: Limits) -> bytes:
    try:
        seccomp = program()
    except SeccompMissing as error:
        raise SandboxUnavailable(str(error)) from error
    job: dict[str, Any] = {
        "code": code,
        "folder": folder,
        "landlock": tier is Tier.LANDLOCK,
        "parent": os.getpid() if tier is Tier.LANDLOCK else 0,  # bubblewrap looks after its own children
        "readable": _readable(limits),
        "import_from": list(limits.import_from),
        "seccomp": seccomp,
        "cpu_seconds": limits.cpu_seconds,
        "memory_bytes": limits.memory_bytes,
        "disk_bytes": limits.disk_bytes,
    }
    return marshal.dumps(job)


def _readable(limits: Limits) -> list[str]:
    """What Python itself needs: its standard library, shared libraries and time zones. No /etc, /proc, /home."""
    library = os.path.join(sys.base_prefix, "lib")
    paths = (library, "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
    return [path for path in (*paths, *limits.import_from) if os.path.exists(path)]


def _bubblewrap(folder: str, limits: Limits) -> list[str]:
    """The command that shows what follows it a file tree of the readable paths, two devices and ``folder`` as /tmp."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise SandboxUnavailable("bubblewrap is not installed (Debian, Ubuntu: apt-get install bubblewrap).")
    shown = [*_readable(limits), _PYTHON]
    return [
        *(bwrap, "--unshare-user", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"),
        *("--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--bind", folder, "/tmp"),
        *(part for path in shown for part in ("--ro-bind", path, path)),
        *(part for device in ("/dev/null", "/dev/urandom") for part in ("--dev-bind", device, device)),
        *("--remount-ro", "/", "--chdir", "/tmp", "--"),
    ]


@asynccontextmanager
async def _process(command: list[str], folder: str) -> AsyncIterator[Process]:
    """A process in a session of its own, with an environment of its own; the whole group is dead when this ends."""
    environment = {"HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads are refused
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment, cwd="/", start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        # A pipe that is not read to its end would keep wait() waiting.
        last = asyncio.gather(process.stdout.read(), process.stderr.read(), process.wait(), return_exceptions=True)
        await asyncio.wait({last}, timeout=_KILL_SECONDS)


async def _talk(process: Process, job: bytes, limits: Limits) -> tuple[int, bytes, str]:
    """Exit status, standard output and standard error of a job. Raises _Overrun: it printed more than it may."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    _, output, errors, status = await asyncio.gather(
        _send(process.stdin, job),
        _read(process.stdout, limits.output_bytes),
        _read(process.stderr, limits.output_bytes),
        process.wait(),
    )
    return status, output, errors.decode(errors="replace")


async def _send(stdin: asyncio.StreamWriter, job: bytes) -> None:
    with suppress(ConnectionError):  # it died early; its exit status says why
        stdin.write(job)
        await stdin.drain()
    stdin.close()


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    data = bytearray()
    while chunk := await stream.read(1 << 16):
        data += chunk
        if len(data) > limit:
            raise _Overrun(f"printed more than {limit:,} bytes")
    return bytes(data)


async def _watch(folder: Path, pid: int, limits: Limits) -> None:
    """Look at the flat folder 20 times a second, because the kernel bounds a file but not their number."""
    while True:
        await asyncio.sleep(0.05)
        total = _removed_but_open(pid)
        if total > limits.disk_bytes:
            raise _Overrun(f"wrote more than {limits.files} files or {limits.disk_bytes >> 20} MiB")
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries, start=1):
                with suppress(FileNotFoundError):  # removed since
                    total += entry.stat(follow_symlinks=False).st_size
                if count > limits.files or total > limits.disk_bytes:
                    raise _Overrun(f"wrote more than {limits.files} files or {limits.disk_bytes >> 20} MiB")


def _removed_but_open(pid: int) -> int:
    """Bytes in files that a process holds and no folder names. Inside bubblewrap only their number is bounded."""
    total = 0
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):  # closed since
                held = os.stat(entry.path)
                total += held.st_size if stat.S_ISREG(held.st_mode) and held.st_nlink == 0 else 0
    return total


def _complaint(tier: Tier, status: int, errors: str, limits: Limits) -> str | None:
    """Why a program did not end well, from its exit status and standard error."""
    if status == 0:
        return None
    # Bubblewrap reports signal s as 128 + s, as a shell does; an exit status may be as high by itself.
    killed_by = status - 128 if tier is Tier.BUBBLEWRAP else -status
    if killed_by == signal.SIGXCPU:
        return f"The program used more than {limits.cpu_seconds} seconds of processor time."
    if killed_by == signal.SIGKILL:
        return "The program was killed for using too much processor time or memory; make it do less."
    if killed_by in signal.valid_signals():
        return f"The program crashed ({signal.strsignal(killed_by) or killed_by})."
    lines = [line for line in errors.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"The program ended with exit status {status}."


async def _run_monty(code: str, limits: Limits) -> tuple[str, str | None]:
    """In pydantic-monty, whose worker is a process of its own that is killed when this is cancelled."""
    try:
        import pydantic_monty as monty
    except ImportError as error:
        raise SandboxUnavailable("pydantic-monty is not installed (pip install pydantic-monty).") from error
    printed = _Printed(limits.output_bytes)
    try:
        await _guarded(_feed(code, limits, printed), printed.overflow())
    except (monty.MontyRuntimeError, monty.MontySyntaxError) as error:
        trace = error.traceback()
        text = " ".join(error.display("type-msg").split())
        if text.startswith("TimeoutError: feed time limit"):
            return printed.text, f"The program used more than {limits.cpu_seconds} seconds of processor time."
        return printed.text, f"{text} (line {trace[-1].line})" if trace else text
    except monty.MontyCrashedError:
        return printed.text, "The program crashed its interpreter; write it in another way."
    except (monty.MontyError, OSError) as error:
        raise SandboxUnavailable(f"The monty sandbox could not start: {error}") from error
    return printed.text, None


async def _feed(code: str, limits: Limits, printed: _Printed) -> None:
    import pydantic_monty as monty

    bounds: monty.ResourceLimits = {
        "max_feed_duration_secs": limits.cpu_seconds,
        "max_total_sleep_secs": limits.seconds,
        "max_memory": limits.memory_bytes,
    }
    async with (
        monty.AsyncMonty(max_processes=1) as pool,
        pool.checkout(script_name=jail.NAME, limits=bounds) as session,
    ):
        await session.feed_run(code, print_callback=printed.add)


class _Printed:
    """What a program in monty prints. Its own bound on that would stop it only at the end of its time."""

    def __init__(self, limit: int) -> None:
        self.text = ""
        self._limit = limit
        self._full = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def add(self, stream: str, text: str) -> None:
        """Called from any thread, at most 200 times a second."""
        if stream == "stdout":
            self.text += text
        if len(self.text) > self._limit:
            self._loop.call_soon_threadsafe(self._full.set)

    async def overflow(self) -> None:
        await self._full.wait()
        raise _Overrun(f"printed more than {self._limit:,} bytes")
