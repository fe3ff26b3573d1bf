"""What every policy with token ids keeps to: the embedded model and a real vLLM with the same weights."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import aclosing
from dataclasses import replace

import httpx
import pytest

from agent.assemble import MINI
from agent.policy.constraint import CONSTRAINED
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.endpoint import EndpointPolicy
from agent.policy.note import Note
from agent.policy.policy import GREEDY, ContextTooLong, Delta, Policy, PolicyError
from agent.records import Sample, SamplingParams
from agent.search.bridges import unthinking
from rl.tasks.suite import mixture
from tests.agent.policy.real import embedded, real, served, waits_for_vllm

__all__ = ["embedded", "real", "served"]
pytestmark = waits_for_vllm
PARAMS = SamplingParams(max_tokens=24, seed=3)
LONG = replace(PARAMS, max_tokens=900, stop_token_ids=())
SAME = 5e-5  # of log-probabilities in float32, in another order of summation


def question(policy: Policy, text: str = "Tom has 12 pens and buys 7 more. How many pens?") -> list[int]:
    return policy.renderer.start([{"role": "user", "content": text}])


async def test_sample_i_is_drawn_with_seed_plus_i_whatever_n_is(real: Policy) -> None:
    eight = await real.sample(question(real), PARAMS, 8)
    assert [sample.params.seed for sample in eight] == list(range(3, 11))
    for i, sample in enumerate(eight):
        (alone,) = await real.sample(question(real), replace(PARAMS, seed=3 + i))
        assert alone.token_ids == sample.token_ids
        assert alone.logprobs == pytest.approx(sample.logprobs, abs=SAME)
    assert len({sample.token_ids for sample in eight}) > 1


async def test_what_is_kept_within_a_schema_is_json_of_it(real: Policy) -> None:
    schema = {
        "type": "object",
        "properties": {"sky": {"enum": ["rain", "sun"]}, "degrees": {"type": "integer", "minimum": 0, "maximum": 40}},
        "required": ["sky", "degrees"],
        "additionalProperties": False,
    }
    prompt = [*question(real, "How is the weather?"), *unthinking(real.renderer)]
    params = replace(PARAMS, json_schema=json.dumps(schema), max_tokens=60)
    for sample in await real.sample(prompt, params, 4):
        said = json.loads(real.renderer.decode(sample.token_ids[:-1]))
        assert said["sky"] in ("rain", "sun")
        assert 0 <= said["degrees"] <= 40
        assert sample.not_trainable == CONSTRAINED


async def test_questions_asked_together_get_the_answers_they_get_alone(real: Policy) -> None:
    prompts = [question(real, f"What is {i} times 7?") for i in range(12)]
    together = await asyncio.gather(*(real.sample(prompt, PARAMS, 2) for prompt in prompts))
    for prompt, samples in zip(prompts, together, strict=True):
        assert [s.token_ids for s in samples] == [s.token_ids for s in await real.sample(prompt, PARAMS, 2)]


async def test_a_stream_is_the_sample_as_it_grows(real: Policy) -> None:
    grown: dict[int, list[tuple[int, float]]] = defaultdict(list)
    samples: dict[int, Sample] = {}
    async for piece in real.stream(question(real), PARAMS, 3):
        if isinstance(piece, Delta):
            grown[piece.choice] += zip(piece.token_ids, piece.logprobs, strict=True)
        else:
            samples[piece.params.seed - PARAMS.seed] = piece
    at_once = await real.sample(question(real), PARAMS, 3)
    for choice, sample in enumerate(at_once):
        assert [token for token, _ in grown[choice]] == list(sample.token_ids) == list(samples[choice].token_ids)
        assert tuple(logprob for _, logprob in grown[choice]) == samples[choice].logprobs


async def test_a_sample_says_what_it_is(real: Policy) -> None:
    prompt = question(real)
    (first,) = await real.sample(prompt, PARAMS)
    assert (first.prompt_token_ids, first.policy) == (tuple(prompt), real.version)
    assert len(first.logprobs) == len(first.token_ids) <= 24
    assert 0 < first.first_token_seconds <= first.total_seconds
    assert first.not_trainable is None
    (greedy,) = await real.sample(prompt, replace(PARAMS, temperature=0))
    assert greedy.not_trainable == GREEDY


async def test_the_turns_of_a_trajectory_are_a_chain_of_prefixes(real: Policy) -> None:
    prompt = question(real)
    for turn in range(3):
        (sample,) = await real.sample(prompt, replace(PARAMS, seed=turn))
        appended = real.renderer.tool_results([f"result {turn}"], after=sample.token_ids)
        following = [*prompt, *sample.token_ids, *appended]
        assert following[: len(prompt)] == list(sample.prompt_token_ids)
        prompt = following
    assert (await real.sample(prompt, PARAMS))[0].prompt_token_ids == tuple(prompt)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
async def test_log_probabilities_are_those_of_a_plain_forward_pass(real: Policy, temperature: float) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(MINI, dtype=torch.float32)
    for i in range(8):
        prompt = question(real, mixture(9, i, "held_out").question)
        (sample,) = await real.sample(prompt, SamplingParams(temperature, max_tokens=40, seed=i))
        ids = torch.tensor([[*prompt, *sample.token_ids]])
        with torch.inference_mode():
            logits_T_V = model(ids).logits[0, len(prompt) - 1 : -1].double()
        logprobs_T_V = torch.log_softmax(logits_T_V / temperature, dim=-1)
        plain = logprobs_T_V.gather(1, torch.tensor(sample.token_ids)[:, None])[:, 0]
        assert sample.logprobs == pytest.approx(plain.tolist(), abs=SAME)


async def test_an_answer_that_is_cut_says_so(real: Policy) -> None:
    (cut,) = await real.sample(question(real), replace(PARAMS, max_tokens=2))
    assert (cut.finish_reason, len(cut.token_ids)) == ("length", 2)
    (whole,) = await real.sample(question(real), replace(PARAMS, temperature=0, max_tokens=400))
    assert whole.finish_reason == "stop"
    assert whole.token_ids[-1] in real.renderer.stop_token_ids


async def test_a_prompt_that_leaves_no_room_is_refused_and_one_that_leaves_little_is_not(real: Policy) -> None:
    assert real.context_length == 4096
    with pytest.raises(ContextTooLong, match="4096"):
        await real.sample([50] * 4096, PARAMS)
    (sample,) = await real.sample([50] * 4092, PARAMS)
    assert len(sample.token_ids) <= 4
    assert sample.finish_reason in ("length", "stop")


@pytest.mark.parametrize("prompt", [[], [100_000]])
async def test_ids_that_the_model_does_not_have_are_refused(real: Policy, prompt: list[int]) -> None:
    with pytest.raises(PolicyError):
        await real.sample(prompt, PARAMS)


@pytest.mark.parametrize(
    ("params", "n"), [(PARAMS, 0), (replace(PARAMS, max_tokens=0), 1), (replace(PARAMS, temperature=-1), 1)]
)
async def test_asking_for_nothing_is_refused(real: Policy, params: SamplingParams, n: int) -> None:
    with pytest.raises(PolicyError):
        await real.sample(question(real), params, n)


async def test_greedy_tokens_of_the_embedded_model_and_of_vllm_are_the_same(
    embedded: EmbeddedPolicy, served: EndpointPolicy
) -> None:
    greedy = SamplingParams(0.0, max_tokens=60)
    prompts = [question(embedded, mixture(8, i, "held_out").question) for i in range(16)]
    for prompt in prompts:
        assert (await embedded.sample(prompt, greedy))[0].token_ids == (await served.sample(prompt, greedy))[
            0
        ].token_ids


async def test_closing_a_stream_stops_the_sampling_in_vllm(served: EndpointPolicy, vllm: Note) -> None:
    async with aclosing(served.stream(question(served), replace(LONG, temperature=2.0), 8)) as pieces:
        async for _ in pieces:
            break
    assert await settles(vllm, "vllm:num_requests_running", 0)


async def settles(vllm: Note, metric: str, value: float, seconds: float = 20) -> bool:
    """Whether one of the server's metrics comes to a value; other tests may be asking it too."""
    key = {"Authorization": f"Bearer {vllm.api_key}"}
    async with httpx.AsyncClient(headers=key) as client, asyncio.timeout(seconds):
        while True:
            lines = (await client.get(vllm.base_url.removesuffix("/v1") + "/metrics")).text.splitlines()
            if any(line.startswith(metric) and float(line.split()[-1]) == value for line in lines):
                return True
            await asyncio.sleep(0.1)
