"""The tools of one MCP server as Tools of this package.

Not a server (that is one of the agent's doors), and no resources, prompts or sampling. What the server writes is data:
its names are checked, its texts are cleaned and bounded, its hints decide nothing. The server's program itself is not
sandboxed: start only what the person chose.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pydantic_core
from pydantic import BaseModel, Field, RootModel, ValidationError

from retrieval.passage import Passage
from tools.mcp_connection import Connection, MCPServerError, Server
from tools.search import numbered
from tools.tool import Call, Tool, ToolError, ToolOutput
from tools.toolbox import clean

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult
    from mcp.types import Tool as ServerTool

MAX_PAGES = 100  # of a listing, so that a server cannot list for ever
MAX_TOOLS = 128  # that function calling takes at once
MAX_DESCRIPTION = 1_000  # characters of a tool's description
MAX_SCHEMA = 20_000  # characters of a tool's schema: it stands in every prompt


class Arguments(RootModel[dict[str, Any]]):
    """Any JSON object: the server validates it against the schema that the model was shown."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server offers: tools that a model can be given, and why others cannot."""

    tools: Sequence[Tool]
    refused: Mapping[str, str]  # by the server's name for it, a sentence


@asynccontextmanager
async def connect(server: Server, seconds: float = 30.0, allowed: Sequence[str] = ("*",)) -> AsyncIterator[Offer]:
    """Connect to the server, hold its tools for as long as the block lasts, and let it go.

    ``seconds`` bound the start and each call. ``allowed``: patterns of the server's names of tools. The tools may be
    called from any task of this event loop.

    Raises MCPServerError: it cannot be started, does not answer in time, or does not speak MCP.
    """
    connection = Connection(server, seconds)
    try:
        client = await connection.open()
        try:
            async with asyncio.timeout(seconds):
                listed = await _listed(client)
        except TimeoutError as error:
            raise MCPServerError(f"{server} did not list its tools in {seconds:g} s; use another server.") from error
        yield offer(listed, connection, seconds, allowed)
    finally:
        await connection.close()


async def _listed(client: Client) -> list[ServerTool]:
    from mcp import MCPError

    tools: list[ServerTool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        try:
            page = await client.list_tools(cursor=cursor)
        except (MCPError, ValidationError) as error:
            why = clean(str(error))[:200]
            raise MCPServerError(f"The MCP server says of its tools what no server may ({why}); mend it.") from error
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return tools
    raise MCPServerError(f"The MCP server lists its tools on more than {MAX_PAGES} pages; use another server.")


def offer(listed: Iterable[ServerTool], connection: Connection, seconds: float, allowed: Sequence[str]) -> Offer:
    """MCP allows dots, slashes and 128 characters in a name, function calling does not: those become underscores."""
    tools, refused = dict[str, Tool](), dict[str, str]()
    for each in listed:
        name = re.sub(r"[^a-zA-Z0-9_-]", "_", each.name)[:64]
        if not any(fnmatchcase(each.name, pattern) for pattern in allowed):
            continue
        if name in tools:
            refused[each.name] = f"Another tool of this server is called {name} already."
        elif len(tools) == MAX_TOOLS:
            refused[each.name] = f"It has more than {MAX_TOOLS} tools; allow only those that are needed."
        elif why := unusable(each.input_schema):
            refused[each.name] = why
        else:
            said = clean(each.description or each.title or name)[:MAX_DESCRIPTION]
            # The server's hint that a call may be made twice is only a hint.
            call = _caller(connection, each.name)
            tools[name] = Tool(name, said, Arguments, call, seconds, idempotent=False, schema=each.input_schema)
    return Offer(list(tools.values()), refused)


def unusable(schema: Any) -> str:
    """Why a model cannot be given a tool with that schema, in a sentence; "" where it can."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        text = json.dumps(schema)
        if len(text) > MAX_SCHEMA:  # to check it would take as long as it is large
            return f"Its schema has {len(text):,} characters; a prompt has room for {MAX_SCHEMA:,}."
        Draft202012Validator.check_schema(schema)
    except (SchemaError, RecursionError, ValueError, TypeError) as error:
        return f"Its schema is no JSON schema: {clean(str(getattr(error, 'message', error)))[:200]}."
    if schema.get("type") != "object":
        return "Its schema is not that of an object."
    if "$ref" in re.findall(r'"(\$ref)": "[^#]', text):
        return "Its schema refers to another place."
    return ""


def _caller(connection: Connection, name: str) -> Call:
    async def call(arguments: Arguments) -> ToolOutput:
        result = await connection.call(name, arguments.root)
        text = _text(result)
        if result.is_error:
            raise ToolError(text or "The tool failed without saying why.")
        found = passages_in(result.structured_content)
        return ToolOutput(numbered(found) if found else text, found)

    return call


class Found(BaseModel):
    """A passage as Ponder's own server gives it back (``search_knowledge``)."""

    text: str = Field(min_length=1, max_length=100_000)
    source: str = Field(max_length=1_000)
    start: int = Field(ge=0)
    end: int
    score: float
    title: str = Field(max_length=1_000)


class FoundAll(BaseModel):
    passages: list[Found] = Field(max_length=50)


def passages_in(content: Any) -> tuple[Passage, ...]:
    """What another Ponder found in its documents, to be cited as one's own passages are; empty where it is not that."""
    try:
        found = FoundAll.model_validate(content, strict=True).passages
    except ValidationError:
        return ()
    if any(each.end - each.start != len(each.text) for each in found):
        return ()
    passages = [Passage(**each.model_dump()) for each in found]
    return tuple(replace(each, source=_on_a_line(each.source), title=_on_a_line(each.title)) for each in passages)


def _on_a_line(text: str) -> str:
    return " ".join(clean(text).split())


def _text(result: CallToolResult) -> str:
    """Its texts, a line each; structured content only where there is no text, because servers send it as both."""
    from mcp.types import EmbeddedResource, ResourceLink, TextContent, TextResourceContents

    parts: list[str] = []
    for block in result.content:
        if isinstance(block, TextContent):
            parts.append(block.text)
        elif isinstance(block, EmbeddedResource) and isinstance(block.resource, TextResourceContents):
            parts.append(block.resource.text)
        elif isinstance(block, ResourceLink):
            parts.append(f"[{block.name}: {block.uri}]")
        else:
            parts.append(f"[{block.type} not shown]")
    if not parts and result.structured_content is not None:
        return pydantic_core.to_json(result.structured_content).decode()
    return "\n".join(parts)
