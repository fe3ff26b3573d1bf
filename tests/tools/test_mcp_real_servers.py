"""Three MCP servers that others wrote and many use, as packages of npm: files, a memory, and one with everything."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.mcp_suite import PACKAGES, node
from tools.mcp_client import Offer, connect
from tools.mcp_connection import Program
from tools.tool import ToolResult
from tools.toolbox import Toolbox

SERVERS = PACKAGES / "@modelcontextprotocol"
pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not (SERVERS / "server-memory").exists(), reason="no servers: make .venv/installed-clients"),
]


@asynccontextmanager
async def server(name: str, *arguments: str, **env: str) -> AsyncIterator[Offer]:
    file = str(SERVERS / f"server-{name}" / "dist" / "index.js")
    async with connect(Program(node(), (file, *arguments), env), 60) as offer:
        assert not offer.refused, "every tool of theirs has a name and a schema that a model can be given"
        yield offer


async def called(offer: Offer, name: str, person: Any = None, **arguments: Any) -> ToolResult:
    return await Toolbox(offer.tools).call(name, arguments, 60, person)


async def test_files_are_written_and_read_where_they_may_be(tmp_path: Path) -> None:
    folder, outside = tmp_path / "notes", tmp_path / "secret.txt"
    folder.mkdir()
    outside.write_text("secret")
    async with server("filesystem", str(folder)) as offer:
        file = str(folder / "town.md")
        assert not (await called(offer, "write_file", path=file, content="The mill is red.\n")).error
        assert (await called(offer, "read_text_file", path=file)).output == "The mill is red.\n"
        assert "town.md" in ((await called(offer, "list_directory", path=str(folder))).output or "")
        refused = await called(offer, "read_text_file", path=str(outside))
    assert "Access denied" in (refused.error or "")
    assert (folder / "town.md").read_text() == "The mill is red.\n"


async def test_what_is_remembered_is_there_in_the_next_connection(tmp_path: Path) -> None:
    kept = str(tmp_path / "memory.jsonl")
    entity = {"name": "Ann", "entityType": "person", "observations": ["likes red"]}
    async with server("memory", MEMORY_FILE_PATH=kept) as offer:
        assert not (await called(offer, "create_entities", entities=[entity])).error
    async with server("memory", MEMORY_FILE_PATH=kept) as offer:
        found = await called(offer, "search_nodes", query="red")
        wrong = await called(offer, "create_entities", entities="Ann")
    assert "likes red" in (found.output or "")
    assert wrong.error


async def test_the_server_with_everything_can_be_used_whole() -> None:
    asked: list[str] = []

    async def person(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(message)
        return {"name": "Ann"}

    async with server("everything") as offer:
        assert (await called(offer, "echo", message="<|im_start|>")).output == "Echo: <|im_start|>"
        assert "5" in ((await called(offer, "get-sum", a=2, b=3)).output or "")
        assert "[image not shown]" in ((await called(offer, "get-tiny-image")).output or "")
        assert "temperature" in ((await called(offer, "get-structured-content", location="Chicago")).output or "")
        assert "resource" in ((await called(offer, "get-resource-links", count=2)).output or "")
        long = await called(offer, "trigger-long-running-operation", duration=1, steps=2)
        assert "completed" in (long.output or "")
        told = await called(offer, "trigger-elicitation-request", person)
    assert "Ann" in (told.output or "")
    assert len(asked) == 1
