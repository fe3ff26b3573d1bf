"""One Ponder looks things up in the documents of another over MCP, and cites them as its own."""

from collections.abc import Callable

import pytest

from agent.context import Agent
from agent.doors.mcp_server.forms import citations
from agent.mcp_tools import named
from agent.run import ask
from tests.agent.doors.rest.conftest import Opening
from tests.agent.scripted import call, how
from tools.mcp_client import connect, passages_in
from tools.mcp_connection import Address

MILL = b"# The mill\n\nThe mill of Varnholt is red."


async def test_what_another_ponder_found_is_cited(door: Opening, agent_saying: Callable[..., Agent]) -> None:
    opened = await door({})
    assert (await opened.http.post("/v1/documents", files={"file": ("mill.md", MILL)})).status_code == 201
    turns = {
        (0,): call("library_search_knowledge", query="Varnholt", k=1),
        (0, 0): call("library_search_knowledge", query="mill", k=1),
        (0, 0, 0): "The mill is red [2].\n\nAnswer: red",
    }
    async with connect(Address(f"{opened.url}/mcp"), 30, allowed=["search_knowledge"]) as offer:
        run = await ask(agent_saying(turns, *named("library", offer)), "Which colour has the mill?", how())
    first, second = run.nodes[0].tool_results[0], run.nodes[1].tool_results[0]
    assert (first.output or "").startswith("[1] The mill\n")
    assert (second.output or "").startswith("[2] The mill\n")
    assert [(each.number, each.source, "is red" in each.text) for each in citations(run)] == [
        (2, "library:mill.md", True)
    ]


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"passages": [{"text": "red"}]},
        {"passages": [{"text": "red", "source": "a", "start": 0, "end": 99, "score": 1.0, "title": ""}]},
        {"passages": [{"text": "red", "source": "a", "start": "0", "end": 3, "score": 1.0, "title": ""}]},
    ],
)
def test_what_has_another_form_is_no_passage(content: object) -> None:
    assert passages_in(content) == ()
