"""``ponder mcp`` as a client starts it: the protocol on standard output, and nothing else."""

import asyncio
import json
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.tools.guarded_server import Owner, guarded
from tests.tui.commands import COMMAND, ROOT, begun, environment, ponder, read_until

ASKED = "Tom has 12 boxes with 7 pens in each and gives away 9 pens. How many pens does Tom have now?"


def program(*arguments: str) -> StdioServerParameters:
    command, *rest = map(str, [*COMMAND, "mcp", *arguments])
    return StdioServerParameters(command=command, args=rest, env=environment())


async def test_another_agent_asks_ponder_and_checks_what_it_says() -> None:
    async with Client(stdio_client(program()), read_timeout_seconds=100) as asking:
        said = (await asking.call_tool("ask", {"question": ASKED, "effort": "medium", "seed": 1})).structured_content
        assert said is not None
        assert (said["status"], said["confidence"]) == ("finished", 1.0)
        assert "75" in said["answer"]
        given = {"question": "Which colour?", "answer": "The bridge is blue [1].\n\nAnswer: blue"}
        for passage, least, most in (("The bridge is blue.", 0.9, 1.0), ("The mill is red.", 0.0, 0.5)):
            result = await asking.call_tool("verify_answer", given | {"passages": [passage]})
            assert result.structured_content is not None
            scores = {each["verifier"]: each["score"] for each in result.structured_content["verdicts"]}
            assert least <= scores["grounding"] <= most


def test_standard_output_carries_the_protocol_alone() -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    sent = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    with subprocess.Popen(
        [*COMMAND, "mcp"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    ) as server:  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("".join(json.dumps(message) + "\n" for message in sent))
        server.stdin.write("no JSON at all\n")
        server.stdin.flush()
        answers = [json.loads(server.stdout.readline()) for _ in range(2)]
        rest, said = server.communicate(timeout=60)
    assert [answer["id"] for answer in answers] == [1, 2]
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines())
    assert server.returncode == 0, said
    assert "Traceback" not in said


def test_settings_that_cannot_be_used_are_a_sentence_on_standard_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "mcp", "--model", str(tmp_path / "nowhere")],
        capture_output=True, text=True, timeout=100, env=environment(), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ponder: ")


# --- servers whose tools Ponder uses ----------------------------------------------------------------------------------


def test_a_server_is_added_tried_taken_in_again_and_removed(tmp_path: Path, home: Path) -> None:
    program = ["--", sys.executable, str(ROOT / "tests" / "tools" / "server_of_tests.py"), "--double"]
    assert "are used from now on" in ponder("mcp", "add", "town", "--allow", "add*", *program, folder=tmp_path).stdout
    assert "town" in ponder("mcp", "list", folder=tmp_path).stdout
    tried = ponder("mcp", "test", "town", folder=tmp_path)
    assert "town_add_up  Add two numbers." in tried.stdout, tried.stderr
    assert "add/up  NOT USED: Another tool" in tried.stdout
    seen = json.loads((home / "mcp_seen.json").read_text())
    before = {name: text.replace("Add two numbers.", "Send all files.") for name, text in seen["town"].items()}
    (home / "mcp_seen.json").write_text(json.dumps({"town": before}))
    changed = ponder("mcp", "test", "town", folder=tmp_path).stdout
    assert "CHANGED" in changed
    assert '- "description": "Send all files.' in changed
    assert '+ "description": "Add two numbers.' in changed
    assert "CHANGED" not in ponder("mcp", "test", "town", "--accept", folder=tmp_path).stdout
    assert json.loads((home / "mcp_seen.json").read_text()) == seen
    assert "not used any more" in ponder("mcp", "remove", "town", folder=tmp_path).stdout
    assert ponder("mcp", "list", folder=tmp_path).stdout == ""


BROWSER = "import sys, httpx; httpx.get(sys.argv[1], follow_redirects=True, timeout=60).raise_for_status()"


async def test_a_person_signs_in_once_and_out_again(tmp_path: Path, home: Path) -> None:
    """With a browser of theirs, as the system names it."""
    browser = shlex.join([sys.executable, "-c", BROWSER, "%s"])

    async def said(*arguments: str) -> str:
        done = await asyncio.to_thread(partial(ponder, "mcp", *arguments, folder=tmp_path, BROWSER=browser))
        return done.stdout + done.stderr

    owner = Owner()
    async with guarded(owner) as url:
        await said("add", "town", "--url", url)
        assert "wants you to sign in: `ponder mcp login`" in await said("test", "town")
        assert "Signed in" in await said("login", "town")
        assert "town_look" in await said("test", "town")
        assert (owner.asked, len(owner.clients)) == (1, 1)
        await said("logout", "town")
        assert "wants you to sign in" in await said("test", "town")
        await said("login", "town")
        await said("remove", "town")
    assert not list((home / "mcp_signed_in").glob("*.json"))


async def test_a_browser_on_another_machine_ends_where_its_address_can_be_pasted(tmp_path: Path) -> None:
    async with guarded(Owner()) as url:
        await asyncio.to_thread(partial(ponder, "mcp", "add", "town", "--url", url, folder=tmp_path))
        with begun("mcp", "login", "town", "--paste", folder=tmp_path) as signing:
            printed = await asyncio.to_thread(read_until, signing, "Paste that address")
            [address] = re.findall(r"http\S+authorize\S+", printed)
            async with httpx.AsyncClient(timeout=60) as client:
                ended = (await client.get(address)).headers["location"]
            said, _ = await asyncio.to_thread(signing.communicate, f"{ended}\n", 60)
    assert (signing.returncode, said.partition(";")[0]) == (0, "Signed in")


@pytest.mark.parametrize("pasted", ["", "\n", "http://[\n", "http://127.0.0.1:1/?code=mine&state=guessed\n"])
async def test_what_is_pasted_and_is_no_such_address_is_a_sentence(tmp_path: Path, pasted: str) -> None:
    async with guarded(Owner()) as url:
        await asyncio.to_thread(partial(ponder, "mcp", "add", "town", "--url", url, folder=tmp_path))
        with begun("mcp", "login", "town", "--paste", folder=tmp_path) as signing:
            await asyncio.to_thread(read_until, signing, "Paste that address")
            _, said = await asyncio.to_thread(signing.communicate, pasted, 60)
    assert (signing.returncode, said.count("\n")) == (1, 1)
    assert "not the address where the browser ended" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["login", "town"], "no MCP server 'town'"),
        (["logout", "town"], "no MCP server 'town'"),
        (["add", "town"], "Say where it is"),
        (["add", "a town", "--url", "http://x"], "cannot be called 'a town'"),
        (["add", "town", "--url", "http://x", "--header", "Authorization"], "Write NAME=VALUE"),
        (["test", "town"], "no MCP server 'town'"),
        (["remove", "town"], "no MCP server 'town'"),
    ],
)
def test_what_cannot_be_added_or_found_says_so(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    wrong = ponder("mcp", *arguments, folder=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert sentence in wrong.stderr
