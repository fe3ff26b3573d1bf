"""``ask`` over MCP: its answer and what stands behind it, its steps, its end when nobody waits, a person's word."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ElicitRequestFormParams, ElicitResult, InputRequiredResult

from agent.doors.keys import Limits, create
from retrieval.passage import Passage
from tests.agent.doors.rest.conftest import Open, Opening, until
from tests.agent.scripted import ROOT_SEED, Say, call, forever, model_of
from tests.agent.test_approval import FORM, greet, letterbox
from tools.person import PERSON
from tools.tool import ToolOutput, tool

ASKED = {"question": "How many pens?", "effort": "low", "seed": ROOT_SEED}
Era = Literal["auto", "legacy"]
ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])


def client(opened: Open, era: Era = "auto", key: str | None = None, **more: Any) -> AbstractAsyncContextManager[Client]:
    headers = {"Authorization": f"Bearer {key}"} if key else None
    transport = streamable_http_client(f"{opened.url}/mcp", http_client=httpx2.AsyncClient(headers=headers, timeout=30))
    return Client(transport, mode=era, read_timeout_seconds=30, **more)


def found(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def sentence(result: CallToolResult) -> str:
    """What the calling model reads of a failure."""
    assert result.is_error
    return str(getattr(result.content[0], "text", ""))


@ERAS
async def test_an_answer_comes_with_what_stands_behind_it(door: Opening, era: Era) -> None:
    opened = await door({(0,): "Answer: 12", (1,): "Answer: 13", (2,): "Answer: 12", (3,): "Answer: 12"})
    async with client(opened, era) as asking:
        said = found(await asking.call_tool("ask", ASKED | {"effort": "medium"}))
    assert (said["answer"], said["status"], said["confidence"]) == ("Answer: 12", "finished", 0.75)
    assert [(each["path"], each["answer"], each["chosen"]) for each in said["candidates"]] == [
        ([0], "Answer: 12", True), ([1], "Answer: 13", False), ([2], "Answer: 12", False), ([3], "Answer: 12", False)
    ]  # fmt: skip
    assert said["candidates"][0]["score"] > said["candidates"][1]["score"]
    logged = opened.agent.store.run(said["run_id"])
    assert (logged.answer, logged.thread_id, str(logged.policy)) == ("Answer: 12", said["thread_id"], said["version"])
    assert said["usage"]["sampled_tokens"] == logged.usage.sampled_tokens > 0


async def test_the_passages_that_an_answer_cites_come_with_it(door: Opening) -> None:
    @tool
    async def look(query: str) -> ToolOutput:
        """Look it up."""
        texts = ("The mill is red.", "The bridge is blue.")
        return ToolOutput(
            "[1] ... [2] ...", tuple(Passage(text, "town.md", 0, len(text), 0.0, "Town") for text in texts)
        )

    opened = await door({(0,): call("look", query="bridge"), (0, 0): "The bridge is blue [2].\n\nAnswer: blue"}, look)
    async with client(opened) as asking:
        result = await asking.call_tool("ask", ASKED)
    assert found(result)["citations"] == [
        {"number": 2, "source": "town.md", "title": "Town", "text": "The bridge is blue."}
    ]
    assert "[2] Town (town.md)" in str(result.content)


@ERAS
async def test_its_steps_are_told_while_it_goes_on(door: Opening, era: Era) -> None:
    opened = await door({(0,): call("calculator", expression="12 * 7 - 9"), (0, 0): "Answer: 75"})
    told: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with client(opened, era) as asking:
        found(await asking.call_tool("ask", ASKED, progress_callback=hear))
        await until(lambda: len(told) >= 2, 5)
    assert [count for count, _ in told] == list(range(1, len(told) + 1))
    assert "attempt 1: answer" in str(told)


@ERAS
async def test_a_call_that_is_given_up_stops_the_model(door: Opening, era: Era) -> None:
    opened = await door({(0,): Say("Hm.", wait=forever)})
    async with client(opened, era) as asking:
        waiting = asyncio.create_task(asking.call_tool("ask", ASKED))
        await until(lambda: model_of(opened.agent).prompts, 10)
        waiting.cancel()
        await until(lambda: opened.agent.store.runs()[0].status == "cancelled", 5)
    assert model_of(opened.agent).broken_off == 1


async def test_a_conversation_goes_on_by_its_thread(door: Opening) -> None:
    opened = await door({})
    async with client(opened) as asking:
        first = found(await asking.call_tool("ask", ASKED))
        again = await asking.call_tool("ask", ASKED | {"question": "And blue ones?", "thread_id": first["thread_id"]})
        nowhere = await asking.call_tool("ask", ASKED | {"thread_id": "nowhere"})
    [earlier] = opened.agent.store.before(opened.agent.store.run(found(again)["run_id"]))
    assert earlier.run_id == first["run_id"]
    assert "There is no thread nowhere" in sentence(nowhere)


async def test_what_is_wrong_is_said_so_that_a_model_can_act_on_it(door: Opening) -> None:
    opened = await door({(0,): Say(fails="The model is not there.")})
    async with client(opened) as asking:
        assert "The question is empty" in sentence(await asking.call_tool("ask", {"question": " "}))
        assert "effort" in sentence(await asking.call_tool("ask", ASKED | {"effort": "huge"}))
        failed = found(await asking.call_tool("ask", ASKED))
    assert (failed["status"], failed["answer"]) == ("failed", None)
    assert "The model is not there." in failed["error"]


async def test_over_http_a_key_decides_whose_runs_are_seen(door: Opening, home: Path) -> None:
    ours, theirs = (create(home, name, ["ask"], Limits()) for name in ("ours", "theirs"))
    opened = await door({})
    async with client(opened, key=ours) as asking:
        run = found(await asking.call_tool("ask", ASKED))["run_id"]
        found(await asking.call_tool("get_run", {"run_id": run}))
    async with client(opened, key=theirs) as asking:
        assert f"There is no run {run}" in sentence(await asking.call_tool("get_run", {"run_id": run}))
    assert opened.agent.store.run(run).metadata["key"] == "ours"
    assert (await opened.http.post("/mcp", json={})).status_code == 401


async def test_a_key_that_has_used_what_it_may_is_told_when_to_come_again(door: Opening, home: Path) -> None:
    secret = create(home, "ours", ["ask"], Limits(requests=1))
    async with client(await door({}), key=secret) as asking:
        found(await asking.call_tool("ask", ASKED))
        assert "ask again in" in sentence(await asking.call_tool("ask", ASKED))


# --- a person's word --------------------------------------------------------------------------------------------------


@ERAS
@pytest.mark.parametrize(
    ("word", "made"),
    [
        (ElicitResult(action="accept", content={"approve": True}), True),
        (ElicitResult(action="accept", content={"approve": False, "comment": "not today"}), False),
        (ElicitResult(action="decline"), False),
        (ElicitResult(action="cancel"), False),
    ],
)
async def test_the_person_at_the_client_is_asked_before_a_call(
    door: Opening, era: Era, word: ElicitResult, made: bool
) -> None:
    post, posted = letterbox()
    opened = await door({(0,): call("post", letter="Dear Ann")}, post)
    shown = []

    async def asked(_: object, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        shown.append(params.message)
        return word

    async with client(opened, era, elicitation_callback=asked) as asking:
        said = found(await asking.call_tool("ask", ASKED))
    assert said["status"] == "finished"
    assert posted == (["Dear Ann"] if made else [])
    assert len(shown) == 1
    assert 'post {"letter": "Dear Ann"}' in shown[0]
    [result] = opened.agent.store.run(said["run_id"]).nodes[0].tool_results
    assert (result.output == "posted") is made


@ERAS
async def test_where_the_client_has_nobody_to_ask_the_call_is_not_made(door: Opening, era: Era) -> None:
    post, posted = letterbox()
    opened = await door({(0,): call("post", letter="Dear Ann")}, post)
    async with client(opened, era) as asking:
        said = found(await asking.call_tool("ask", ASKED))
    assert (said["status"], posted) == ("finished", [])


@ERAS
async def test_what_a_server_further_on_wants_to_know_is_asked_at_the_client(door: Opening, era: Era) -> None:
    opened = await door({(0,): call("greet")}, greet)
    shown = []

    async def asked(_: object, params: Any) -> ElicitResult:
        shown.append((params.message, params.requested_schema))
        return ElicitResult(action="accept", content={"name": "Ann"})

    async with client(opened, era, elicitation_callback=asked) as asking:
        said = found(await asking.call_tool("ask", ASKED))
    assert shown == [("The server of greet asks: Who are\ufffd you?", FORM)]
    [result] = opened.agent.store.run(said["run_id"]).nodes[0].tool_results
    assert result.output == "Hello, Ann."


async def test_who_comes_back_without_a_word_is_asked_again(door: Opening) -> None:
    post, posted = letterbox()
    opened = await door({(0,): call("post", letter="Dear Ann")}, post)
    async with client(opened, "auto", elicitation_callback=never) as asking:
        session = asking.session
        first = await session.call_tool("ask", ASKED, allow_input_required=True)
        assert isinstance(first, InputRequiredResult)
        again = await session.call_tool("ask", ASKED, request_state=first.request_state, allow_input_required=True)
        assert isinstance(again, InputRequiredResult)
        assert again.input_requests == first.input_requests
        word: Any = {"approval": ElicitResult(action="accept", content={"approve": True})}
        said = await session.call_tool("ask", ASKED, input_responses=word, request_state=again.request_state)
    assert (found(said)["status"], posted) == ("finished", ["Dear Ann"])


async def never(_: object, __: Any) -> ElicitResult:
    await asyncio.sleep(60)
    return ElicitResult(action="cancel")


async def test_a_question_that_was_taken_back_is_waited_for_no_more(door: Opening) -> None:
    """A tool asks, and goes on without the answer; the client's person of the older handshake still has the form."""

    @tool
    async def impatient() -> str:
        """Ask, and do not wait."""
        person = PERSON.get()
        assert person is not None
        asked.append(asyncio.ensure_future(person("Who are you?", FORM)))
        await asyncio.sleep(0.5)
        return "done"

    asked: list[asyncio.Future[Any]] = []
    opened = await door({(0,): call("impatient")}, impatient)
    async with client(opened, "legacy", elicitation_callback=never) as asking:
        said = found(await asyncio.wait_for(asking.call_tool("ask", ASKED), 20))
    assert said["status"] == "finished"
    assert asked[0].done()
