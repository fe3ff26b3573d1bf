"""What a server that means harm comes to: bounded, named, and the next call is answered."""

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp.server.mcpserver import MCPServer

from agent.doors.keys import Keys
from tests.agent.doors.mcp_server.fixture import create_app
from tests.agent.doors.rest.conftest import serving
from tools.mcp_client import Offer, connect
from tools.mcp_connection import Address, MCPServerError, Program
from tools.person import Form
from tools.tool import tool
from tools.toolbox import Toolbox

FILE = str(Path(__file__).with_name("hostile_server.py"))
MEGABYTE = 2**20


def hostile(how: str) -> Program:
    return Program(sys.executable, (FILE, how))


@pytest.mark.parametrize(
    ("how", "seconds", "said"),
    [
        ("endless line", 60, "ended during the call"),
        ("endless notifications", 60, "ended during the call"),
        ("hang", 1, "longer than 1"),
    ],
)
async def test_a_server_that_floods_or_hangs_is_an_error_within_its_time(how: str, seconds: float, said: str) -> None:
    before = psutil.Process().memory_info().rss
    began = time.monotonic()
    async with connect(hostile(how), 60) as offer:
        result = await Toolbox(offer.tools).call("look", {}, seconds)
        assert said in (result.error or ""), result
    assert time.monotonic() - began < 100
    assert psutil.Process().memory_info().rss - before < 300 * MEGABYTE


@pytest.mark.parametrize(
    ("how", "output"),
    [("binary", "[image not shown]\na picture"), ("no message", "system"), ("another's answer", "system")],
)
async def test_what_is_no_answer_is_passed_over(how: str, output: str) -> None:
    async with connect(hostile(how), 20) as offer:
        result = await Toolbox(offer.tools).call("look", {}, 20)
    assert output in (result.output or "")
    assert "stolen" not in (result.output or "")


async def test_an_answer_of_another_form_is_an_error() -> None:
    async with connect(hostile("no content"), 20) as offer:
        assert (await Toolbox(offer.tools).call("look", {}, 20)).error


async def test_a_pattern_that_takes_for_ever_is_not_tried() -> None:
    async with connect(hostile("endless pattern"), 20) as offer:
        result = await asyncio.wait_for(Toolbox(offer.tools).call("look", {}, 5), 10)
    assert "system" in (result.output or "")


async def test_a_large_answer_is_cut_and_says_so() -> None:
    async with connect(hostile("large"), 20) as offer:
        result = await Toolbox(offer.tools).call("look", {}, 20)
    assert result.truncated
    assert len(result.output or "") < 20_000


async def test_what_it_says_of_itself_moves_no_cursor_and_a_lie_about_a_schema_is_refused() -> None:
    async with connect(hostile("nothing"), 20) as offer:
        [tool] = offer.tools
        assert "\x1b" not in tool.description
        assert list(offer.refused) == ["lie"]


@pytest.mark.parametrize(
    ("how", "said"),
    [("endless pages", "more than 100 pages"), ("wrong listing", "says of its tools what no server may")],
)
async def test_a_listing_that_cannot_be_is_no_offer(how: str, said: str) -> None:
    with pytest.raises(MCPServerError, match=said):
        async with connect(hostile(how), 20):
            pass


async def test_nothing_of_it_is_left_running() -> None:
    async with connect(hostile("endless notifications"), 20) as offer:
        await Toolbox(offer.tools).call("look", {}, 0.5)
    await asyncio.sleep(0)
    assert [each for each in psutil.Process().children(recursive=True) if FILE in each.cmdline()] == []


# --- a server that wants to know something ----------------------------------------------------------------------------


async def test_nobody_is_asked_where_two_calls_could_be_meant() -> None:
    """A server of the older handshake does not say which: one has a person, the other nobody."""

    async def person(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"name": "Ann"}

    async with connect(hostile("asks"), 20) as offer:
        box = Toolbox(offer.tools)
        first = asyncio.create_task(box.call("look", {}, 20, person))
        await asyncio.sleep(0.5)
        second = await box.call("look", {}, 20)
    assert [(await first).output, second.output] == ['{"action": "cancel"}'] * 2


async def test_who_is_there_for_a_call_that_starts_a_server_is_not_there_for_others() -> None:
    async def person(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"name": "Ann"}

    @tool
    async def starts() -> str:
        """Start it, while somebody is there."""
        async with connect(hostile("asks"), 20) as offer:
            first = asyncio.create_task(called_alone(offer))
            await asyncio.sleep(0.5)
            return f"{await called_alone(offer)} {await first}"

    async def called_alone(offer: Offer) -> str | None:
        return (await Toolbox(offer.tools).call("look", {}, 20)).output

    result = await Toolbox([starts]).call("starts", {}, 20, person)
    assert result.output == '{"action": "cancel"} {"action": "cancel"}'


async def test_what_a_server_wants_to_know_is_asked_of_who_is_there(home: Path) -> None:
    """Called twice at once, by two people: each is asked about their own call."""

    def named(name: str) -> Form:
        async def person(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
            await asyncio.sleep(0.2)
            return {"name": name}

        return person

    async with serving(create_app(Keys(home))) as url, connect(Address(f"{url}/mcp"), 30) as offer:
        box = Toolbox(offer.tools)
        asking = "test_input_required_result_elicitation"
        results = await asyncio.gather(*(box.call(asking, {}, 30, named(name)) for name in ("Ann", "Bo")))
        nobody = await box.call(asking, {}, 30)
    assert [result.output for result in results] == ["Hello, Ann!", "Hello, Bo!"]
    assert "went on asking" in (nobody.error or "")


# --- over HTTP --------------------------------------------------------------------------------------------------------


async def test_a_call_that_is_given_up_takes_no_other_with_it_and_leaves_nothing_open() -> None:
    """Its connection ends when the others that it has have ended."""
    server = MCPServer("town", log_level="CRITICAL")

    @server.tool()
    async def wait(seconds: float) -> str:
        """Wait."""
        await asyncio.sleep(seconds)
        return f"{seconds}"

    async with serving(server.streamable_http_app()) as url, connect(Address(f"{url}/mcp"), 20) as offer:
        box = Toolbox(offer.tools)
        slow = asyncio.create_task(box.call("wait", {"seconds": 2}, 20))
        await asyncio.sleep(0.2)
        for _ in range(5):  # more often than a server may end by itself
            given_up = await box.call("wait", {"seconds": 30}, 0.2)
            assert "longer than 0.2" in (given_up.error or "")
        assert (await box.call("wait", {"seconds": 0}, 20)).output == "0.0"
        assert (await slow).output == "2.0"
        await asyncio.sleep(0.5)
        connections = [
            each for each in psutil.Process().net_connections() if each.raddr and each.status == "ESTABLISHED"
        ]
        assert len(connections) < 8  # both ends of what is in use
