"""The inspector of MCP's authors, on its command line: it lists and calls every tool, over both transports."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agent.doors.rest.conftest import Opening
from tests.mcp_suite import PACKAGES, node
from tests.tui.commands import environment

INSPECTOR = PACKAGES / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
pytestmark = [
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not INSPECTOR.exists(), reason="no inspector: make .venv/installed-clients"),
]
TOOLS = {"ask", "get_run", "cancel_run", "rate", "verify_answer", "score_steps", "search_knowledge"}
SLOW = 300_000  # milliseconds
QUESTION = "What is 12 * 7?"


async def inspected(*arguments: str, status: int = 0) -> dict[str, Any]:
    """What the inspector prints; 5 is its exit status where a tool says that something is wrong."""
    process = await asyncio.create_subprocess_exec(
        node(), str(INSPECTOR), "--cli", *arguments,
        env=environment(PATH=f"{Path(node()).parent}:{os.environ['PATH']}"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, wrong = await asyncio.wait_for(process.communicate(), SLOW / 1000)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == status, wrong.decode()
    return json.loads(said)


async def calls_every_tool(target: list[str]) -> None:
    """Each of them answers, or says what there is not in a sentence."""
    listed = await inspected(*target, "--method", "tools/list", "--strict")
    assert {tool["name"] for tool in listed["tools"]} == TOOLS

    async def called(name: str, status: int = 0, **given: str) -> dict[str, Any]:
        arguments = [part for key, value in given.items() for part in ("--tool-arg", f"{key}={value}")]
        return await inspected(*target, "--method", "tools/call", "--tool-name", name, *arguments, status=status)

    asked = (await called("ask", question=QUESTION, effort="low"))["structuredContent"]
    quoted = json.dumps(asked["run_id"])  # to the inspector an id of digits is a number
    assert asked["status"] == "finished"
    assert (await called("get_run", run_id=quoted))["structuredContent"]["answer"] == asked["answer"]
    assert (await called("cancel_run", run_id=quoted))["structuredContent"]["status"] == "finished"
    assert not (await called("rate", run_id=quoted, value="1"))["isError"]
    verified = await called("verify_answer", question=QUESTION, answer="Answer: 84", gold='"84"')
    assert verified["structuredContent"]["verdicts"][0]["score"] == 1.0
    assert (await called("search_knowledge", query="mill"))["structuredContent"] == {"passages": []}
    refused = await called("score_steps", 5, question=QUESTION, steps='["12 * 7 = 84"]')
    assert "no process reward model" in refused["content"][0]["text"]


async def test_over_standard_input_and_output(tmp_path: Path) -> None:
    """Each call starts Ponder, which may take more than the inspector's minute on a busy machine; and the inspector
    passes on few variables.
    """
    told = environment()
    variables = {name: told[name] for name in ("PONDER_HOME", "PYTHONPATH", "PONDER_ENCODER")}
    ponder = str(Path(sys.executable).with_name("ponder"))
    entry = {"command": ponder, "args": ["mcp"], "env": variables, "requestTimeout": SLOW, "connectionTimeout": SLOW}
    config = tmp_path / "servers.json"
    config.write_text(json.dumps({"mcpServers": {"ponder": entry}}))
    await calls_every_tool(["--config", str(config), "--server", "ponder", "--protocol-era", "legacy"])


async def test_over_http(door: Opening) -> None:
    opened = await door({})
    await calls_every_tool([f"{opened.url}/mcp", "--transport", "http"])
