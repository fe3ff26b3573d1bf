"""The MCP servers of this home: ``mcp.json``, in the form that other clients read (``{"mcpServers": {...}}``), and
what their tools were when they were taken in.

A tool that describes itself otherwise than then asks a person before each call, whatever was set, and one that was not
there is left out: the words that a model acts on may have been changed for it. Settings, the agent's assembly and
``ponder mcp`` read this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, Field, ValidationError, model_validator

from agent.errors import SettingsError
from agent.files import alone, write_private

if TYPE_CHECKING:
    from tools.tool import Tool

FILE, SEEN = "mcp.json", "mcp_seen.json"
NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
CHANGED = "Its server describes this tool otherwise than when you took it in (`ponder mcp test` shows how)."


class OAuth(BaseModel, frozen=True):
    """What a server's owner gave this client to sign in with. Other clients' spellings are read too."""

    client_id: str = Field(validation_alias=AliasChoices("client_id", "clientId"))  # or where this client is described
    client_secret: str | None = Field(default=None, validation_alias=AliasChoices("client_secret", "clientSecret"))
    issuer: str | None = None  # of the authorization server; the secret is sent to no other
    port: int = Field(default=0, validation_alias=AliasChoices("port", "callbackPort"))  # where the browser comes back
    grant: Literal["authorization_code", "client_credentials"] = "authorization_code"  # a person's, or its own

    @model_validator(mode="after")
    def told_to_one(self) -> Self:
        if self.client_secret is not None and self.issuer is None:
            raise ValueError("a client_secret needs the issuer beside it, for it is sent to no other")
        return self


class McpServer(BaseModel, frozen=True, extra="forbid"):
    """A server that offers tools over MCP: a program, on its standard input and output, or an address."""

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    folder: Path | None = None  # where it is started; in ponder.toml, the file's own folder unless it says another
    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    oauth: OAuth | None = None  # mostly not needed: a server that wants people to sign in registers this client itself
    allow: tuple[str, ...] = ("*",)  # patterns of the names of its tools
    timeout: float = Field(default=30.0, gt=0, le=3600)  # seconds, for its start and for each call

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("it needs a command or a url")
        return self


def entries(home: Path) -> dict[str, McpServer]:
    """The servers by their names; none where there is no file. Raises ``SettingsError``."""
    return servers_in(home / FILE) if (home / FILE).exists() else {}


def servers_in(file: Path) -> dict[str, McpServer]:
    """The servers in a file of that form, without those that are disabled. Raises ``SettingsError``."""
    if not file.exists():
        raise SettingsError(f"There is no file {file}.")
    read = _read(file)
    found = read.get("mcpServers", read.get("servers"))  # the second is VS Code's
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise SettingsError(f'{file} names no MCP servers: it needs {{"mcpServers": {{"NAME": {{...}}}}}}.')
    return {name: _checked(file, name, entry) for name, entry in found.items() if not entry.get("disabled")}


def _checked(file: Path, name: str, entry: Mapping[str, Any]) -> McpServer:
    own = {key: value for key, value in entry.items() if key in McpServer.model_fields and key != "folder"}
    try:
        return McpServer(**own, folder=entry.get("cwd"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, (name, *first["loc"])))
        raise SettingsError(f"{file}: '{place}' is wrong: {first['msg']}.") from error


def add(home: Path, servers: Mapping[str, McpServer]) -> None:
    """Keep servers, each in the place of the one of its name."""
    new = {name: _written(server) for name, server in servers.items()}
    with alone(home / FILE):
        known = _read(home / FILE)
        all_of_them = {**known.get("mcpServers", {}), **new}
        write_private(home / FILE, json.dumps({**known, "mcpServers": all_of_them}, indent=1))
    forget(home, servers)


def _written(server: McpServer) -> dict[str, Any]:
    entry = server.model_dump(mode="json", exclude_defaults=True)
    return entry | ({"cwd": entry.pop("folder")} if "folder" in entry else {})


def remove(home: Path, name: str) -> None:
    """Raises ``SettingsError`` where there is none of that name."""
    with alone(home / FILE):
        known = _read(home / FILE)
        if name not in known.get("mcpServers", {}):
            raise SettingsError(
                f"There is no MCP server {name!r} in {home / FILE}; `ponder mcp list` names those there are."
            )
        del known["mcpServers"][name]
        write_private(home / FILE, json.dumps(known, indent=1))
    forget(home, [name])


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read ({error}); mend or remove it.") from error
    if not isinstance(found, dict):
        raise SettingsError(f"{file} is no JSON object; mend or remove it.")
    return found


# --- what was taken in ------------------------------------------------------------------------------------------------


def watched(home: Path, server: str, tools: Sequence[Tool]) -> list[Tool]:
    """The tools as they were taken in; one that has changed since asks a person, and one that is new is left out. All
    of a server that is new are taken in now.
    """
    if (known := _taken(home).get(server)) is None:
        accept(home, server, tools)
        return list(tools)
    return [_as_taken(tool, known[tool.name]) for tool in tools if tool.name in known]


def _as_taken(tool: Tool, before: str) -> Tool:
    """What a model reads of it stays what it was: new words could be about other tools, too."""
    if before == described(tool):
        return tool
    try:
        said = json.loads(before)
        return replace(
            tool, description=str(said["description"]), schema=dict(said["parameters"]), asks=True, why_asks=CHANGED
        )
    except (ValueError, TypeError, KeyError):  # it is damaged
        return replace(tool, asks=True, why_asks=CHANGED)


def is_new(home: Path, server: str, tool: Tool) -> bool:
    """Whether it was not there when its server was taken in."""
    return tool.name not in _taken(home).get(server, {tool.name: ""})


def changes(home: Path, server: str, tool: Tool) -> list[str]:
    """How a tool differs from what was taken in, as lines of a unified diff."""
    before = _taken(home).get(server, {}).get(tool.name, "")
    lines = unified_diff(before.splitlines(), described(tool).splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def accept(home: Path, server: str, tools: Iterable[Tool]) -> None:
    """From now on they are what was taken in."""
    with alone(home / SEEN):
        taken = _taken(home) | {server: {each.name: described(each) for each in tools}}
        write_private(home / SEEN, json.dumps(taken, indent=1))


def forget(home: Path, servers: Iterable[str]) -> None:
    """What they offer next is taken in as it is."""
    with alone(home / SEEN):
        taken = _taken(home)
        if gone := taken.keys() & set(servers):
            write_private(home / SEEN, json.dumps({name: taken[name] for name in taken.keys() - gone}, indent=1))


def _taken(home: Path) -> dict[str, dict[str, str]]:
    """By server, by tool; what is damaged was never taken in, so that it asks."""
    return {
        server: {str(name): str(said) for name, said in tools.items()} if isinstance(tools, dict) else {}
        for server, tools in _read(home / SEEN).items()
    }


def described(tool: Tool) -> str:
    """All that a model reads of it, as JSON with a line for each value."""
    return json.dumps(tool.function_schema()["function"], sort_keys=True, indent=1, ensure_ascii=False)
