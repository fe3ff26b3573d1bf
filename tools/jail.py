"""The inside of the sandbox: gives up every right for good, then runs one Python program as ``__main__``.

``sandbox`` starts this file's text as a process of its own (``python -c``) and sends it the job. It imports nothing but
light parts of the standard library (no signal, no typing), because it runs before every program. Exit status: 0, the
program's own, or 1 with one line on standard error that says what it raised. What happens before the ready mark on
standard output is the sandbox's failure, what happens after it is the program's.
"""

from __future__ import annotations

import builtins
import ctypes
import marshal
import os
import resource
import sys

READY = b"\0"  # the first byte on standard output: from here on it is the program that prints
OPEN_FILES = 16  # at once; a file that was removed takes room for as long as it is open
NAME = "program.py"  # the program's file name in its own messages

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
SIGKILL = 9  # the module `signal` takes 5 ms to import
CAPABILITY_VERSION_3 = 0x20080522
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # the same on every architecture
LANDLOCK_CREATE_RULESET_VERSION, LANDLOCK_RULE_PATH_BENEATH = 1, 1

# linux/landlock.h. All rights of a version are handled, so that whatever is not granted below is denied.
WRITE_FILE, READ_FILE, READ_DIR, REMOVE_FILE, MAKE_REG, TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8, 1 << 14
HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}  # by version
READABLE = READ_FILE | READ_DIR
WRITABLE = READABLE | WRITE_FILE | REMOVE_FILE | MAKE_REG | TRUNCATE

libc = ctypes.CDLL(None, use_errno=True)


class Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class PathBeneath(ctypes.Structure):  # packed in the kernel: its 12 bytes lie the same here, before padding
    _fields_ = [("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


class FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


class CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def main() -> None:
    job = marshal.loads(sys.stdin.buffer.read())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.chdir(job["folder"])
    bound(job)
    confine(job)
    os.write(1, READY)
    run(job)


def bound(job: dict) -> None:
    """Resource limits. One process with one thread makes RLIMIT_AS a bound on all of its memory."""
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, job["cpu_seconds"], job["cpu_seconds"] + 1),  # SIGXCPU, and SIGKILL where that is caught
        (resource.RLIMIT_AS, job["memory_bytes"], job["memory_bytes"]),
        (resource.RLIMIT_FSIZE, job["disk_bytes"], job["disk_bytes"]),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        ours = resource.getrlimit(kind)[1]  # may be lower already, and cannot be raised
        limits = (soft, hard) if ours == resource.RLIM_INFINITY else (min(soft, ours), min(hard, ours))
        resource.setrlimit(kind, limits)


def confine(job: dict) -> None:
    """Die with the parent, gain nothing, see only the granted files, hold no capability, make only harmless calls."""
    check(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "prctl")
    if job["parent"] and os.getppid() != job["parent"]:  # it died before the line above
        os._exit(1)
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    if job["landlock"]:
        restrict_files(job["readable"], job["folder"])
    header, none = CapabilityHeader(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    check(libc.capset(ctypes.byref(header), none), "capset")
    allowed = FilterProgram(len(job["seccomp"]) // 8, job["seccomp"])
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(allowed), 0, 0), "seccomp")


def restrict_files(readable: list[str], folder: str) -> None:
    """Landlock: this process opens what lies beneath these paths and nothing else.

    See docs.kernel.org/userspace-api/landlock.html.
    """
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    check(version, "Landlock is not in this kernel, or switched off (it needs Linux 5.13 or later)")
    handled = HANDLED[min(version, max(HANDLED))]
    # No TCP from version 4, no signal or abstract socket to the outside from version 6; seccomp denies them always.
    ruleset = Ruleset(handled, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = libc.syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    check(rules, "landlock_create_ruleset")
    for path, rights in [(path, READABLE) for path in readable] + [(folder, WRITABLE)]:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights &= handled if os.path.isdir(path) else READ_FILE
        rule = PathBeneath(rights, fd)
        check(libc.syscall(LANDLOCK_ADD_RULE, rules, LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(rule), 0), path)
        os.close(fd)
    check(libc.syscall(LANDLOCK_RESTRICT_SELF, rules, 0), "landlock_restrict_self")
    os.close(rules)


def check(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def run(job: dict) -> None:
    """The program in a fresh ``__main__``, with nothing of this file but the process."""
    sys.argv = [NAME]
    sys.path += job["import_from"]
    builtins.exit = builtins.quit = sys.exit  # -S leaves them out, and programs use them
    main_module = sys.modules["__main__"] = type(sys)("__main__")
    try:
        exec(compile(job["code"], NAME, "exec", dont_inherit=True), main_module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        complaint = last_line(error, job)
        error.__traceback__ = None  # what the program held goes first: there may be no memory left to speak with
        try:
            sys.stdout.flush()
        finally:
            sys.stderr.write("\n" + complaint + "\n")
            sys.exit(1)


def last_line(error: BaseException, job: dict) -> str:
    """``ZeroDivisionError: division by zero (line 3)``: the last line of a traceback, with no path of this machine."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == NAME else None
    trace = error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == NAME else line
        trace = trace.tb_next
    text = describe(error, job).replace(sys.base_prefix + os.sep, "").replace(job["folder"] + os.sep, "")
    return f"{text} (line {line})" if line else text


def describe(error: BaseException, job: dict) -> str:
    if isinstance(error, MemoryError):  # importing anything now could fail again
        return f"MemoryError: the program needs more than {job['memory_bytes'] >> 20} MiB"
    import traceback

    lines = traceback.format_exception_only(error)  # of a syntax error the last says what, of others the first
    return " ".join((lines[-1] if isinstance(error, SyntaxError) else lines[0]).split())[:1_000]


if __name__ == "__main__":
    main()
