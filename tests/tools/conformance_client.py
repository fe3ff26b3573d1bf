"""What the conformance suite of MCP starts as the client: Ponder's own, which lists a server's tools and calls each.

    conformance client --command "python -m tests.tools.conformance_client" --requirements 2026-07-28

The suite's authorization server lets everybody in who follows its address, so a browser is a GET that follows.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tools.mcp_client import Offer, connect
from tools.mcp_connection import Address
from tools.mcp_sign_in import Kept, Registered, signed_in, signing_in
from tools.person import PERSON
from tools.tool import Tool, ToolError

DESCRIBED = "https://conformance-test.local/client-metadata.json"  # the suite's scenario of that kind wants this one
SECONDS = 20.0


async def browser(address: str) -> None:
    async with httpx.AsyncClient(follow_redirects=True, timeout=SECONDS) as client:
        await client.get(address)


def registered() -> Registered | None:
    given: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    if scenario == "auth/basic-cimd":
        return Registered(DESCRIBED)
    if "client_id" not in given:
        return None
    return Registered(given["client_id"], given.get("client_secret"), alone="client-credentials" in scenario)


def least(schema: Any) -> Any:
    """A small value that satisfies a schema, as far as these servers need one."""
    if "const" in schema or "default" in schema:
        return schema.get("const", schema.get("default"))
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind == "object":
        return {name: least(each) for name, each in schema.get("properties", {}).items()}
    return {"number": 1.5, "integer": 1, "boolean": True, "array": [], "null": None}.get(kind, "text")


async def agrees(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Somebody who says yes, and leaves every other field as it is."""
    return {
        name: True
        for name, field in schema["properties"].items()
        if field["type"] == "boolean" and "default" not in field
    }


def calls(offered: Offer) -> Iterator[tuple[Tool, Any]]:
    """Those that the scenario lays down, else one of each tool."""
    given = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}").get("toolCalls")
    tools = {tool.name: tool for tool in offered.tools}
    if given is not None:
        yield from ((tools[call["name"]], call["arguments"]) for call in given)
        return
    for tool in offered.tools:
        wanted = least(tool.schema or {})
        if tool.name == "json_schema_echo":
            wanted = {"schema": offered.tools[0].schema}
        yield tool, wanted


async def main(url: str) -> None:
    with TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            kept, given = Kept(Path(folder), url), registered()
            if given is not None and given.alone:
                auth = signed_in(url, kept, given)
            else:
                auth = await stack.enter_async_context(signing_in(url, kept, browser, given))
            offered = await stack.enter_async_context(connect(Address(url, auth=lambda: auth), SECONDS))
            for name, why in offered.refused.items():
                print("refused", name, why)
            PERSON.set(agrees)
            for tool, arguments in calls(offered):
                try:
                    print(tool.name, await tool.call(tool.arguments.model_validate(arguments)))
                except ToolError as error:
                    print(tool.name, "failed:", error)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
