"""A connection to one MCP server: a program on its standard input and output, or an address. It is made again when it
has ended, at most ``AGAIN`` times in ``WINDOW`` seconds.

Not what a server's tools are to a model: that is ``mcp_client``.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
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

for _name in ("mcp.client", "mcp.shared", "client"):  # the SDK's: they print what servers send as it is, with traces
    logging.getLogger(_name).propagate = False
    logging.getLogger(_name).addHandler(logging.NullHandler())

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


def _reason(holding: asyncio.Task[None]) -> BaseException | None:
    """Why a connection ended, where something failed."""
    cause = holding.exception() if holding.done() and not holding.cancelled() else None
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause


async def unchecked(name: str, result: CallToolResult) -> None:
    """In the place of the SDK's check of a result against the schema that its server gave."""


def nowhere() -> TextIO:
    return open(os.devnull, "w")


@dataclass(slots=True)
class _Held:
    """A connection that stands."""

    holding: asyncio.Task[None]
    done: asyncio.Event  # set when it is to end
    client: Client
    calls: list[Form | None] = field(default_factory=list)  # under way, each with who can be asked in it


class Connection:
    """Held open by a task of its own: the SDK's task groups must be left by the task that entered them."""

    def __init__(self, server: Server, seconds: float) -> None:
        """``seconds`` bound a start and each call."""
        self._server, self._seconds = server, seconds
        self._starts: list[float] = []  # when: `time.monotonic`
        self._opening = asyncio.Lock()
        self._held: _Held | None = None
        self._ending: set[asyncio.Task[None]] = set()  # of those that were left behind

    async def open(self) -> Client:
        """The client, connected. Raises ``MCPServerError``."""
        return (await self._opened()).client

    async def _opened(self) -> _Held:
        async with self._opening:
            if self._held is None:
                self._held = await self._start()
            return self._held

    async def call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """One call of a tool; never made twice. Raises ``ToolError``."""
        from mcp import MCPError
        from mcp.client import InputRequiredRoundsExceededError
        from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT

        try:
            held = await self._opened()
        except MCPServerError as error:
            raise ToolError(str(error)) from error
        person, given_up = PERSON.get(), False
        # Who calls keeps the time, and does not count a person's.
        seconds = self._seconds + (PATIENCE * MAX_ASKED if person is not None else 0.0)
        held.calls.append(person)
        try:
            return await held.client.call_tool(name, arguments, read_timeout_seconds=seconds)
        except asyncio.CancelledError:
            given_up = True
            raise
        except InputRequiredRoundsExceededError as error:
            raise ToolError("The tool's server went on asking instead of answering; use another tool.") from error
        except MCPError as error:
            given_up = error.code == REQUEST_TIMEOUT
            if error.code == CONNECTION_CLOSED:
                async with self._opening:
                    if self._held is held:  # else another call has seen to it
                        await self._close()
                why = _reason(held.holding)
                ended = "The tool's server ended during the call, which may have been carried out."
                raise ToolError(str(why) if isinstance(why, MCPServerError) else ended) from error
            raise ToolError(f"The tool's server answered with an error: {clean(error.message)[:500]}") from error
        except ValidationError as error:
            raise ToolError("The tool's server answered with what no server may; use another tool.") from error
        finally:
            held.calls.remove(person)
            self._leave(held, given_up)

    def _leave(self, held: _Held, given_up: bool) -> None:
        """Over HTTP the SDK leaves the request of a call that was given up open, and its server could send for ever:
        the connection takes no more calls, and ends with those that it has.
        """
        if given_up and isinstance(self._server, Address) and self._held is held:
            self._held = None
            self._starts = self._starts[:-1]  # it has not ended by itself
        if self._held is not held and not held.calls:
            ending = asyncio.create_task(_end(held.holding, held.done, True))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _asked(self, held: list[_Held], context: object, params: ElicitRequestParams) -> ElicitResult:
        """What the server wants to know in the middle of a call. Servers of before 2026-07-28 do not say of which, so
        a person is asked where only one can be meant.
        """
        from mcp.types import ElicitRequestFormParams, ElicitResult

        calls = held[0].calls if held else []
        person = PERSON.get() or (calls[0] if len(calls) == 1 else None)
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

    async def _start(self) -> _Held:
        now = time.monotonic()
        self._starts = [when for when in self._starts if when > now - WINDOW]
        if len(self._starts) > AGAIN:
            often = f"{len(self._starts)} times in {WINDOW / 60:g} minutes"
            raise MCPServerError(f"{self._server} has ended {often}; `ponder mcp test` says more.")
        self._starts.append(now)
        ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        done, own = asyncio.Event(), list[_Held]()
        nobody = contextvars.copy_context()
        nobody.run(PERSON.set, None)  # who is there for the call that starts it is not there for all
        holding = asyncio.create_task(self._hold(ready, done, own), context=nobody)
        try:
            await asyncio.wait({holding, ready}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            holding.cancel()
            raise
        if not ready.done():
            error = self._start_error(holding)
            await _end(holding, done, False)
            raise error
        own.append(_Held(holding, done, ready.result()))
        return own[0]

    async def _hold(self, ready: asyncio.Future[Client], done: asyncio.Event, own: list[_Held]) -> None:
        from mcp import Client

        async with AsyncExitStack() as stack:
            transport = await self._transport(stack)
            client = Client(
                transport, read_timeout_seconds=self._seconds, elicitation_callback=partial(self._asked, own)
            )
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

    def _start_error(self, holding: asyncio.Task[None]) -> MCPServerError:
        cause, said = _reason(holding), f"{self._server} could not be used as an MCP server"
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
        async with self._opening:
            await self._close()
        if self._ending:
            await asyncio.wait(self._ending)

    async def _close(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await _end(held.holding, held.done, True)


async def _end(holding: asyncio.Task[None], done: asyncio.Event, connected: bool) -> None:
    done.set()
    if connected:
        await asyncio.wait({holding}, timeout=STOP_SECONDS)
    if not holding.done():  # it never came so far as to wait for that, or stops too slowly
        holding.cancel()
        await asyncio.wait({holding}, timeout=STOP_SECONDS)
    with suppress(asyncio.CancelledError, asyncio.InvalidStateError):
        holding.exception()  # a server that fails while it stops has nothing left to lose
