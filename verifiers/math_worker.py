"""Comparing two formulas in a process of its own, because sympy can take for ever and cannot be interrupted.

math-verify's own time limit is a signal: it needs the main thread and does not reach into one long integer power, so a
deadline here is a kill. ``math_answers`` holds a ``MathWorker``; running this module is the process behind it. Each
request is one line, a JSON pair; each reply one byte. Not a sandbox: the formulas are parsed, never evaluated as code.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import selectors
import signal
import subprocess
import sys
import weakref
from typing import Any

from verifiers.verdict import VerifierError

START_SECONDS = 60.0  # importing sympy takes 0.3 s on a quiet machine and much longer on a cold disk
MEMORY_BYTES = 1 << 30  # of address space; the process starts with 60 MB
ORPHAN_SECONDS = 60  # a comparison whose parent has died ends after this, even inside one long integer power

_READY, _EQUAL, _DIFFERENT = b"R", b"1", b"0"


class TooHard(Exception):
    """The comparison did not finish within its deadline or its memory; its process has been stopped."""


class MathWorker:
    """A warm process that compares formulas; it is started when first needed and again after it had to be killed.

    Its calls block and must not overlap: the owner gives it one thread.
    """

    def __init__(self, deadline_seconds: float = 3.0) -> None:
        self._deadline_seconds = deadline_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    def equal(self, gold: str, answer: str) -> bool:
        """Whether two LaTeX formulas (without delimiters) mean the same.

        Raises TooHard where that took more than the deadline, and VerifierError where the process cannot start.
        """
        process = self._process or self._start()
        with contextlib.suppress(BrokenPipeError):  # then it has died, and its reply is the end of the file
            _pipe(process.stdin).write(json.dumps([gold, answer]).encode() + b"\n")
        reply = _read_byte(process, self._deadline_seconds)
        if reply not in (_EQUAL, _DIFFERENT):
            self.close()
            raise TooHard(f"It could not be compared with the reference in {self._deadline_seconds:g} s.")
        return reply == _EQUAL

    def close(self) -> None:
        """Stop the process. The next comparison starts another."""
        if self._finalizer:
            self._finalizer()
        self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            # -P, because this folder holds modules with short names; its own session, so that Ctrl-C is not for it.
            [sys.executable, "-P", "-m", "verifiers.math_worker"],
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
                "The math checker did not start; run `python -m verifiers.math_worker` to see why "
                "(`pip install math-verify[antlr4_13_2]` brings what it needs)."
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
    process.kill()
    process.communicate()


def main() -> None:
    """Answer requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable()
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints must not look like a reply
    compare = _comparison()
    replies.write(_READY)
    for line in sys.stdin:
        signal.alarm(ORPHAN_SECONDS)
        try:
            equal = compare(*json.loads(line))
        except Exception:  # MemoryError and RecursionError too: what cannot be compared is not equal
            equal = False
        signal.alarm(0)
        replies.write(_EQUAL if equal else _DIFFERENT)


def _comparison() -> Any:
    """The function (gold, answer) -> bool, with its library imported."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify

    # Units stay: math-verify would drop "m" and "km" alike. The text is already the answer: nothing to look for in it.
    normal = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
    config = [LatexExtractionConfig(boxed_match_priority=-1, normalization_config=normal)]

    def read(formula: str) -> list[Any]:
        return parse(f"${formula}$", config, fallback_mode="no_fallback", parsing_timeout=0)

    def compare(gold: str, answer: str) -> bool:
        expected, given = read(gold), read(answer)
        return verify(expected, given, timeout_seconds=None) and not _far_apart(expected[0], given[0])

    return compare


def _far_apart(gold: Any, answer: Any) -> bool:
    """Whether both are numbers that differ by more than 1e-6 of themselves.

    math-verify rounds to six decimals, under which every tiny number equals zero.
    """
    if not (getattr(gold, "is_number", False) and getattr(answer, "is_number", False)):
        return False
    expected, given = complex(gold), complex(answer)
    return abs(expected - given) > 1e-6 * max(abs(expected), abs(given))


if __name__ == "__main__":
    main()
