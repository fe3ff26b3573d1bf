import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from agent.policy.embedded import EmbeddedPolicy
from agent.policy.endpoint import RAW_LOGPROBS, Adapters, EndpointPolicy
from agent.policy.policy import ContextTooLong, Delta, PolicyError
from agent.policy.renderer import Renderer
from agent.policy.wire import (
    Deadlines,
    EndpointBroken,
    EndpointBusy,
    EndpointDenied,
    EndpointFailed,
    EndpointMalformed,
    EndpointRefused,
    EndpointStopped,
    EndpointTimeout,
    EndpointUnreachable,
    Server,
)
from agent.records import Sample, SamplingParams
from tests.agent.policy.servers import Answer, CompletionsServer, hang, hostile, says, serve

PARAMS = SamplingParams(max_tokens=12, seed=3)
SOON = Deadlines(connect=5, first_token=0.3, between_tokens=0.3, total=2)
PATIENT = Deadlines(connect=20, first_token=20, between_tokens=20, total=20)  # on a loaded machine too
PROMPT = [5, 6, 7]


@pytest.fixture
async def server(policy: EmbeddedPolicy) -> CompletionsServer:
    return CompletionsServer(policy)


@pytest.fixture
async def endpoint(server: CompletionsServer) -> AsyncIterator[EndpointPolicy]:
    async with serve(server.app()) as url:
        endpoint = EndpointPolicy(Server(url, "tiny", context_length=1024), server.policy.renderer, True)
        yield endpoint
        await endpoint.close()


def what(samples: list[Sample]) -> list[tuple[object, ...]]:
    return [(s.prompt_token_ids, s.token_ids, s.logprobs, s.finish_reason, s.params, s.not_trainable) for s in samples]


@pytest.mark.parametrize("params", [PARAMS, replace(PARAMS, temperature=0.7, top_p=0.9, top_k=20)])
async def test_samples_are_what_the_model_behind_the_server_drew(
    endpoint: EndpointPolicy, policy: EmbeddedPolicy, params: SamplingParams
) -> None:
    prompt = policy.renderer.start([{"role": "user", "content": "How long is the Orla?"}])
    assert what(await endpoint.sample(prompt, params, 3)) == what(await policy.sample(prompt, params, 3))


async def test_a_stream_is_the_sample_as_it_grows(endpoint: EndpointPolicy) -> None:
    grown: dict[int, list[tuple[int, float]]] = defaultdict(list)
    samples: list[Sample] = []
    async for piece in endpoint.stream(PROMPT, PARAMS, 3):
        if isinstance(piece, Delta):
            grown[piece.choice] += zip(piece.token_ids, piece.logprobs, strict=True)
        else:
            samples.append(piece)
    samples.sort(key=lambda sample: sample.params.seed)
    assert what(samples) == what(await endpoint.sample(PROMPT, PARAMS, 3))
    for choice, sample in enumerate(samples):
        assert grown[choice] == list(zip(sample.token_ids, sample.logprobs, strict=True))
        assert 0 < sample.first_token_seconds <= sample.total_seconds


async def test_every_parameter_that_changes_the_distribution_is_sent(
    endpoint: EndpointPolicy, server: CompletionsServer
) -> None:
    await endpoint.sample(PROMPT, replace(PARAMS, stop_token_ids=(9,)))
    (body,) = server.bodies
    off = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0}
    assert body | off == body
    assert body["stop_token_ids"] == sorted({9, *endpoint.renderer.stop_token_ids})


async def test_a_few_streams_come_token_by_token_and_more_of_them_by_eights(
    endpoint: EndpointPolicy, server: CompletionsServer
) -> None:
    async def drawn(seed: int) -> list[Sample]:
        stream = endpoint.stream(PROMPT, replace(PARAMS, seed=seed))
        return [piece async for piece in stream if isinstance(piece, Sample)]

    await asyncio.gather(*map(drawn, range(6)))
    assert sorted(body["stream_interval"] for body in server.bodies) == [1, 1, 1, 1, 8, 8]
    await drawn(6)
    assert server.bodies[-1]["stream_interval"] == 1


async def test_log_probabilities_from_before_the_temperature_are_not_trained_on(
    endpoint: EndpointPolicy, server: CompletionsServer
) -> None:
    raw = EndpointPolicy(endpoint._server, endpoint.renderer)
    reasons = [
        (await raw.sample(PROMPT, params))[0].not_trainable
        for params in (PARAMS, replace(PARAMS, temperature=0.7), replace(PARAMS, top_p=0.9), replace(PARAMS, top_k=5))
    ]
    assert reasons == [None, RAW_LOGPROBS, RAW_LOGPROBS, RAW_LOGPROBS]
    (greedy,) = await endpoint.sample(PROMPT, replace(PARAMS, temperature=0))
    assert greedy.not_trainable is not None
    assert greedy.not_trainable.startswith("greedy: ")
    await raw.close()


@pytest.mark.parametrize("streaming", [True, False])
async def test_samples_of_a_server_that_counts_other_tokens_than_it_gave_are_not_trained_on(
    endpoint: EndpointPolicy, server: CompletionsServer, streaming: bool
) -> None:
    async def drawn() -> list[Sample]:
        if not streaming:
            return await endpoint.sample(PROMPT, PARAMS, 2)
        return [piece async for piece in endpoint.stream(PROMPT, PARAMS, 2) if isinstance(piece, Sample)]

    counted = await drawn()
    assert [(sample.not_trainable, sample.cached_prompt_tokens) for sample in counted] == [(None, 7)] * 2
    server.miscounts = 1
    given = sum(len(sample.token_ids) for sample in counted)
    why = f"usage: the server counted {given + 1} tokens and gave {given}"
    assert [sample.not_trainable for sample in await drawn()] == [why] * 2


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("wrong", "reason", "logprobs"),
    [
        ({"finish_reason": "abort"}, "cancelled: the server ended the sample itself, by 'abort'", (-1.0, -2.0)),
        ({"finish_reason": "repetition"}, "error: the server ended the sample itself, by 'repetition'", (-1.0, -2.0)),
        ({"token_ids": [5, 3_000_000]}, "vocabulary: ", (-1.0, -2.0)),
        ({"logprobs": {"token_logprobs": [-1.0, 3.0]}}, "log-probabilities: ", ()),
        ({"logprobs": {"token_logprobs": [-1.0, float("nan")]}}, "log-probabilities: ", ()),
        ({"logprobs": {"token_logprobs": [-1.0, float("-inf")]}}, "log-probabilities: ", ()),
        ({"logprobs": {"token_logprobs": [-1.0, None]}}, "log-probabilities: ", ()),
        ({"logprobs": {"token_logprobs": [-1.0, "-2"]}}, "log-probabilities: ", ()),
        ({"logprobs": {"token_logprobs": [-1.0]}}, "log-probabilities: ", ()),
        ({"logprobs": None}, "log-probabilities: ", ()),
    ],
)
async def test_a_sample_of_which_something_is_wrong_keeps_its_tokens_and_is_not_trained_on(
    renderer: Renderer, wrong: dict[str, Any], reason: str, logprobs: tuple[float, ...], streaming: bool
) -> None:
    choice = {"index": 0, "token_ids": [5, 6], "logprobs": {"token_logprobs": [-1.0, -2.0]}, "finish_reason": "stop"}
    choice |= wrong
    usage = {"completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": "7"}}
    chunks = f"data: {json.dumps({'choices': [choice]})}\n\ndata: {json.dumps({'choices': [], 'usage': usage})}\n\n"
    whole = json.dumps({"choices": [choice], "usage": usage})
    async with hostile(says(EVENTS, chunks) if streaming else says(JSON, whole)) as url:
        endpoint = EndpointPolicy(Server(url, "tiny", deadlines=SOON), renderer, True)
        if streaming:
            *_, sample = [piece async for piece in endpoint.stream(PROMPT, PARAMS)]
        else:
            (sample,) = await endpoint.sample(PROMPT, PARAMS)
        await endpoint.close()
    assert isinstance(sample, Sample)
    assert (list(sample.token_ids), sample.logprobs) == (choice["token_ids"], logprobs)
    assert sample.not_trainable is not None
    assert sample.not_trainable.startswith(reason)
    assert sample.cached_prompt_tokens == 0


async def test_closing_a_stream_stops_the_sampling_behind_it(endpoint: EndpointPolicy, policy: EmbeddedPolicy) -> None:
    async with aclosing(endpoint.stream(PROMPT, replace(PARAMS, max_tokens=1000), 4)) as pieces:
        assert isinstance(await anext(pieces), Delta)
    for _ in range(200):
        await policy.sample(PROMPT, replace(PARAMS, max_tokens=2))
        if not any(call.unfinished for call in policy._calls):
            break
    else:
        pytest.fail("the server goes on sampling for nobody")


async def test_the_answer_is_cut_to_the_context_and_a_longer_prompt_is_refused(
    endpoint: EndpointPolicy, server: CompletionsServer
) -> None:
    await endpoint.sample([5] * 1020, PARAMS)
    assert server.bodies[-1]["max_tokens"] == 4
    with pytest.raises(ContextTooLong):
        await endpoint.sample([5] * 1024, PARAMS)
    unaware = EndpointPolicy(replace(endpoint._server, context_length=9999), endpoint.renderer)
    with pytest.raises(ContextTooLong):
        await unaware.sample([5] * 1024, PARAMS)
    await unaware.close()
    with pytest.raises(PolicyError):
        await endpoint.sample([], PARAMS)


async def test_a_server_without_ids_is_refused(endpoint: EndpointPolicy, server: CompletionsServer) -> None:
    server.with_ids = False
    with pytest.raises(EndpointMalformed, match="no token ids"):
        await endpoint.sample(PROMPT, PARAMS)


async def test_a_wrong_key_and_a_wrong_address_say_what_to_set(
    endpoint: EndpointPolicy, server: CompletionsServer
) -> None:
    server.api_key = "right"
    with pytest.raises(EndpointDenied, match="PONDER_API_KEY"):
        await endpoint.sample(PROMPT, PARAMS)
    elsewhere = EndpointPolicy(replace(endpoint._server, base_url=endpoint._server.base_url + "/no"), endpoint.renderer)
    with pytest.raises(EndpointRefused, match="PONDER_BASE_URL"):
        await elsewhere.sample(PROMPT, PARAMS)
    await elsewhere.close()


async def ask(url: str, renderer: Renderer, streaming: bool, deadlines: Deadlines = PATIENT) -> None:
    endpoint = EndpointPolicy(Server(url, "tiny", deadlines=deadlines), renderer)
    try:
        if streaming:
            async for _ in endpoint.stream(PROMPT, PARAMS, 2):
                pass
        else:
            await endpoint.sample(PROMPT, PARAMS, 2)
    finally:
        await endpoint.close()


@pytest.mark.parametrize("streaming", [True, False])
async def test_nobody_at_the_address(renderer: Renderer, streaming: bool) -> None:
    async with hostile(hang) as url:
        pass
    with pytest.raises(EndpointUnreachable, match="PONDER_BASE_URL"):
        await ask(url, renderer, streaming, SOON)


@pytest.mark.parametrize(("serving", "error"), [(True, EndpointUnreachable), (False, EndpointStopped)])
async def test_a_server_that_is_kept_up_no_more_is_not_waited_for(
    renderer: Renderer, serving: bool, error: type[PolicyError]
) -> None:
    async with hostile(hang) as url:
        pass
    endpoint = EndpointPolicy(Server(url, "tiny"), renderer, adapters=Adapters(serving=lambda: serving))
    with pytest.raises(error) as raised:
        await endpoint.sample(PROMPT, PARAMS)
    assert raised.value.passing == serving
    await endpoint.close()


PIECE = '{"index": 0, "text": "a", "token_ids": [5], "logprobs": {"token_logprobs": [-1.0]}, "finish_reason": null}'
CHUNK = f'data: {{"choices": [{PIECE}]}}\n\n'
JSON, EVENTS = "application/json", "text/event-stream"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (hang, EndpointTimeout),
        (says(EVENTS, CHUNK, then=hang), EndpointTimeout),
        (says(EVENTS, CHUNK), EndpointBroken),
        (says(EVENTS, CHUNK, length=9999), EndpointBroken),
        (says(EVENTS, "data: {not json\n\n"), EndpointMalformed),
        (says(EVENTS, 'data: {"error": {"message": "engine died"}}\n\n'), EndpointFailed),
        (says(EVENTS, CHUNK.replace('"index": 0', '"index": 7')), EndpointMalformed),
        (says(EVENTS, CHUNK.replace("null", '"stop"') * 2), EndpointMalformed),
        (says(EVENTS, CHUNK.replace('"index": 0', '"index": -1')), EndpointMalformed),
        (says(EVENTS, CHUNK.replace("[5]", "[5.9]")), EndpointMalformed),
        (says(EVENTS, CHUNK.replace("[5]", '["6"]')), EndpointMalformed),
        (says(EVENTS, CHUNK.replace("[5]", "[true]")), EndpointMalformed),
        (says(EVENTS, CHUNK.replace("[5]", "[-1]")), EndpointMalformed),
        (says(EVENTS, CHUNK.replace("[5]", f"[{10**20}]")), EndpointMalformed),
        (says(EVENTS, CHUNK * 13), EndpointMalformed),  # of the 12 tokens that were asked for
        (says(EVENTS, f"data: {'[' * 200_000}\n\n"), EndpointMalformed),
        (says(EVENTS, CHUNK.replace('"text"', '"prompt_token_ids": [1], "text"')), EndpointMalformed),
        (says("text/html", "<h1>It works</h1>"), EndpointBroken),
    ],
)
async def test_a_stream_that_goes_wrong_has_a_name_for_it(
    renderer: Renderer, answer: Answer, error: type[PolicyError]
) -> None:
    async with hostile(answer) as url:
        with pytest.raises(error):
            await ask(url, renderer, True, SOON if error is EndpointTimeout else PATIENT)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (hang, EndpointTimeout),
        (says(JSON, '{"choices": [', then=hang, length=9999), EndpointTimeout),
        (says(JSON, '{"choices": [', length=9999), EndpointBroken),
        (says(JSON, '{"choices": 7}'), EndpointMalformed),
        (says(JSON, '{"choices": []}'), EndpointBroken),
        (says(JSON, "[1"), EndpointMalformed),
        (says(JSON, "[" * 200_000), EndpointMalformed),
        (says(JSON, f'{{"choices": [{PIECE}]}}'), EndpointBroken),
        (says("text/html", "<h1>It works</h1>"), EndpointMalformed),
    ],
)
async def test_an_answer_that_goes_wrong_has_a_name_for_it(
    renderer: Renderer, answer: Answer, error: type[PolicyError]
) -> None:
    async with hostile(answer) as url:
        with pytest.raises(error):
            await ask(url, renderer, False, SOON if error is EndpointTimeout else PATIENT)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        ("429 Too Many Requests", EndpointBusy, "ask again later or with fewer runs at once"),
        ("503 Service Unavailable", EndpointBusy, "ask again later or with fewer runs at once"),
        ("500 Internal Server Error", EndpointFailed, "look at its log"),
        ("401 Unauthorized", EndpointDenied, "PONDER_API_KEY"),
        ("403 Forbidden", EndpointDenied, "PONDER_API_KEY"),
        ("404 Not Found", EndpointRefused, "PONDER_BASE_URL or PONDER_MODEL"),
        ("422 Unprocessable Entity", EndpointRefused, "look at its log"),
    ],
)
async def test_a_refusal_has_a_name_and_says_what_to_do(
    renderer: Renderer, status: str, error: type[PolicyError], sentence: str, streaming: bool
) -> None:
    async with hostile(says(JSON, '{"error": {"message": "no room"}}', status=status)) as url:
        with pytest.raises(error, match=sentence) as raised:
            await ask(url, renderer, streaming)
    assert raised.value.passing == (error in (EndpointBusy, EndpointFailed))


async def test_a_server_that_never_ends_is_left_after_the_last_deadline(renderer: Renderer) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(CHUNK.replace("[5]", "[]").replace("[-1.0]", "[]").encode())
            await writer.drain()
            await asyncio.sleep(0.05)

    async with hostile(says(EVENTS, "", then=drip)) as url:
        with pytest.raises(EndpointTimeout):
            await ask(url, renderer, True, SOON)
