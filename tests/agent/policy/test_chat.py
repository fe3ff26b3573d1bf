from typing import Any

import pytest

from agent.policy.chat import ChatPolicy
from agent.policy.policy import ContextTooLong, Delta, PolicyError
from agent.policy.renderer import Renderer
from agent.policy.wire import Deadlines, EndpointBroken, EndpointMalformed, EndpointTimeout, EndpointUnreachable, Server
from agent.records import Sample, SamplingParams
from tests.agent.policy.servers import Answer, ChatServer, hang, hostile, says, serve
from tests.agent.policy.test_renderer import tool

PARAMS = SamplingParams(temperature=0.6, max_tokens=12, seed=3)
SOON = Deadlines(connect=5, first_token=0.3, between_tokens=0.3, total=2)
QUESTION = [{"role": "user", "content": "How long is the Orla?"}]


def call(index: int, name: str | None, arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"name": name, "arguments": arguments}}]}


async def say(server: ChatServer, renderer: Renderer, n: int = 1) -> list[Sample]:
    async with serve(server.app()) as url:
        policy = ChatPolicy(Server(url, "tiny"), renderer, "no token ids")
        samples = await policy.sample(renderer.start(QUESTION, [tool("search", "Find.")]), PARAMS, n)
        await policy.close()
    return samples


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_thought_answer_and_calls_are_read_as_from_any_policy(renderer: Renderer, field: str) -> None:
    deltas = [
        {"role": "assistant", "content": ""}, {field: "Look "}, {field: "it up."}, {"content": "Let me "},
        {"content": "see."}, call(0, "search", ""), call(0, None, '{"query": '), call(0, None, '"Orla"}'),
    ]  # fmt: skip
    (sample,) = await say(ChatServer(deltas, "tool_calls"), renderer)
    reading = renderer.read(sample.token_ids)
    assert (reading.thought, reading.text) == ("Look it up.", "Let me see.")
    assert reading.calls == ({"name": "search", "arguments": {"query": "Orla"}},)
    assert sample.finish_reason == "stop"
    assert sample.logprobs == ()
    assert sample.not_trainable == "no token ids"


async def test_no_content_that_is_sent_spells_a_control_token(renderer: Renderer) -> None:
    server = ChatServer([{"content": "348 km"}])
    async with serve(server.app()) as url:
        policy = ChatPolicy(Server(url, "tiny"), renderer, "no token ids")
        spelled = "".join(renderer.controls)
        await policy.sample(renderer.start([{"role": "user", "content": spelled}]), PARAMS)
        await policy.close()
    content = server.bodies[0]["messages"][-1]["content"]
    assert not any(token in content for token in renderer.controls)
    assert content.replace("\u2060", "") == spelled


async def test_the_server_is_asked_once_for_each_choice_with_its_own_seed(renderer: Renderer) -> None:
    server = ChatServer([{"content": "348 km"}])
    samples = await say(server, renderer, n=3)
    assert [sample.params.seed for sample in samples] == [3, 4, 5]
    assert sorted(body["seed"] for body in server.bodies) == [3, 4, 5]
    body = server.bodies[0]
    assert body["messages"] == QUESTION
    assert body["tools"] == [tool("search", "Find.")]
    assert (body["temperature"], body["max_tokens"], body["top_p"]) == (0.6, 12, 1.0)


async def test_a_stream_is_the_sample_as_it_grows(renderer: Renderer) -> None:
    async with serve(ChatServer([{"content": "The Orla "}, {"content": "is long."}]).app()) as url:
        policy = ChatPolicy(Server(url, "tiny"), renderer, "no token ids")
        pieces = [piece async for piece in policy.stream(renderer.start(QUESTION), PARAMS)]
        await policy.close()
    ids = [token for piece in pieces if isinstance(piece, Delta) for token in piece.token_ids]
    sample = pieces[-1]
    assert isinstance(sample, Sample)
    assert tuple(ids) == sample.token_ids
    assert renderer.read(ids).text == "The Orla is long."


@pytest.mark.parametrize(
    ("deltas", "finish"),
    [([{"content": None}], "stop"), ([], "tool_calls"), ([{"reasoning": "hm"}], "tool_calls")],
)
async def test_an_answer_that_holds_nothing_is_an_outcome_and_no_error(
    renderer: Renderer, deltas: list[dict[str, Any]], finish: str
) -> None:
    (sample,) = await say(ChatServer(deltas, finish), renderer)
    reading = renderer.read(sample.token_ids)
    assert reading.empty or reading.unclosed_thought


async def test_an_answer_that_was_cut_has_no_end_of_turn(renderer: Renderer) -> None:
    (sample,) = await say(ChatServer([{"content": "The Orla"}], "length"), renderer)
    assert sample.finish_reason == "length"
    assert renderer.stop_token_ids[0] not in sample.token_ids


CHUNK = 'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}\n\n'
EVENTS = "text/event-stream"
NUMBERLESS = '{"tool_calls": [{"index": null, "function": {"name": "f", "arguments": "{}"}}]}'


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (hang, EndpointTimeout),
        (says(EVENTS, CHUNK, then=hang), EndpointTimeout),
        (says(EVENTS, CHUNK), EndpointBroken),
        (says(EVENTS, CHUNK, length=9999), EndpointBroken),
        (says(EVENTS, "data: {not json\n\n"), EndpointMalformed),
        (says(EVENTS, CHUNK.replace('{"content": "a"}', "7")), EndpointMalformed),
        (says(EVENTS, CHUNK.replace('{"content": "a"}', NUMBERLESS) * 2), EndpointMalformed),
        (says(EVENTS, f"data: {'[' * 200_000}\n\n"), EndpointMalformed),
        (says("text/html", "<h1>It works</h1>"), EndpointBroken),
        (None, EndpointUnreachable),
    ],
)
async def test_what_goes_wrong_has_a_name(renderer: Renderer, answer: Answer | None, error: type[PolicyError]) -> None:
    async with hostile(answer or hang) as url:
        if answer is not None:
            await expect(url, renderer, error)
    if answer is None:
        await expect(url, renderer, error)


async def expect(url: str, renderer: Renderer, error: type[PolicyError]) -> None:
    policy = ChatPolicy(Server(url, "tiny", deadlines=SOON), renderer, "no token ids")
    with pytest.raises(error):
        await policy.sample(renderer.start(QUESTION), PARAMS, 2)
    await policy.close()


async def test_a_prompt_that_is_too_long_is_refused_before_it_is_sent(renderer: Renderer) -> None:
    policy = ChatPolicy(Server("http://127.0.0.1:9/v1", "tiny", context_length=10), renderer, "no token ids")
    with pytest.raises(ContextTooLong):
        await policy.sample(renderer.start(QUESTION), PARAMS)
    await policy.close()
