"""The MCP servers that the settings name become tools of the agent.

Not the file they stand in (``mcp_servers``) nor the protocol (``tools.mcp_client``). The agent's assembly and
``ponder mcp`` call this.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from agent import mcp_servers
from agent.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

    from agent.mcp_servers import McpServer
    from agent.settings import Settings
    from tools.mcp_client import Offer
    from tools.mcp_connection import Server
    from tools.mcp_sign_in import Kept, Registered
    from tools.tool import Call, Tool, ToolOutput

SIGNED_IN = "mcp_signed_in"  # a folder in the home: what servers gave those who signed in
_log = logging.getLogger("ponder.mcp")


async def mcp_tools(stack: AsyncExitStack, settings: Settings, taken: Collection[str] = ()) -> list[Tool]:
    """The tools of all servers for as long as the stack is open, in the servers' order. What cannot be used is a
    warning: a server that does not answer, a tool that has the name of another (``taken``: of those that are not here).
    Those that are not what was taken in ask before each call.
    """
    from agent.approval import permitted

    names = list(settings.mcp_servers)
    offers = await asyncio.gather(*(offered_by(stack, settings, name) for name in names))
    tools: dict[str, Tool] = {}
    for name, offered in zip(names, offers, strict=True):
        if offered is None:
            continue
        theirs = permitted(named(name, offered), settings.approvals)
        watched = mcp_servers.watched(settings.home, name, theirs)
        if new := {tool.name for tool in theirs} - {tool.name for tool in watched}:
            wanted = f"`ponder mcp test {name} --accept` takes them in"
            _log.warning("the MCP server %s has new tools, not used yet: %s; %s", name, ", ".join(sorted(new)), wanted)
        for tool in watched:
            if tool.name in tools or tool.name in taken:
                _log.warning("a tool of the MCP server %s is not offered: another is called %s", name, tool.name)
            else:
                tools[tool.name] = tool
    return list(tools.values())


async def offered_by(stack: AsyncExitStack, settings: Settings, name: str) -> Offer | None:
    """None where it cannot be used."""
    from tools.mcp_client import connect
    from tools.mcp_connection import MCPServerError

    known = settings.mcp_servers[name]
    try:
        offered = await stack.enter_async_context(connect(server_of(known, settings.home), known.timeout, known.allow))
    except (MCPServerError, SettingsError) as error:
        _log.warning("the MCP server %s is not used: %s", name, error)
        return None
    for tool, why in offered.refused.items():
        _log.warning("the tool %s of the MCP server %s is not offered: %s", tool, name, why)
    return offered


def named(server: str, offered: Offer) -> list[Tool]:
    """Its name before theirs, and before the sources of what they find: two servers may both have a ``search``."""
    return [
        replace(tool, name=f"{server}_{tool.name}"[:64], origin=server, call=partial(found_there, server, tool.call))
        for tool in offered.tools
    ]


async def found_there(server: str, call: Call, arguments: Any) -> str | ToolOutput:
    """What a call of a server's gives, the passages in it named as that server's."""
    output = await call(arguments)
    if isinstance(output, str):
        return output
    return replace(output, passages=tuple(replace(each, source=f"{server}:{each.source}") for each in output.passages))


def server_of(known: McpServer, home: Path) -> Server:
    """What the settings name. ``${NAME}`` in its environment, headers and secret is that variable here: secrets need
    not stand in files. Raises ``SettingsError``.
    """
    from tools.mcp_connection import Address, Program

    if known.url is None:
        assert known.command is not None
        return Program(known.command, known.args, filled(known.env), known.folder)
    headers = filled(known.headers)
    if any(name.lower() == "authorization" for name in headers):
        return Address(known.url, headers)
    return Address(known.url, headers, partial(signed_in_as_before, known, home))


def signed_in_as_before(known: McpServer, home: Path) -> httpx2.Auth:
    """Raises ``SettingsError``, ``MCPServerError``."""
    from tools.mcp_sign_in import signed_in

    assert known.url is not None
    return signed_in(known.url, kept_of(known, home), registered_as(known))


def kept_of(known: McpServer, home: Path) -> Kept:
    """What the server gave when somebody signed in."""
    from tools.mcp_sign_in import Kept

    assert known.url is not None
    return Kept(home / SIGNED_IN, known.url)


def registered_as(known: McpServer) -> Registered | None:
    """Raises ``SettingsError``."""
    from tools.mcp_sign_in import Registered

    if (given := known.oauth) is None:
        return None
    secret = None if given.client_secret is None else filled({"": given.client_secret})[""]
    return Registered(given.client_id, secret, given.issuer, given.grant == "client_credentials")


def filled(values: Mapping[str, str]) -> dict[str, str]:
    """With the variables that they name. Raises ``SettingsError`` for one that is not set."""

    def variable(found: re.Match[str]) -> str:
        if (value := os.environ.get(found[1], found[2])) is None:
            raise SettingsError(f"An MCP server needs the variable {found[1]}; set it, and start again.")
        return value

    return {name: re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", variable, value) for name, value in values.items()}
