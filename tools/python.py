"""The tool ``python``: what a program prints, from the sandbox, or the last line of its traceback."""

from __future__ import annotations

from tools.sandbox import Sandbox, SandboxUnavailable
from tools.tool import Tool, ToolError, ToolOutput, tool

NOTHING_PRINTED = "The program printed nothing."
_START_SECONDS = 30.0  # for the sandbox's self-test before the first program, on a busy machine


def python_tool(sandbox: Sandbox) -> Tool:
    """The tool over ``sandbox``, whose limits bound each program."""

    @tool(timeout_seconds=sandbox.limits.seconds + _START_SECONDS)
    async def python(code: str) -> ToolOutput:
        """Run a Python program and return what it prints."""
        try:
            outcome = await sandbox.run(code)
        except SandboxUnavailable as error:
            raise ToolError(str(error)) from error
        if outcome.error is not None:
            raise ToolError(outcome.error, outcome.tier.value)
        return ToolOutput(outcome.output.rstrip("\n") or NOTHING_PRINTED, sandbox_tier=outcome.tier.value)

    return python
