"""``ponder mcp``: Ponder as an MCP server, and the MCP servers whose tools it has."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.options import AsJson, BaseUrl, ModelName, print_json, settings_for

if TYPE_CHECKING:
    from agent.mcp_servers import McpServer
    from agent.settings import Settings

app = typer.Typer(help="Be an MCP server (alone), or use others.", invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def serve(
    context: typer.Context,
    model: ModelName = None,
    base_url: BaseUrl = None,
) -> None:
    """Serve MCP over standard input and output until the client ends it; over HTTP `ponder serve` does, at /mcp."""
    if context.invoked_subcommand is not None:
        return
    import asyncio

    if sys.stdin.isatty():
        print("An MCP client starts this and speaks to it; Ctrl-C ends it.", file=sys.stderr)
    asyncio.run(serve_here(model, base_url))


async def serve_here(model: str | None, base_url: str | None) -> None:
    """Standard output carries the protocol and nothing else: what anybody prints goes to standard error."""
    from agent.doors.door import open_door
    from agent.doors.mcp_server.server import create_server

    async with open_door(settings_for(model=model, base_url=base_url)) as door:
        await create_server(lambda: door).run_stdio_async()


# --- servers whose tools Ponder uses ----------------------------------------------------------------------------------


Name = Annotated[str, typer.Argument(help="What it is called; its tools are NAME_TOOL.")]


@app.command("list")
def list_servers(as_json: AsJson = False) -> None:
    """The servers whose tools are used."""
    from tui.printer import printable

    servers = settings_for().mcp_servers
    if as_json:
        return print_json({name: server.model_dump(mode="json") for name, server in servers.items()})
    if not servers:
        print("There are none; `ponder mcp add` adds one.", file=sys.stderr)
    for name, server in servers.items():
        where = server.url or " ".join([server.command or "", *server.args])
        print(printable(f"{name}  {where}  {', '.join(server.allow)}"))
    return None


@app.command("add")
def add_server(
    name: Annotated[str | None, typer.Argument(help="What it is called; its tools are NAME_TOOL.")] = None,
    command: Annotated[list[str] | None, typer.Argument(help="The program that is the server, after --.")] = None,
    url: Annotated[str | None, typer.Option(help="Or where it is reached over HTTP.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; ${VARIABLE} is read at each start.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the program.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="A pattern of tools that are used; all by default.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds, for its start and each call.")] = 30.0,
    file: Annotated[Path | None, typer.Option("--json", help="A file with mcpServers: all of them.")] = None,
) -> None:
    """Use a server's tools from now on."""
    from pydantic import ValidationError

    from agent import mcp_servers
    from agent.errors import SettingsError
    from agent.settings import home_folder

    if file is not None:
        servers = mcp_servers.servers_in(file)
    elif url and command:
        raise SettingsError("Give a program or --url, not both.")
    elif url and not url.startswith(("http://", "https://")):
        raise SettingsError(f"{url} is no address; it begins with http:// or https://.")
    else:
        program = {"command": command[0], "args": command[1:]} if command else {}
        given = {"url": url, "headers": pairs(header), "env": pairs(env), "allow": allow or ["*"], "timeout": timeout}
        try:
            servers = {name or "": mcp_servers.McpServer.model_validate(given | program)}
        except ValidationError as error:
            raise SettingsError("Say where it is: `ponder mcp add NAME -- COMMAND ...`, or --url.") from error
    for each in servers:
        if not mcp_servers.NAME.fullmatch(each):
            raise SettingsError(f"A server cannot be called {each!r}; take letters, digits, _ and -, at most 32.")
    before = mcp_servers.entries(home_folder())
    mcp_servers.add(home_folder(), servers)
    for each in servers:
        instead = ", in the place of the server that was called so" if each in before else ""
        print(f"The tools of {each} are used from now on{instead}; `ponder mcp test {each}` shows them.")


def pairs(given: list[str] | None) -> dict[str, str]:
    """Of NAME=VALUE. Raises ``SettingsError``."""
    from agent.errors import SettingsError

    split = [re.split(r"=|:\s+", each, maxsplit=1) for each in given or []]  # "Name: value", as headers are written
    if wrong := [each[0] for each in split if len(each) < 2 or not each[0]]:
        raise SettingsError(f"Write NAME=VALUE, not {wrong[0][:20]!r}.")
    return {each[0]: each[1] for each in split}


@app.command("remove")
def remove_server(name: Name) -> None:
    """Use a server's tools no more, and forget what it gave when you signed in."""
    from agent import mcp_servers
    from agent.mcp_tools import kept_of
    from agent.settings import home_folder

    home = home_folder()
    known = mcp_servers.entries(home).get(name)
    mcp_servers.remove(home, name)
    if known is not None and known.url is not None:
        kept_of(known, home).forget()
    print(f"The tools of {name} are not used any more.")


@app.command("test")
def try_server(
    name: Name,
    accept: Annotated[bool, typer.Option(help="Take its tools as they are now: none asks because it changed.")] = False,
) -> None:
    """Connect to a server, and say which of its tools can be used, which not, and which have changed."""
    import asyncio

    asyncio.run(shown(name, accept))


async def shown(name: str, accept: bool) -> None:
    from agent import mcp_servers
    from agent.mcp_tools import named, server_of
    from tools.mcp_client import connect
    from tui.printer import printable

    settings = settings_for()
    known = server_called(settings, name)
    async with connect(server_of(known, settings.home), known.timeout, known.allow) as offered:
        tools = named(name, offered)
        if accept:
            mcp_servers.accept(settings.home, name, tools)
        watched = {tool.name: tool for tool in mcp_servers.watched(settings.home, name, tools)}
        for tool in tools:
            mark = "NEW: not used"
            if tool.name in watched:
                mark = "CHANGED: asks before each call" if watched[tool.name].why_asks else ""
            more = f"  {mark}; --accept takes it as it is" if mark else ""
            print(printable(f"{tool.name}  {' '.join(tool.description.split())[:100]}{more}"))
            for line in mcp_servers.changes(settings.home, name, tool) if mark else ():
                print(printable(f"    {line}"))
        if not tools and not offered.refused:
            print(f"None of its tools fits {', '.join(known.allow)} (`ponder mcp list`).")
        for refused, why in offered.refused.items():
            print(printable(f"{refused}  NOT USED: {why}"))


def server_called(settings: Settings, name: str) -> McpServer:
    """Raises ``SettingsError``."""
    from agent.errors import SettingsError

    if (known := settings.mcp_servers.get(name)) is None:
        raise SettingsError(f"There is no MCP server {name!r}; `ponder mcp list` names those there are.")
    return known


# --- servers that want people to sign in ------------------------------------------------------------------------------


@app.command("login")
def log_in(
    name: Name,
    scope: Annotated[str, typer.Option(help="Rights to ask for beside those that it names.")] = "",
    paste: Annotated[bool, typer.Option(help="The browser is on another machine: paste where it ended.")] = False,
) -> None:
    """Sign in to a server, in a browser; from then on it is used as you."""
    import asyncio

    asyncio.run(signed_in(name, scope, paste))
    print(f"Signed in; `ponder mcp test {name}` shows the tools.")


async def signed_in(name: str, scope: str, paste: bool) -> None:
    from agent.mcp_tools import filled, kept_of, registered_as
    from tools.mcp_client import connect
    from tools.mcp_connection import Address, MCPServerError
    from tools.mcp_sign_in import PATIENCE, signing_in

    settings = settings_for()
    known = server_called(settings, name)
    registered, port = registered_as(known), known.oauth.port if known.oauth else 0
    if known.url is None or (registered is not None and registered.alone):
        raise MCPServerError(f"Nobody signs in to {name}: it is a program, or has credentials of its own.")
    kept = kept_of(known, settings.home)
    show = pasted if paste else in_browser
    async with signing_in(known.url, kept, show, registered, port, scope) as auth:
        address = Address(known.url, filled(known.headers), lambda: auth)
        async with connect(address, PATIENCE + known.timeout, known.allow):
            pass
    if not kept.signed_in:
        raise MCPServerError(f"{name} let us in without anybody signing in; nothing was kept.")


async def in_browser(address: str) -> str | None:
    import asyncio
    import webbrowser

    from tui.printer import printable

    print(printable(f"Sign in here; it opens by itself where there is a browser:\n{address}"), flush=True)
    await asyncio.to_thread(webbrowser.open, address)
    return None


async def pasted(address: str) -> str | None:
    """What the browser's address was when it ended, on whatever machine."""
    from tui.asking import typed
    from tui.printer import printable

    print(printable(f"Sign in here, on any machine:\n{address}"))
    print("The browser ends at an address of this machine that it cannot open. Paste that address:", flush=True)
    return await typed() or ""


@app.command("logout")
def log_out(name: Name) -> None:
    """Forget what a server gave when you signed in."""
    from agent.mcp_tools import kept_of

    settings = settings_for()
    known = server_called(settings, name)
    if known.url is not None:
        kept_of(known, settings.home).forget()
    print(f"Nothing that {name} gave is kept any more; on its own pages you can take back what you granted.")
