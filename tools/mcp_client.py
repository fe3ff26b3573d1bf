"""The tools of one MCP server that runs as a child process (stdio), as Tools of this package.

Not a server (that is one of the agent's doors), and no resources, prompts or sampling. What the server writes is data:
its names are checked, its texts are cleaned and bounded, its hints decide nothing. The server's program itself is not
sandboxed: start only what the person chose.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pydantic_core
from pydantic import RootModel

from tools.tool import Call, Tool, ToolError, ToolSetupError
from tools.toolbox import clean

if TYPE_CHECKING:
    from mcp import Client, StdioServerParameters
    from mcp.types import CallToolResult
    from mcp.types import Tool as ServerTool

MAX_PAGES = 100  # of a listing, so that a server cannot list for ever
MAX_DESCRIPTION = 1_000  # characters of a tool's description
_STOP_SECONDS = 10.0  # the SDK closes standard input, waits 2 s, terminates, waits 2 s, kills


class MCPServerError(ToolSetupError):
    """An MCP server that cannot be used; the message is one sentence that says what to do."""


class Arguments(RootModel[dict[str, Any]]):
    """Any JSON object: the server validates it against the schema that the model was shown."""


@asynccontextmanager
async def connect(
    command: str,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = 30.0,
    folder: Path | None = None,
) -> AsyncIterator[list[Tool]]:
    """Start the server, hold its tools for as long as the block lasts, and stop it.

    It is started in ``folder``, by default in the current one. It sees a minimal environment (HOME, PATH, USER and the
    like) and ``env``. ``timeout_seconds`` bounds the start and each call. The tools may be called from any task of this
    event loop.

    Raises MCPServerError: it cannot be started, does not answer in time, or does not speak MCP.
    """
    ready: asyncio.Future[list[Tool]] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()
    # The SDK's task groups live in a task of their own: what the caller's block raises reaches the caller as it is.
    program = partial(_parameters, command, args, env, folder)
    server = asyncio.ensure_future(_serve(program, timeout_seconds, ready, done))
    try:
        await asyncio.wait({server, ready}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            raise _start_error(server, command, timeout_seconds)
        yield ready.result()
    finally:
        done.set()
        if not ready.done():
            server.cancel()
        await asyncio.wait({server}, timeout=_STOP_SECONDS)
        if server.done() and not server.cancelled():
            server.exception()  # a server that fails while it stops has nothing left to lose


async def _serve(
    program: Callable[[], StdioServerParameters],
    timeout_seconds: float,
    ready: asyncio.Future[list[Tool]],
    done: asyncio.Event,
) -> None:
    """Hold the connection until ``done``; its tools are the result of ``ready``."""
    from mcp import Client
    from mcp.client.stdio import stdio_client

    with _nowhere() as log:  # a server's log would land in the middle of the screen
        async with Client(stdio_client(program(), log), read_timeout_seconds=timeout_seconds) as client:
            ready.set_result(_tools(client, await _listed(client), timeout_seconds))
            await done.wait()


def _parameters(
    command: str, args: Sequence[str], env: Mapping[str, str] | None, folder: Path | None
) -> StdioServerParameters:
    from mcp import StdioServerParameters

    return StdioServerParameters(command=command, args=list(args), env=dict(env or {}), cwd=folder)


def _nowhere() -> TextIO:
    return open(os.devnull, "w")


def _start_error(server: asyncio.Future[None], command: str, timeout_seconds: float) -> MCPServerError:
    cause = server.exception() if server.done() and not server.cancelled() else None
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, MCPServerError):
        return cause
    if cause is None:
        return MCPServerError(f"{command!r} did not answer as an MCP server in {timeout_seconds:g} s; run it by hand.")
    reason = clean(str(cause))[:200].rstrip(".") or type(cause).__name__
    error = MCPServerError(f"{command!r} could not be used as an MCP server ({reason}); run it by hand to see why.")
    error.__cause__ = cause
    return error


async def _listed(client: Client) -> list[ServerTool]:
    tools: list[ServerTool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return tools
    raise MCPServerError(f"The MCP server lists its tools on more than {MAX_PAGES} pages; use another server.")


def _tools(client: Client, listed: Sequence[ServerTool], timeout_seconds: float) -> list[Tool]:
    """MCP allows dots, slashes and 128 characters in a name, function calling does not: those become underscores."""
    tools: dict[str, Tool] = {}
    for each in listed:
        name = re.sub(r"[^a-zA-Z0-9_-]", "_", each.name)[:64]
        if name in tools:
            raise MCPServerError(f"The MCP server offers two tools called {name!r}; use another server.")
        tools[name] = Tool(
            name,
            clean(each.description or each.title or name)[:MAX_DESCRIPTION],
            Arguments,
            _caller(client, each.name, timeout_seconds),
            timeout_seconds,
            idempotent=False,  # the server's hint that it were is only a hint
            schema=each.input_schema,
        )
    return list(tools.values())


def _caller(client: Client, name: str, timeout_seconds: float) -> Call:
    async def call(arguments: Arguments) -> str:
        from mcp import MCPError

        try:
            result = await client.call_tool(name, arguments.root, read_timeout_seconds=timeout_seconds)
        except MCPError as error:
            raise ToolError(f"The tool's server answered with an error: {error.message}") from error
        text = _text(result)
        if result.is_error:
            raise ToolError(text or "The tool failed without saying why.")
        return text

    return call


def _text(result: CallToolResult) -> str:
    """Its texts, a line each; structured content only where there is no text, because servers send it as both."""
    from mcp.types import EmbeddedResource, TextContent, TextResourceContents

    parts: list[str] = []
    for block in result.content:
        if isinstance(block, TextContent):
            parts.append(block.text)
        elif isinstance(block, EmbeddedResource) and isinstance(block.resource, TextResourceContents):
            parts.append(block.resource.text)
        else:
            parts.append(f"[{block.type} not shown]")
    if not parts and result.structured_content is not None:
        return pydantic_core.to_json(result.structured_content).decode()
    return "\n".join(parts)
