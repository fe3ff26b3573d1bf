"""A connection to one MCP server: a program on its standard input and output, or an address. It is made again when it
has ended, at most ``AGAIN`` times in ``WINDOW`` seconds.

Not what a server's tools are to a model: that is ``mcp_client``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pydantic import ValidationError

from tools.person import MAX_ASKED, PATIENCE, PERSON, Form, form_of, unfit, with_defaults
from tools.tool import ToolError, ToolSetupError
from tools.toolbox import clean

if TYPE_CHECKING:
    import httpx2
    from mcp import Client
    from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult

GUARD = Path(__file__).with_name("mcp_guard.py")
AGAIN, WINDOW = 3, 600.0  # how often a server is started again in how many seconds
STREAM_SECONDS = 300.0  # between two events of a stream that is held open; a call's own limit is that of its request
STOP_SECONDS = 10.0  # the SDK closes standard input, waits 2 s, terminates, waits 2 s, kills


class MCPServerError(ToolSetupError):
    """An MCP server that cannot be used; the message is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server that is started here. It sees a minimal environment (HOME, PATH, USER and the like) and ``env``."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None  # in which it is started; None: the current one

    def __str__(self) -> str:
        return repr(self.command)


@dataclass(frozen=True, slots=True)
class Address:
    """A server that is reached over HTTP ("streamable HTTP")."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)  # a key, for one
    auth: Callable[[], httpx2.Auth] | None = None  # how to sign in (``mcp_sign_in``), made anew for each start

    def __str__(self) -> str:
        return self.url


Server = Program | Address


def _reason(holding: asyncio.Task[None] | None) -> BaseException | None:
    """Why a connection ended, where something failed."""
    cause = holding.exception() if holding and holding.done() and not holding.cancelled() else None
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause


async def unchecked(name: str, result: CallToolResult) -> None:
    """In the place of the SDK's check of a result against the schema that its server gave."""


def nowhere() -> TextIO:
    return open(os.devnull, "w")


class Connection:
    """Held open by a task of its own: the SDK's task groups must be left by the task that entered them."""

    def __init__(self, server: Server, seconds: float) -> None:
        """``seconds`` bound a start and each call."""
        self._server, self._seconds = server, seconds
        self._starts: list[float] = []  # when: `time.monotonic`
        self._opening = asyncio.Lock()
        self._holding: asyncio.Task[None] | None = None
        self._done = asyncio.Event()
        self._client: Client | None = None
        self._persons: list[Form] = []  # of the calls under way

    async def open(self) -> Client:
        """The client, connected. Raises ``MCPServerError``."""
        async with self._opening:
            if self._client is None:
                await self._start()
            assert self._client is not None
            return self._client

    async def call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """One call of a tool; never made twice. Raises ``ToolError``."""
        from mcp import MCPError
        from mcp.client import InputRequiredRoundsExceededError
        from mcp.types import CONNECTION_CLOSED

        try:
            client = await self.open()
        except MCPServerError as error:
            raise ToolError(str(error)) from error
        seconds, holding = self._seconds, self._holding
        if (person := PERSON.get()) is not None:  # who calls keeps the time, and does not count theirs
            self._persons.append(person)
            seconds += PATIENCE * MAX_ASKED
        try:
            return await client.call_tool(name, arguments, read_timeout_seconds=seconds)
        except InputRequiredRoundsExceededError as error:
            raise ToolError("The tool's server went on asking instead of answering; use another tool.") from error
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                async with self._opening:
                    if self._client is client:  # else another call has seen to it
                        await self.close()
                why = _reason(holding)
                ended = "The tool's server ended during the call, which may have been carried out."
                raise ToolError(str(why) if isinstance(why, MCPServerError) else ended) from error
            raise ToolError(f"The tool's server answered with an error: {clean(error.message)[:500]}") from error
        except ValidationError as error:
            raise ToolError("The tool's server answered with what no server may; use another tool.") from error
        finally:
            if person is not None:
                self._persons.remove(person)

    async def _asked(self, context: object, params: ElicitRequestParams) -> ElicitResult:
        """What the server wants to know in the middle of a call. Servers of before 2026-07-28 do not say of which, so
        a person is asked where only one can be meant.
        """
        from mcp.types import ElicitRequestFormParams, ElicitResult

        person = PERSON.get() or (self._persons[0] if len(self._persons) == 1 else None)
        form = form_of(params.requested_schema) if isinstance(params, ElicitRequestFormParams) else None
        if person is None or form is None:
            return ElicitResult(action="cancel")
        given = await person(params.message, form)
        if given is None:
            return ElicitResult(action="decline")
        filled = with_defaults(form, given)
        if unfit(form, filled):
            return ElicitResult(action="cancel")
        return ElicitResult(action="accept", content=filled)

    async def _start(self) -> None:
        now = time.monotonic()
        self._starts = [when for when in self._starts if when > now - WINDOW]
        if len(self._starts) > AGAIN:
            often = f"{len(self._starts)} times in {WINDOW / 60:g} minutes"
            raise MCPServerError(f"{self._server} has ended {often}; `ponder mcp test` says more.")
        self._starts.append(now)
        await self.close()
        ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._done = asyncio.Event()
        self._holding = asyncio.create_task(self._hold(ready, self._done))
        await asyncio.wait({self._holding, ready}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            error = self._start_error()
            await self.close()
            raise error
        self._client = ready.result()

    async def _hold(self, ready: asyncio.Future[Client], done: asyncio.Event) -> None:
        from mcp import Client

        async with AsyncExitStack() as stack:
            transport = await self._transport(stack)
            client = Client(transport, read_timeout_seconds=self._seconds, elicitation_callback=self._asked)
            connected = await stack.enter_async_context(client)
            # A pattern of the server's own could take for ever, and what it gives is only text to us.
            setattr(connected.session, "validate_tool_result", unchecked)  # noqa: B010
            ready.set_result(connected)
            await done.wait()

    async def _transport(self, stack: AsyncExitStack) -> Any:
        if isinstance(self._server, Address):
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            from tools.mcp_bounds import bounded

            address = self._server
            http = httpx2.AsyncClient(
                headers={"Accept-Encoding": "identity", **address.headers},
                auth=address.auth() if address.auth else None,
                timeout=httpx2.Timeout(self._seconds, read=STREAM_SECONDS),
                event_hooks={"response": [bounded]},
            )
            return streamable_http_client(address.url, http_client=await stack.enter_async_context(http))
        from mcp import StdioServerParameters
        from mcp.client.stdio import stdio_client

        program = self._server
        file = str((program.folder or Path()) / program.command) if "/" in program.command else program.command
        if shutil.which(file, path=program.env.get("PATH")) is None:
            raise MCPServerError(f"There is no program {program.command!r}; install it, or say where it is.")
        guarded = ["-I", str(GUARD), program.command, *program.args]
        log = stack.enter_context(nowhere())  # a server's log would land in the middle of the screen
        parameters = StdioServerParameters(
            command=sys.executable, args=guarded, env=dict(program.env), cwd=program.folder
        )
        return stdio_client(parameters, log)

    def _start_error(self) -> MCPServerError:
        cause, said = _reason(self._holding), f"{self._server} could not be used as an MCP server"
        if isinstance(cause, MCPServerError):
            return cause
        if cause is None:
            return MCPServerError(
                f"{self._server} did not answer as an MCP server in {self._seconds:g} s; run it by hand."
            )
        reason = clean(str(cause))[:200].rstrip(".") or type(cause).__name__
        error = MCPServerError(f"{said} ({reason}); run it by hand to see why.")
        error.__cause__ = cause
        return error

    async def close(self) -> None:
        """End it, for good unless it is opened again."""
        holding, connected = self._holding, self._client is not None
        self._holding = self._client = None
        if holding is None:
            return
        self._done.set()
        if connected:
            await asyncio.wait({holding}, timeout=STOP_SECONDS)
        if not holding.done():  # it never came so far as to wait for that, or stops too slowly
            holding.cancel()
            await asyncio.wait({holding}, timeout=STOP_SECONDS)
        with suppress(asyncio.CancelledError, asyncio.InvalidStateError):
            holding.exception()  # a server that fails while it stops has nothing left to lose
