"""The Responses API, asked by OpenAI's own client through a real socket."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, ConflictError, NotFoundError, UnprocessableEntityError
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from agent.doors.keys import Limits, create
from tests.agent.doors.rest.conftest import Open, Opening, until
from tests.agent.scripted import ROOT_SEED, Say, call, forever, model_of, spelled

SEED: dict[str, Any] = {"seed": ROOT_SEED}
ASKED: dict[str, Any] = {"model": "ponder-low", "input": "How many pens?", "extra_body": SEED}
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
ENDLESS = Say("more and more and more and more", after=9, wait=forever)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TWELVE = "<think>Seven and five.</think>There are 12.\n\nAnswer: 12"


def asked(**change: Any) -> dict[str, Any]:
    return ASKED | change


async def events_of(opened: Open, **more: Any) -> list[Any]:
    return [event async for event in await opened.openai.responses.create(**ASKED, **more, stream=True)]


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


async def test_an_answer_has_its_thought_as_an_item_and_stands_in_the_log(door: Opening) -> None:
    opened = await door({(0,): TWELVE})
    answer: Any = await opened.openai.responses.create(**ASKED)
    assert (answer.status, answer.output_text) == ("completed", "There are 12.\n\nAnswer: 12")
    assert kinds(answer) == ["reasoning", "message"]
    assert answer.output[0].content[0].text == "Seven and five."
    run = opened.agent.store.run(answer.ponder["run_id"])
    assert answer.id == f"resp_{run.run_id}"
    assert answer.usage.output_tokens == run.usage.sampled_tokens
    assert answer.usage.output_tokens_details.reasoning_tokens == run.usage.thought_tokens > 0


async def test_a_response_is_in_the_form_that_openai_writes_down(door: Opening) -> None:
    opened = await door({(0,): TWELVE})
    sent = {"model": "ponder", "input": "How many?", **SEED, "text": {"format": {"type": "text"}}, "tools": [WEATHER]}
    answer = await opened.http.post("/v1/responses", json=sent | {"metadata": {"shop": "pens"}, "instructions": "Hm."})
    Response.model_validate_json(answer.content, strict=False)
    told = answer.json()
    assert (told["metadata"], told["instructions"], told["tools"][0]["name"]) == ({"shop": "pens"}, "Hm.", "weather")


async def test_a_stream_builds_up_what_a_whole_response_has(door: Opening) -> None:
    opened = await door({(0,): "<think>I look.</think>Let me see." + call("calculator", expression="5 + 7"),
                         (0, 0): TWELVE})  # fmt: skip
    events = await events_of(opened)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:
        EVENT.validate_python(event.model_dump(by_alias=True))
    whole = events[-1].response
    assert events[-1].type == "response.completed"
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.item.model_dump() for event in done] == [item.model_dump() for item in whole.output]
    assert [event.output_index for event in done] == [0, 1, 2, 3]
    assert [item.phase for item in whole.output if item.type == "message"] == ["commentary", "final_answer"]
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(said) == "Let me see.There are 12.\n\nAnswer: 12" == whole.output_text
    assert len(said) > 4
    again: Any = await opened.openai.responses.create(**ASKED)
    assert [(item.type, item.content) for item in again.output] == [(i.type, i.content) for i in whole.output]


async def test_with_several_attempts_what_was_chosen_is_told_at_the_end(door: Opening) -> None:
    opened = await door({(0,): "<think>A guess.</think>Answer: 7"})
    events = await events_of(opened, reasoning={"effort": "high"})
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ["Answer: 75"]
    assert events[-1].response.ponder["attempts"] > 1


async def test_a_conversation_goes_on_by_the_id_of_the_response_before(door: Opening) -> None:
    opened = await door({})
    first = await opened.openai.responses.create(**ASKED, instructions="Be brief.")
    second = await opened.openai.responses.create(**asked(input="And ink?"), previous_response_id=first.id)
    third = await opened.openai.responses.create(
        **asked(input=[{"role": "user", "content": [{"type": "input_text", "text": "And paper?"}]}]),
        instructions="Be kind.",
        previous_response_id=second.id,
    )
    read = spelled(opened.agent, model_of(opened.agent).prompts[-1])
    assert [read.index(said) for said in ("Be kind.", "How many pens?", "Answer: 75", "And ink?", "And paper?")] == (
        sorted(read.index(said) for said in ("Be kind.", "How many pens?", "Answer: 75", "And ink?", "And paper?"))
    )
    assert "Be brief." not in read
    runs = [opened.agent.store.run(each.id.removeprefix("resp_")) for each in (first, second, third)]
    assert len({run.thread_id for run in runs}) == 1
    listed: Any = await opened.openai.responses.input_items.list(third.id, order="asc")
    assert [item.content[0].text for item in listed.data] == [
        "How many pens?", "Answer: 75", "And ink?", "Answer: 75", "And paper?",
    ]  # fmt: skip
    paged = [item.id async for item in opened.openai.responses.input_items.list(third.id, limit=2)]
    assert paged == [item.id for item in reversed(listed.data)]


async def test_a_conversation_goes_on_with_a_run_of_a_thread_too(door: Opening) -> None:
    opened = await door({})
    run = (await opened.http.post("/v1/runs", json={"question": "How many?", "effort": "low", "wait": 20})).json()
    await opened.openai.responses.create(**asked(input="Sure?"), previous_response_id=f"resp_{run['run_id']}")
    read = spelled(opened.agent, model_of(opened.agent).prompts[-1])
    assert read.index("How many?") < read.index("Answer: 75") < read.index("Sure?")


async def test_a_function_of_the_callers_is_called_by_the_caller(door: Opening) -> None:
    opened = await door({(0,): "<think>I look.</think>" + call("weather", city="Bern")})
    events = await events_of(opened, tools=[WEATHER])
    answer = events[-1].response
    assert kinds(answer) == ["reasoning", "function_call"]
    made = answer.output[-1]
    assert (made.name, json.loads(made.arguments)) == ("weather", {"city": "Bern"})
    [arguments] = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert (arguments.arguments, arguments.item_id) == (made.arguments, made.id)
    result = {"type": "function_call_output", "call_id": made.call_id, "output": "It rains."}
    for going_on in (
        {"input": [result], "previous_response_id": answer.id},
        {"input": [{"role": "user", "content": "How many pens?"}, *answer.output, result]},
    ):
        again: Any = await opened.openai.responses.create(
            **asked(**going_on, extra_body={"seed": ROOT_SEED + 1}), tools=[WEATHER]
        )
        assert again.output_text == "Answer: 75"
        read = spelled(opened.agent, model_of(opened.agent).prompts[-1])
        assert '{"name": "weather", "arguments": {"city": "Bern"}}' in read
        assert read.index("How many pens?") < read.index("It rains.")


async def test_an_answer_is_written_by_the_callers_schema(door: Opening) -> None:
    class Count(BaseModel):
        pens: int

    opened = await door({(0,): TWELVE, (0, 0): '{"pens": 12}'})
    answer: Any = await opened.openai.responses.parse(**ASKED, text_format=Count)
    assert answer.output_parsed == Count(pens=12)
    assert kinds(answer) == ["reasoning", "message"]


async def test_a_response_in_the_background_is_looked_at_again_and_followed(door: Opening) -> None:
    opened = await door({(0,): TWELVE})
    begun = await opened.openai.responses.create(**ASKED, background=True)
    assert begun.id.startswith("resp_")
    await until(lambda: opened.agent.store.runs()[0].status == "finished", 20)
    now = await opened.openai.responses.retrieve(begun.id)
    assert (now.status, now.output_text) == ("completed", "There are 12.\n\nAnswer: 12")
    told: list[Any] = [event async for event in await opened.openai.responses.retrieve(begun.id, stream=True)]
    assert told[-1].response.output_text == now.output_text
    after: list[Any] = [
        e async for e in await opened.openai.responses.retrieve(begun.id, stream=True, starting_after=5)
    ]
    assert [event.sequence_number for event in after] == [event.sequence_number for event in told[6:]]
    late: list[Any] = [
        e async for e in await opened.openai.responses.retrieve(begun.id, stream=True, starting_after=500)
    ]
    assert [event.type for event in late] == ["response.completed"]


async def test_a_stream_that_broke_goes_on_after_the_last_event_that_was_seen(door: Opening) -> None:
    opened = await door({(0,): ENDLESS})
    seen: list[Any] = []
    async with await opened.openai.responses.create(**ASKED, background=True, stream=True) as stream:
        async for event in stream:
            seen.append(event)
            if len(seen) == 5:
                break
    [run] = opened.agent.store.runs()
    assert opened.conductor.drives(run.run_id)
    response_id, last = seen[0].response.id, seen[-1].sequence_number
    async with await opened.openai.responses.retrieve(response_id, stream=True, starting_after=last) as stream:
        again: Any = await anext(aiter(stream))
        assert again.sequence_number == last + 1
    stopped = await opened.openai.responses.cancel(response_id)
    assert stopped.status == "cancelled"
    assert (await opened.openai.responses.cancel(response_id)).status == "cancelled"


async def test_a_client_that_goes_away_ends_its_response(door: Opening) -> None:
    opened = await door({(0,): ENDLESS})
    async with await opened.openai.responses.create(**ASKED, stream=True) as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
    waiting = asyncio.create_task(opened.openai.responses.create(**ASKED))
    await until(lambda: len(opened.agent.store.runs()) == 2, 20)
    waiting.cancel()
    await until(lambda: {run.status for run in opened.agent.store.runs()} == {"cancelled"}, 20)


async def test_another_request_may_cancel_a_response_that_somebody_waits_for(door: Opening) -> None:
    opened = await door({(0,): ENDLESS})
    events: list[Any] = []
    async for event in await opened.openai.responses.create(**ASKED, stream=True):
        events.append(event)
        if len(events) == 5:
            await opened.openai.responses.cancel(events[0].response.id)
    assert events[-1].response.status == "cancelled"


async def test_what_came_to_nothing_is_said_with_its_reason(door: Opening) -> None:
    opened = await door({(0,): "", (0, 0): ""})
    with pytest.raises(UnprocessableEntityError, match="No attempt came to an answer"):
        await opened.openai.responses.create(**ASKED)
    events = await events_of(opened)
    assert events[-1].type == "response.failed"
    assert "answer" in events[-1].response.error.message
    [run, _] = opened.agent.store.runs()
    assert (await opened.openai.responses.retrieve(f"resp_{run.run_id}")).status == "failed"


async def test_an_answer_that_its_budget_cut_is_incomplete(door: Opening) -> None:
    opened = await door({(0,): "more " * 40})
    answer = await opened.openai.responses.create(**ASKED, max_output_tokens=20)
    assert (answer.status, answer.incomplete_details and answer.incomplete_details.reason) == (
        "incomplete",
        "max_output_tokens",
    )
    assert answer.output_text.startswith("more more")


async def test_a_response_is_removed_with_its_run(door: Opening) -> None:
    opened = await door({})
    answer = await opened.openai.responses.create(**ASKED)
    await opened.openai.responses.delete(answer.id)
    assert opened.agent.store.runs() == []
    with pytest.raises(NotFoundError):
        await opened.openai.responses.retrieve(answer.id)
    with pytest.raises(NotFoundError):
        await opened.openai.responses.create(**ASKED, previous_response_id=answer.id)


async def test_a_response_goes_on_only_with_one_that_has_ended(door: Opening) -> None:
    opened = await door({(0,): ENDLESS})
    begun = await opened.openai.responses.create(**ASKED, background=True)
    with pytest.raises(ConflictError, match="not ended"):
        await opened.openai.responses.create(**ASKED, previous_response_id=begun.id)
    await opened.openai.responses.cancel(begun.id)


async def test_a_request_under_one_name_is_carried_out_once(door: Opening) -> None:
    opened = await door({})
    named: Any = {"extra_headers": {"Idempotency-Key": "once"}}
    first = await opened.openai.responses.create(**ASKED, **named)
    assert (await opened.openai.responses.create(**ASKED, **named)).id == first.id
    assert len(opened.agent.store.runs()) == 1


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"input": []}, "input"),
        ({"input": " "}, "messages"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0"),
        ({"input": [{"type": "message"}]}, "input.0"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input.0.content.0"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{"}]}, "input.0.arguments"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "[]"}]}, "input.0.arguments"),
        ({"input": [{"type": "function_call", "name": "no such name"}]}, "input"),
        ({"tools": [{"type": "web_search"}]}, "tools.0"),
        ({"tool_choice": {"type": "function", "name": "nobody"}}, "tool_choice"),
        ({"top_p": 0.5}, "top_p"),
        ({"truncation": "auto"}, "truncation"),
        ({"previous_response_id": "x"}, "previous_response_id"),
        ({"text": {"format": {"type": "json_schema"}}}, "response_format.json_schema.schema"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_its_name(door: Opening, sent: Any, param: str) -> None:
    opened = await door({})
    with pytest.raises(BadRequestError) as refused:
        await opened.openai.post("/responses", body={"model": "ponder", "input": "Why?"} | sent, cast_to=object)
    assert refused.value.param == param


async def test_a_response_of_another_key_is_not_there(door: Opening, home: Path) -> None:
    opened = await door({}, local=False)
    ours, theirs = (create(home, name, ["ask"], Limits()) for name in ("ours", "theirs"))
    answer = await opened.openai.with_options(api_key=ours).responses.create(**ASKED)
    for asked in (
        opened.openai.with_options(api_key=theirs).responses.retrieve(answer.id),
        opened.openai.with_options(api_key=theirs).responses.create(**ASKED, previous_response_id=answer.id),
    ):
        with pytest.raises(APIStatusError) as refused:
            await asked
        assert refused.value.status_code == 404
