"""Clients that others wrote, each in conversation with `ponder serve` and the shipped miniature: an answer that is
streamed, a call of the client's tool, an answer that has a form, and one that is broken off.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, pydantic_function_tool
from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput, RunContext, Tool, ToolDefinition
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.tui.commands import ROOT, serving

pytestmark = pytest.mark.timeout(400)
PRODUCT = "What is 37 * 43?"
RAIN = "How is the weather in Bern?"
SEED: Any = {"extra_body": {"seed": 7}}  # an agent's sampling is its own, unless somebody asks for a seed
LOW: Any = {"model": "ponder-low", **SEED}
LONG: Any = {"model": "ponder-max", **SEED}
NODE = ROOT / ".venv" / "clients"  # where the Makefile puts the JavaScript client, if there is a node
SCRIPT = Path(__file__).with_name("client.mjs")


class Weather(BaseModel):
    """A form that the miniature cannot fill for ever."""

    sky: Literal["rain", "sun"]
    degrees: Annotated[int, Field(ge=0, le=40)]


class Forecast(BaseModel):
    """What a function is called with."""

    city: Literal["Bern", "Rome"]


@dataclass(frozen=True)
class Place:
    """A server, and what its log says."""

    url: str

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"

    def last(self) -> dict[str, Any]:
        return httpx.get(f"{self.v1}/runs", params={"limit": 1}, timeout=60).json()["data"][0]

    async def breaks_off(self, call: Coroutine[Any, Any, object]) -> None:
        """The call, until its run is under way."""
        before, calling = self.last()["run_id"], asyncio.create_task(call)
        async with asyncio.timeout(60):
            while (await asyncio.to_thread(self.last))["run_id"] == before:
                pass
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await self.broken_off()

    async def broken_off(self) -> None:
        run = self.last()["run_id"]
        await asyncio.to_thread(httpx.get, f"{self.v1}/runs/{run}", params={"wait": 60}, timeout=90)
        assert self.last()["status"] == "cancelled"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("clients")
    with serving(folder, PONDER_HOME=str(folder / "home")) as url:
        yield Place(url)


def said(place: Place, pieces: Sequence[str]) -> None:
    """That the pieces of a stream are the answer in the log."""
    assert len(pieces) > 1
    assert "".join(pieces) == place.last()["answer"]


# --- OpenAI's, in Python ----------------------------------------------------------------------------------------------


async def openai_chat(place: Place) -> None:
    client = AsyncOpenAI(base_url=place.v1, api_key="none").chat.completions
    chunks = await client.create(**LOW, messages=[{"role": "user", "content": PRODUCT}], stream=True)
    said(place, [piece async for chunk in chunks if (piece := chunk.choices[0].delta.content)])

    talk: Any = [{"role": "user", "content": RAIN}]
    tools: Any = [pydantic_function_tool(Forecast, name="forecast")]
    answer = await client.parse(**LOW, messages=talk, tools=tools, tool_choice="required")
    [made] = answer.choices[0].message.tool_calls or []
    assert isinstance(made.function.parsed_arguments, Forecast)
    talk += [answer.choices[0].message, {"role": "tool", "tool_call_id": made.id, "content": "It rains."}]
    assert (await client.create(**LOW, messages=talk, tools=tools)).choices[0].message.content

    answer = await client.parse(**LOW, messages=[{"role": "user", "content": RAIN}], response_format=Weather)
    assert isinstance(answer.choices[0].message.parsed, Weather)

    async with await client.create(**LONG, messages=[{"role": "user", "content": PRODUCT}], stream=True) as chunks:
        await anext(aiter(chunks))
    await place.broken_off()


async def openai_responses(place: Place) -> None:
    client = AsyncOpenAI(base_url=place.v1, api_key="none").responses
    events = await client.create(**LOW, input=PRODUCT, stream=True)
    said(place, [event.delta async for event in events if event.type == "response.output_text.delta"])

    function: Any = {"type": "function", "name": "forecast", "parameters": Forecast.model_json_schema(), "strict": True}
    answer = await client.create(**LOW, input=RAIN, tools=[function], tool_choice="required")
    made: Any = answer.output[-1]
    assert Forecast.model_validate_json(made.arguments)
    result: Any = [{"type": "function_call_output", "call_id": made.call_id, "output": "It rains."}]
    assert (await client.create(**LOW, input=result, previous_response_id=answer.id, tools=[function])).output_text

    assert isinstance((await client.parse(**LOW, input=RAIN, text_format=Weather)).output_parsed, Weather)

    async with await client.create(**LONG, input=PRODUCT, stream=True) as events:
        await anext(aiter(events))
    await place.broken_off()


# --- LangChain's ------------------------------------------------------------------------------------------------------


@tool
def forecast(city: Literal["Bern", "Rome"]) -> str:
    """The weather of tomorrow."""
    return f"It rains in {city}."


async def langchain(place: Place, responses: bool) -> None:
    def model(name: str = "ponder-low") -> ChatOpenAI:
        settings: Any = {"base_url": place.v1, "api_key": "none", "use_responses_api": responses}
        return ChatOpenAI(model=name, **settings, **SEED)

    said(place, [piece async for chunk in model().astream(PRODUCT) if (piece := chunk.text)])

    answer = await model().bind_tools([forecast], tool_choice="any").ainvoke(RAIN)
    [made] = answer.tool_calls
    result = ToolMessage(await forecast.ainvoke(made["args"]), tool_call_id=made["id"])
    assert (await model().bind_tools([forecast]).ainvoke([HumanMessage(RAIN), answer, result])).text

    for method in ("json_schema", "function_calling"):
        shaped = model().with_structured_output(Weather, method=method)
        assert isinstance(await shaped.ainvoke(RAIN), Weather)

    await place.breaks_off(model("ponder-max").ainvoke(PRODUCT))


async def langchain_chat(place: Place) -> None:
    await langchain(place, responses=False)


async def langchain_responses(place: Place) -> None:
    await langchain(place, responses=True)


# --- Pydantic's -------------------------------------------------------------------------------------------------------


async def pydantic_ai(place: Place, kind: Callable[..., Any]) -> None:
    def model(name: str = "ponder-low") -> Any:
        return kind(name, provider=OpenAIProvider(base_url=place.v1, api_key="none"), settings=SEED)

    async with Agent(model()).run_stream(PRODUCT) as stream:
        said(place, [piece async for piece in stream.stream_text(delta=True, debounce_by=None)])

    asked = []

    def look(city: Literal["Bern", "Rome"]) -> str:
        asked.append(city)
        return f"It rains in {city}."

    async def once(context: RunContext[object], definition: ToolDefinition) -> ToolDefinition | None:
        return None if asked else definition

    caller = Agent(model(), tools=[Tool(look, name="forecast", prepare=once)], output_type=Weather)
    assert isinstance((await caller.run(RAIN)).output, Weather)
    assert isinstance((await Agent(model(), output_type=NativeOutput(Weather)).run(RAIN)).output, Weather)

    await place.breaks_off(Agent(model("ponder-max")).run(PRODUCT))


async def pydantic_ai_chat(place: Place) -> None:
    await pydantic_ai(place, OpenAIChatModel)


async def pydantic_ai_responses(place: Place) -> None:
    await pydantic_ai(place, OpenAIResponsesModel)


# --- OpenAI's, in JavaScript ------------------------------------------------------------------------------------------


async def javascript(place: Place, api: str) -> None:
    if not (NODE / "node_modules" / "openai").is_dir():
        pytest.skip("there is no node here, or its registry did not answer when `make test` asked it")
    lines = [json.loads(line) async for line in told_by("node", str(SCRIPT), api, place.v1)]
    told: dict[str, Any] = {key: value for line in lines for key, value in line.items()}
    assert "".join(told["streamed"]) == told["logged"]
    assert len(told["streamed"]) > 1
    assert Forecast.model_validate(told["called"])
    assert told["answered"]
    assert Weather.model_validate(told["shaped"])
    await place.broken_off()


async def told_by(*command: str) -> AsyncIterator[str]:
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=NODE, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        yield line


async def javascript_chat(place: Place) -> None:
    await javascript(place, "chat")


async def javascript_responses(place: Place) -> None:
    await javascript(place, "responses")


CONVERSATIONS = (
    openai_chat, openai_responses, langchain_chat, langchain_responses, pydantic_ai_chat, pydantic_ai_responses,
    javascript_chat, javascript_responses,
)  # fmt: skip


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda each: each.__name__)
async def test_a_client_streams_calls_its_tool_gets_its_form_and_breaks_off(
    place: Place, conversation: Callable[[Place], Any]
) -> None:
    await conversation(place)
