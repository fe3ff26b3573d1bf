"""Whether an answer is JSON that satisfies the task's schema, ``metadata["schema"]``.

Schema and answer may both be hostile: a pattern that backtracks for ever, references that double, a schema somewhere on
the network. So they meet in a process of their own (running this module is that process), which ends at a limit of
time or of memory and never fetches anything: a reference that leads out of the schema is not followed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from verifiers.answers import final_answer
from verifiers.verdict import Case, Verdict, VerifierError, side_by_side

LONGEST_ANSWER = 1_000_000  # characters
MEMORY_BYTES = 1 << 30  # of address space
PATIENCE = 10  # a check that waits for the processor ends after this many times its limit by the clock
START_SECONDS = 60.0  # importing takes 0.1 s on a quiet machine and much longer on a cold disk

_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


class JsonSchema:
    """1 where the answer satisfies the schema, else 0; no schema, or one that is none, no score.

    The answer is the one fenced block, else what follows ``Answer:``, else the whole text. One that takes too long to
    check scores 0, not None: a policy in training must not be able to make this verifier fall silent.
    """

    name = "json_schema"

    def __init__(self, cpu_seconds: float = 1.0) -> None:
        """``cpu_seconds`` is the processor time that one answer may take."""
        self._cpu_seconds = cpu_seconds

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        """One verdict per case. Raises VerifierError if the process cannot be started."""
        return await side_by_side(self._judge, cases)

    async def _judge(self, case: Case) -> Verdict:
        schema = case.metadata.get("schema")
        if schema is None:
            return Verdict(self.name, None, "The task has no schema.")
        try:
            answer = read_json(case.answer) if case.finished else None
        except ValueError as error:
            return Verdict(self.name, 0.0, f"The answer is no JSON: {error}.")
        if answer is None:
            return Verdict(self.name, 0.0, "It gives no answer.")
        return Verdict(self.name, *await self._check(schema, answer))

    async def _check(self, schema: object, answer: str) -> tuple[float | None, str]:
        try:
            request = json.dumps([schema, answer]).encode()
        except (TypeError, ValueError, RecursionError) as error:
            return None, f"The task's schema is no JSON ({error})."
        process = await asyncio.create_subprocess_exec(
            # -P, because this folder holds modules with short names.
            *(sys.executable, "-P", "-m", "verifiers.json_schema", str(self._cpu_seconds)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath},
            start_new_session=True,  # Ctrl-C is not for it
        )
        try:
            async with asyncio.timeout(START_SECONDS + PATIENCE * self._cpu_seconds):
                reply, _ = await process.communicate(request)
        except TimeoutError:
            reply = b""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return self._verdict(reply, process.returncode)

    def _verdict(self, reply: bytes, status: int | None) -> tuple[float | None, str]:
        if reply.strip():
            score, reason = json.loads(reply)
            return score, reason
        if status == 1 and not reply:
            raise VerifierError("The JSON checker did not start; run `python -m verifiers.json_schema 1` to see why.")
        if status == 1:
            return 0.0, "It could not be held against the schema: the check failed."
        return 0.0, f"It could not be held against the schema in {self._cpu_seconds:g} s."


def read_json(text: str) -> str | None:
    """The JSON of an answer, as text; None where there is nothing. Raises ValueError where it is none."""
    if len(text) > LONGEST_ANSWER:
        raise ValueError(f"it has more than {LONGEST_ANSWER:,} characters")
    blocks = _FENCED.findall(text)
    if len(blocks) > 1:
        raise ValueError(f"it has {len(blocks)} fenced blocks instead of one")
    wrong: ValueError | None = None
    for part in blocks or filter(None, (text.strip(), final_answer(text))):
        try:
            json.loads(part, parse_constant=_refuse)
            return part
        except RecursionError:
            wrong = ValueError("it is nested too deep")
        except ValueError as error:
            wrong = error
    if wrong:
        raise wrong
    return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number there")


# --- the process ------------------------------------------------------------------------------------------------------


def main(cpu_seconds: float) -> None:
    """Read [schema, answer] from standard input, and write [score, reason]; before it a line that says: started."""
    import jsonschema  # noqa: F401  # its import does not count towards the limit

    print(flush=True)
    schema, answer = json.load(sys.stdin)
    # Nobody handles these signals, so the kernel ends the process, whatever it is in.
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, cpu_seconds * PATIENCE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        verdict = compare(schema, json.loads(answer))
        sys.stdout.write(json.dumps(verdict))
        sys.stdout.flush()
    except (MemoryError, RecursionError):
        os._exit(2)


def compare(schema: Any, answer: Any) -> tuple[float | None, str]:
    """Score and reason. Takes as long as it takes: for the process, which has a limit."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        kind = validator_for(schema, default=Draft202012Validator)
        kind.check_schema(schema)
        # A registry of our own is empty and fetches nothing; the default one asks the network.
        error = next(kind(schema, registry=Registry()).iter_errors(answer), None)
    except SchemaError as wrong:
        return None, f"The task's schema is none ({wrong.message[:100]})."
    except Unresolvable as missing:
        return None, f"The task's schema refers to {missing.ref[:100]}, which is not in it; write that into the schema."
    if error is None:
        return 1.0, "The answer satisfies the schema."
    return 0.0, f"At {error.json_path[:100]} the answer breaks the schema: {error.message[:200]}."


if __name__ == "__main__":
    main(float(sys.argv[1]))
