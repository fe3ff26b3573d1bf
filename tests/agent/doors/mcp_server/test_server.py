"""The MCP door's other tools, resources and prompts."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from agent.doors.keys import Limits, create
from retrieval.indexing import index
from tests.agent.doors.mcp_server.test_asking import ASKED, client, found, sentence
from tests.agent.doors.rest.conftest import Open, Opening
from tools.mcp_client import connect
from tools.mcp_connection import Address, MCPServerError
from tools.toolbox import Toolbox

TOOLS = ["ask", "get_run", "cancel_run", "rate", "verify_answer", "score_steps", "search_knowledge"]


async def asked(opened: Open) -> str:
    async with client(opened) as asking:
        return found(await asking.call_tool("ask", ASKED))["run_id"]


async def test_every_tool_says_what_it_takes_gives_and_does(door: Opening) -> None:
    async with client(await door({})) as asking:
        tools = {tool.name: tool for tool in (await asking.list_tools()).tools}
    assert list(tools) == TOOLS
    for tool in tools.values():
        assert tool.title
        assert tool.description
        assert tool.annotations is not None
        assert tool.output_schema is not None
        assert tool.input_schema["type"] == "object"
        assert "context" not in tool.input_schema["properties"]
    reading = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
    assert reading == {"get_run", "verify_answer", "score_steps", "search_knowledge"}


async def test_a_run_can_be_looked_at_rated_and_not_stopped_twice(door: Opening) -> None:
    opened = await door({})
    run = await asked(opened)
    async with client(opened) as asking:
        shown = found(await asking.call_tool("get_run", {"run_id": run}))
        assert (shown["status"], shown["candidates"][0]["path"]) == ("finished", [0])
        assert found(await asking.call_tool("rate", {"run_id": run, "value": -1, "preferred": [0]}))["count"] == 1
        assert "no candidate at [9]" in sentence(await asking.call_tool("rate", {"run_id": run, "preferred": [9]}))
        assert "Say something" in sentence(await asking.call_tool("rate", {"run_id": run}))
        assert found(await asking.call_tool("cancel_run", {"run_id": run}))["status"] == "finished"
    [feedback] = opened.agent.store.feedback(run)
    assert (feedback.value, feedback.preferred) == (-1, (0,))


@pytest.mark.parametrize(
    ("given", "score", "verifier"),
    [
        ({"answer": "Answer: 4", "gold": "4"}, 1.0, "math"),
        ({"answer": "Answer: 5", "gold": "4"}, 0.0, "math"),
    ],
)
async def test_an_answer_is_verified_against_the_right_one(
    door: Opening, given: dict[str, Any], score: float, verifier: str
) -> None:
    async with client(await door({})) as asking:
        said = found(await asking.call_tool("verify_answer", {"question": "2 + 2?"} | given))
    assert (said["score"], said["verdicts"][0]["verifier"], said["verdicts"][0]["score"]) == (score, verifier, score)


async def test_an_answer_is_verified_by_what_others_say(door: Opening) -> None:
    given = {"question": "Which colour?", "answer": "Answer: blue", "others": ["Answer: blue", "Answer: red"]}
    async with client(await door({})) as asking:
        verdicts = found(await asking.call_tool("verify_answer", given))["verdicts"]
    assert {each["verifier"]: each["score"] for each in verdicts}["consensus"] == pytest.approx(2 / 3)


async def test_steps_need_a_process_reward_model(door: Opening) -> None:
    async with client(await door({})) as asking:
        said = sentence(await asking.call_tool("score_steps", {"question": "2 + 2?", "steps": ["2 + 2 = 4"]}))
    assert "There is no process reward model" in said
    assert "process_reward" in said


async def test_what_was_uploaded_is_found_and_read_by_its_name(door: Opening) -> None:
    opened = await door({})
    text = b"# The mill\n\nThe mill of Varnholt is red."
    assert (await opened.http.post("/v1/documents", files={"file": ("mill.md", text)})).status_code == 201
    async with client(opened) as asking:
        [passage] = found(await asking.call_tool("search_knowledge", {"query": "mill", "k": 1}))["passages"]
        assert (passage["source"], "red" in passage["text"]) == ("mill.md", True)
        assert "is red" in await read(asking, "doc://mill.md")
        with pytest.raises(MCPError, match=r"no document 'nothing\.md'"):
            await asking.read_resource("doc://nothing.md")


async def test_a_document_is_read_by_the_source_that_a_search_names(door: Opening, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "the mill.md"
    file.write_text("The mill of Varnholt is red.")
    opened = await door({})
    index([file], home / "index", None)
    async with client(opened) as asking:
        [passage] = found(await asking.call_tool("search_knowledge", {"query": "mill", "k": 1}))["passages"]
        assert passage["source"] == str(file)
        assert "is red" in await read(asking, f"doc://{quote(passage['source'])}")


async def test_what_only_forms_judge_is_judged_by_nobody(door: Opening) -> None:
    opened = await door({})
    async with client(opened) as asking:
        said = found(await asking.call_tool("verify_answer", {"question": "2 + 2?", "answer": "5"}))
    assert (said["score"], said["judged_by"]) == (None, ["format"])


async def read(asking: Client, uri: str) -> str:
    [content] = (await asking.read_resource(uri)).contents
    return str(getattr(content, "text", ""))


async def test_the_model_and_runs_are_resources(door: Opening) -> None:
    opened = await door({})
    run = await asked(opened)
    async with client(opened) as asking:
        assert [str(each.uri) for each in (await asking.list_resources()).resources] == ["model://current"]
        templates = [each.uri_template for each in (await asking.list_resource_templates()).resource_templates]
        assert templates == ["run://{run_id}", "doc://{+source}"]
        model = json.loads(await read(asking, "model://current"))
        assert model["version"] == "scripted@1"
        assert json.loads(await read(asking, f"run://{run}"))["run_id"] == run
        with pytest.raises(MCPError, match="no run nobody"):
            await asking.read_resource("run://nobody")


async def test_prompts_say_how_to_ask_and_how_to_check(door: Opening) -> None:
    async with client(await door({})) as asking:
        names = [prompt.name for prompt in (await asking.list_prompts()).prompts]
        assert names == ["with_sources", "second_opinion"]
        said = await asking.get_prompt("second_opinion", {"question": "2 + 2?", "answer": "5"})
        for name, given in (("nothing", {}), ("second_opinion", {"question": "2 + 2?"})):
            with pytest.raises(MCPError) as refused:
                await asking.get_prompt(name, given)
            assert refused.value.code == INVALID_PARAMS
    assert "2 + 2?" in str(said.messages[0].content)


async def test_it_promises_no_news_that_it_never_sends(door: Opening) -> None:
    async with client(await door({})) as asking:
        capabilities = asking.server_capabilities
    assert not any(
        part.list_changed for part in (capabilities.tools, capabilities.prompts, capabilities.resources) if part
    )


async def test_another_ponder_has_its_tools_by_address_and_key(door: Opening, home: Path) -> None:
    secret = create(home, "other", ["ask"], Limits())
    opened = await door({(0,): "Answer: 12"})
    address = Address(f"{opened.url}/mcp", {"Authorization": f"Bearer {secret}"})
    async with connect(address, 30, allowed=("ask", "search_*")) as offer:
        assert ([tool.name for tool in offer.tools], offer.refused) == (["ask", "search_knowledge"], {})
        box = Toolbox(offer.tools)
        assert "Answer: 12" in ((await box.call("ask", ASKED, 30)).output or "")
        assert "no thread nowhere" in ((await box.call("ask", ASKED | {"thread_id": "nowhere"}, 30)).error or "")
    with pytest.raises(MCPServerError, match="could not be used"):
        async with connect(Address(f"{opened.url}/mcp"), 30):
            pass
