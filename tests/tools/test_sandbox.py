"""Every test of a tier runs in that tier, and is skipped with the reason where the machine has no such tier."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import breakout
from tools.sandbox import Limits, Sandbox, SandboxUnavailable, Tier, run_in, self_test

LIMITS = Limits(seconds=60.0, cpu_seconds=20, memory_bytes=256 << 20)
PROCESS_TIERS = [Tier.BUBBLEWRAP, Tier.LANDLOCK]


async def usable(tier: Tier) -> Tier:
    try:
        await run_in(tier, "", LIMITS)
    except SandboxUnavailable as error:
        pytest.skip(f"{tier} does not work on this machine: {error}")
    return tier


@pytest.fixture(params=list(Tier))
async def tier(request):
    """Each tier in turn."""
    return await usable(request.param)


@pytest.fixture(params=PROCESS_TIERS)
async def process_tier(request):
    """Each tier that runs real Python."""
    return await usable(request.param)


def descendants(pid: int) -> set[int]:
    """The processes below ``pid``, from /proc."""
    children: dict[int, set[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
            children.setdefault(parent, set()).add(int(entry.name))
    found, open_ends = set(), [pid]
    while open_ends:
        below = children.get(open_ends.pop(), set()) - found
        found |= below
        open_ends += below
    return found


async def until(condition) -> None:
    """/proc tells nobody when it changes, so it is looked at again and again."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_every_attempt_to_break_out_is_held(tier):
    assert await self_test(tier, LIMITS) == []


async def test_the_self_test_notices_a_sandbox_with_a_hole(process_tier, monkeypatch):
    monkeypatch.setattr("tools.sandbox._readable", lambda limits: ["/usr", "/lib", "/lib64", "/etc", sys.base_prefix])
    assert await self_test(process_tier, LIMITS) == ["a program in it could read /etc/passwd"]


TOUCHING = {
    "connect to a server",
    "connect to a local server",
    "write a file outside",
    "empty a file outside",
    "remove a file outside",
}


def attempts() -> list[str]:
    with breakout.bait() as bait:
        return list(breakout.probes(bait, [], 1, 1))


@pytest.mark.parametrize("name", attempts())
def test_an_attempt_succeeds_where_nothing_holds_it(name, tmp_path):
    """Else the self-test would pass whatever the sandbox did."""
    with breakout.bait() as bait:
        probe = breakout.probes(bait, [], memory_bytes=1 << 20, disk_bytes=1 << 10)[name]
        finished = subprocess.run([sys.executable, "-S", "-c", probe], cwd=tmp_path, capture_output=True)
        if name != "become its own master":  # containers often forbid that to everybody
            assert finished.returncode == 0
        assert bool(bait.touched()) == (name in TOUCHING)


async def test_a_program_gives_what_it_prints(tier):
    outcome = await run_in(tier, "print(sum(n * n for n in range(10)))\nprint('naïve ☃')", LIMITS)
    assert (outcome.output, outcome.error, outcome.tier) == ("285\nnaïve ☃\n", None, tier)


async def test_an_exception_is_its_last_line_with_its_line_number_and_no_path(tier):
    outcome = await run_in(tier, "print('before')\n\ndef halve(x):\n    return x / 0\n\nhalve(1)\n", LIMITS)
    assert outcome.output == "before\n"
    assert (outcome.error or "").startswith("ZeroDivisionError: division by zero (line ")
    assert (await run_in(tier, "x = 1\nraise ValueError('a\\nb')", LIMITS)).error == "ValueError: a b (line 2)"


async def test_an_exception_names_the_innermost_line_of_the_program(process_tier):
    program = "import json\n\ndef read(text):\n    return json.loads(text)\n\nread('{')\n"
    assert ((await run_in(process_tier, program, LIMITS)).error or "").endswith("(line 4)")


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("x = = 1", "SyntaxError: invalid syntax (line 1)"),
        ("\x00", "SyntaxError: source code string cannot contain null bytes"),
        ("exit(3)", "The program ended with exit status 3."),
        ("exit('no more')", "no more"),
        ("import os; os._exit(0)", None),
        ("import ctypes; ctypes.string_at(0)", "The program crashed (Segmentation fault)."),
        ("input()", "EOFError: EOF when reading a line (line 1)"),
        ("import numpy", "ModuleNotFoundError: No module named 'numpy' (line 1)"),
        ("import tools", "ModuleNotFoundError: No module named 'tools' (line 1)"),
        ("pritn(1)", "NameError: name 'pritn' is not defined (line 1)"),
    ],
)
async def test_however_a_program_ends_badly_one_line_says_it(process_tier, program, error):
    assert (await run_in(process_tier, program, LIMITS)).error == error


@pytest.mark.parametrize(
    "program",
    [
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    print('ok')\nasyncio.run(f())",
        "import tempfile\nwith tempfile.TemporaryFile() as f:\n    f.write(b'x')\nprint('ok')",
        "import zoneinfo\nprint('ok' if zoneinfo.ZoneInfo('UTC') else '')",
        "import ssl, sqlite3, hashlib, decimal, fractions, statistics, itertools, re, json\nprint('ok')",
        "import pickle\nclass A: pass\nassert isinstance(pickle.loads(pickle.dumps(A())), A)\nprint('ok')",
        "import sys\nif __name__ == '__main__':\n    print('ok')\nprint('noise', file=sys.stderr)",
        "import signal\ntry:\n    signal.setitimer(signal.ITIMER_REAL, 60)\nfinally:\n    print('ok')",
    ],
)
async def test_ordinary_programs_run(process_tier, program):
    outcome = await run_in(process_tier, program, LIMITS)
    assert (outcome.output, outcome.error) == ("ok\n", None)


async def test_the_same_program_prints_the_same_each_time(process_tier):
    program = "print({'a', 'b', 'c', 'd', 'e', 'f', 'g'})"
    assert len({(await run_in(process_tier, program, LIMITS)).output for _ in range(3)}) == 1


async def test_a_program_sees_nothing_of_the_environment(process_tier, monkeypatch):
    monkeypatch.setenv("PONDER_API_KEY", "hunter2")
    outcome = await run_in(process_tier, "import os\nprint(sorted(os.environ), os.listdir('.'))", LIMITS)
    assert "PONDER" not in outcome.output
    assert "PATH" not in outcome.output
    assert outcome.output.endswith("[]\n")


async def test_a_program_that_takes_too_long_is_stopped(tier):
    limits = Limits(seconds=1.0, cpu_seconds=20)
    assert "took longer than 1 seconds" in ((await run_in(tier, "while True: pass", limits)).error or "")


async def test_a_program_that_computes_too_much_is_stopped(tier):
    outcome = await run_in(tier, "while True: pass", Limits(seconds=100.0, cpu_seconds=1))
    assert outcome.error == "The program used more than 1 seconds of processor time."


async def test_a_program_that_ignores_the_signal_for_computing_too_much_is_killed():
    tier = await usable(Tier.LANDLOCK)
    program = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    outcome = await run_in(tier, program, Limits(seconds=100.0, cpu_seconds=1))
    assert "too much processor time" in (outcome.error or "")


async def test_a_program_that_takes_too_much_memory_is_told_so(tier):
    limits = Limits(seconds=60.0, cpu_seconds=20, memory_bytes=96 << 20)
    outcome = await run_in(tier, "held = []\nwhile True:\n    held.append('x' * 1000000)", limits)
    assert (outcome.error or "").startswith("MemoryError")


async def test_a_program_that_prints_too_much_is_stopped(tier):
    limits = Limits(seconds=60.0, cpu_seconds=20, output_bytes=10_000)
    outcome = await run_in(tier, "while True:\n    print('x' * 1000)", limits)
    assert "printed more than 10,000 bytes and was stopped" in (outcome.error or "")


@pytest.mark.parametrize(
    "program",
    [
        "n = 0\nwhile True:\n    open(str(n), 'w').close()\n    n += 1",
        "n = 0\nwhile True:\n    open(str(n), 'wb').write(bytes(1 << 20))\n    n += 1",
    ],
)
async def test_a_program_that_fills_the_disk_is_stopped(process_tier, program):
    outcome = await run_in(process_tier, program, Limits(seconds=60.0, cpu_seconds=30, disk_bytes=4 << 20, files=100))
    assert "wrote more than 100 files or 4 MiB" in (outcome.error or "")


async def test_removed_files_that_stay_open_count_too():
    program = "import os\nheld = []\nwhile True:\n    held.append(open('f', 'wb'))\n    os.remove('f')\n"
    program += "    held[-1].write(bytes(1 << 20))\n    held[-1].flush()"
    outcome = await run_in(Tier.LANDLOCK, program, Limits(seconds=60.0, cpu_seconds=30, disk_bytes=4 << 20))
    assert outcome.error is not None
    assert "MiB" in outcome.error or "Too many open files" in outcome.error


@pytest.mark.parametrize("status", ["-1", "255", "137", "200", "3"])
async def test_any_exit_status_of_a_program_is_said(process_tier, status):
    outcome = await run_in(process_tier, f"import sys\nsys.exit({status})", LIMITS)
    assert outcome.error
    if process_tier is Tier.LANDLOCK:
        assert outcome.error == f"The program ended with exit status {int(status) % 256}."


async def test_nothing_of_a_program_is_left_on_the_disk(process_tier, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outcome = await run_in(process_tier, "open('note', 'w').write('x')\nprint(open('note').read())", LIMITS)
    assert outcome.output == "x\n"
    assert os.listdir(tmp_path) == []


async def test_cancelling_kills_every_process_of_the_sandbox(tier):
    before = descendants(os.getpid())
    run = asyncio.ensure_future(run_in(tier, "while True: pass", LIMITS))
    await until(lambda: descendants(os.getpid()) - before)
    started = descendants(os.getpid()) - before
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await until(lambda: not started & descendants(os.getpid()))


async def test_a_sandbox_dies_with_the_process_that_started_it(process_tier):
    started_by = (
        "import asyncio, sys\n"
        "from tools.sandbox import Limits, Tier, run_in\n"
        f"asyncio.run(run_in(Tier({process_tier.value!r}), 'import time; time.sleep(600)', Limits(seconds=600.0)))\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", started_by, cwd=Path(__file__).parents[2])
    await until(lambda: descendants(parent.pid))
    await asyncio.sleep(0.2)  # well inside the program, not in its start
    orphans = descendants(parent.pid)
    parent.kill()
    await parent.wait()
    await until(lambda: not [pid for pid in orphans if Path(f"/proc/{pid}").exists()])


async def test_a_program_may_import_from_the_folders_it_was_given(process_tier, tmp_path):
    (tmp_path / "package_of_mine.py").write_text("answer = 42")
    limits = Limits(seconds=60.0, import_from=(str(tmp_path),))
    assert (await run_in(process_tier, "from package_of_mine import answer\nprint(answer)", limits)).output == "42\n"
    assert (await run_in(process_tier, "import package_of_mine", LIMITS)).error is not None


async def test_programs_run_at_the_same_time_without_seeing_each_other(process_tier):
    programs = [f"open('x', 'w').write('{n}')\nprint(open('x').read())" for n in range(8)]
    outcomes = await asyncio.gather(*(run_in(process_tier, program, LIMITS) for program in programs))
    assert [outcome.output for outcome in outcomes] == [f"{n}\n" for n in range(8)]


async def test_the_strongest_tier_that_works_is_used_and_named():
    sandbox = Sandbox(LIMITS)
    outcome = await sandbox.run("print(1)")
    assert outcome.tier is await sandbox.tier()
    stronger = list(Tier)[: list(Tier).index(outcome.tier)]
    assert list(sandbox.refused) == stronger


async def test_a_tier_that_fails_its_self_test_is_passed_over_with_its_reason(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("tools.sandbox.program", no_filter)
    sandbox = Sandbox(LIMITS)
    assert (await sandbox.run("print(1)")).tier is Tier.MONTY
    assert "apt-get install bubblewrap" in sandbox.refused[Tier.BUBBLEWRAP]
    assert "could not start" in sandbox.refused[Tier.LANDLOCK]


async def test_a_required_tier_refuses_the_weaker_ones(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        SandboxUnavailable, match=r"programs are not run \(bubblewrap: bubblewrap is not installed.*permit"
    ):
        await Sandbox(LIMITS, weakest=Tier.BUBBLEWRAP).run("print(1)")


def no_filter() -> bytes:
    """A seccomp program of no instructions, which the kernel refuses: a tier that cannot start."""
    return b""
