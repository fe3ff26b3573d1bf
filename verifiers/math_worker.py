"""Comparing two formulas in a process of its own, because sympy can take for ever and cannot be interrupted.

math-verify's own time limit is a signal handler: it needs the main thread and does not reach into one long integer
power. Here a warm process, with sympy imported, forks for each comparison, and the kernel ends the fork at its limit,
which costs milliseconds and no restart. The limit is in processor time, so that a busy machine gives the same verdicts.

``math_answers`` holds a ``MathWorker``; running this module is the process behind it. Each request is one line, a JSON
pair; each reply one byte. Not a sandbox: formulas are parsed, never evaluated as code.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import resource
import selectors
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from itertools import combinations
from typing import Any

from verifiers.verdict import VerifierError

START_SECONDS = 60.0  # importing and warming up takes 0.9 s on a quiet machine and much longer on a cold disk
PATIENCE = 10  # a comparison that waits for the processor ends after this many times its limit by the clock
MEMORY_BYTES = 1 << 30  # of address space; the process itself has 60 MB
# One formula of each kind fills parser caches that every fork inherits: 0.03 s of comparing instead of 0.1 s.
WARM_UP = [
    (r"\frac{\sqrt{2}}{2}+x^2-1", "(x-1)(x+1)+0.5"),
    (r"\sin(x)^2+\cos^2 x", "1"),
    (r"\{1,2\}", "[2,3)"),
    ("x>3", "x=5"),
    (r"\log_2(8)+\infty", "e^{x}"),
]

_SIDE = re.compile(r"[{}()\[\],;=]|\\approx|\\equiv(?!.*mod)")
_READY, _EQUAL, _DIFFERENT, _TOO_HARD = b"R", b"1", b"0", b"T"


class TooHard(Exception):
    """The comparison passed its limit of time or of memory."""


class MathWorker:
    """The warm process. It starts when first needed, and ends with ``close`` or with this object.

    Its calls block and must not overlap: the owner gives it one thread.
    """

    def __init__(self, cpu_seconds: float = 1.0) -> None:
        """``cpu_seconds`` is the processor time that one comparison may take."""
        self._cpu_seconds = cpu_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    def equal(self, gold: str, answer: str) -> bool:
        """Whether two LaTeX formulas (without delimiters) mean the same.

        Raises TooHard where that takes more than the limit, and VerifierError where the process cannot run.
        """
        # An answer can only end its own fork. If the process itself is gone, somebody else ended it: ask once more.
        reply = self._ask(gold, answer) or self._ask(gold, answer)
        if not reply:
            raise VerifierError("The math checker ended twice; see whether the machine is short of memory.")
        if reply == _TOO_HARD:
            raise TooHard(f"It could not be compared with the reference in {self._cpu_seconds:g} s.")
        return reply == _EQUAL

    def close(self) -> None:
        """Stop the process. The next comparison starts another."""
        if self._finalizer:
            self._finalizer()
        self._process = None

    def _ask(self, gold: str, answer: str) -> bytes:
        process = self._process or self._start()
        with contextlib.suppress(BrokenPipeError):
            _pipe(process.stdin).write(json.dumps([gold, answer]).encode() + b"\n")
        reply = _read_byte(process, self._cpu_seconds * PATIENCE + START_SECONDS)
        if not reply:
            self.close()
        return reply

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            # -P, because this folder holds modules with short names; its own session, so that Ctrl-C is not for it.
            [sys.executable, "-P", "-m", "verifiers.math_worker", str(self._cpu_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath},
            start_new_session=True,
        )
        self._process, self._finalizer = process, weakref.finalize(self, _stop, process)
        if _read_byte(process, START_SECONDS) != _READY:
            self.close()
            raise VerifierError(
                "The math checker did not start; run `python -m verifiers.math_worker 3` to see why "
                "(`pip install math-verify` brings what it needs)."
            )
        return process


def _pipe(stream: Any) -> Any:
    assert stream is not None  # both are pipes
    return stream


def _read_byte(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The next byte that the process writes; b"" where it ended or wrote none in time."""
    output = _pipe(process.stdout)
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        return output.read(1) if selector.select(seconds) else b""


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and the fork that it may have."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def main(cpu_seconds: float) -> None:
    """Answer requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable()
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints must not look like a reply
    compare = _comparison()
    for gold, answer in WARM_UP:
        compare(gold, answer)
    replies.write(_READY)
    for line in sys.stdin:
        gold, answer = json.loads(line)
        replies.write(_in_a_fork(lambda gold=gold, answer=answer: compare(gold, answer), cpu_seconds))


def _in_a_fork(equal: Callable[[], bool], seconds: float) -> bytes:
    """The reply for one comparison, made in a process that cannot outlive ``seconds`` of processor time."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # Nobody handles these signals, so the kernel ends the process, whatever it is in.
            signal.setitimer(signal.ITIMER_PROF, seconds)
            signal.setitimer(signal.ITIMER_REAL, seconds * PATIENCE)
            status = 0 if equal() else 1
        except MemoryError:
            status = 2
        except Exception:  # what cannot be parsed or compared is not equal
            status = 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {0: _EQUAL, 1: _DIFFERENT}.get(status, _TOO_HARD)


def _comparison() -> Callable[[str, str], bool]:
    """The function (gold, answer) -> bool, with its library imported."""
    from math_verify import LatexExtractionConfig, LatexNormalizationConfig, parse, verify

    # Units stay: math-verify would drop "m" and "km" alike. The text is already the answer: nothing to look for in it.
    normal = LatexNormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
    config = [LatexExtractionConfig(boxed_match_priority=-1, normalization_config=normal)]

    def read(formula: str) -> list[Any]:
        return parse(f"${formula}$", config, fallback_mode="no_fallback", parsing_timeout=0)

    imaginary = read(r"\sqrt{-1}")[0]

    def with_i(parsed: list[Any]) -> list[Any]:
        """In answers the letter i is the imaginary unit; a summation's i stays one."""
        named = [{s: imaginary for s in getattr(part, "free_symbols", ()) if str(s) == "i"} for part in parsed]
        return [part.subs(i) if i else part for part, i in zip(parsed, named, strict=True)]

    def compare(gold: str, answer: str) -> bool:
        if any(_contradict(*pair) for pair in combinations([side for part in sides(answer) for side in read(part)], 2)):
            return False
        expected, given = with_i(read(gold)), with_i(read(answer))
        return verify(expected, given, timeout_seconds=None) and not _far_apart(expected[0], given[0])

    return compare


def sides(formula: str) -> list[str]:
    """Of an equation, what its parts ``=`` each other; none where it is no equation, or several."""
    depth, start, found = 0, 0, list[str]()
    for token in _SIDE.finditer(formula):
        depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(token[0], 0)
        if depth == 0 and token[0] in ",;":
            return []
        if depth == 0 and token[0] in ("=", r"\approx", r"\equiv"):
            found.append(formula[start : token.start()])
            start = token.end()
    return [*found, formula[start:]] if found else []


def _contradict(one: Any, other: Any) -> bool:
    """Whether two sides of an equation are different numbers; a rounded one is not."""
    integers = getattr(one, "is_integer", False) and getattr(other, "is_integer", False)
    return _far_apart(one, other, within=0 if integers else 0.01)


def _far_apart(gold: Any, answer: Any, within: float = 1e-6) -> bool:
    """Whether both are numbers that differ by more than ``within`` of themselves.

    math-verify rounds to six decimals, under which every tiny number equals zero.
    """
    if not (getattr(gold, "is_number", False) and getattr(answer, "is_number", False)):
        return False
    expected, given = complex(gold), complex(answer)
    return abs(expected - given) > within * max(abs(expected), abs(given))


if __name__ == "__main__":
    main(float(sys.argv[1]))
