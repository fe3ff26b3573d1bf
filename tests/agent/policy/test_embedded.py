import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from agent.policy.batch import Batch
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.policy import ContextTooLong, Delta, Policy, PolicyError
from agent.records import Sample, SamplingParams

PARAMS = SamplingParams(max_tokens=20, seed=3)
LONG = replace(PARAMS, max_tokens=900)


def question(policy: Policy, text: str = "How long is the Orla?") -> list[int]:
    return policy.renderer.start([{"role": "user", "content": text}])


async def test_a_sample_says_what_it_is(policy: EmbeddedPolicy) -> None:
    prompt = question(policy)
    first, second = await policy.sample(prompt, PARAMS, 2)
    assert first.prompt_token_ids == tuple(prompt)
    assert first.policy == policy.version
    assert len(first.logprobs) == len(first.token_ids) <= 20
    assert 0 < first.first_token_seconds <= first.total_seconds
    assert (first.cached_prompt_tokens, second.cached_prompt_tokens) == (0, len(prompt))
    assert first.not_trainable is None
    (greedy,) = await policy.sample(prompt, replace(PARAMS, temperature=0))
    assert greedy.not_trainable is not None
    assert greedy.not_trainable.startswith("greedy: ")


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.7, "top_p": 0.9, "top_k": 50}])
async def test_a_sample_is_drawn_again_as_it_was(policy: EmbeddedPolicy, changes: dict[str, float]) -> None:
    (sample,) = await policy.sample(question(policy), replace(PARAMS, max_tokens=200, **changes))
    draws = await policy.draws(sample)
    assert [draw.token for draw in draws] == list(sample.token_ids)
    assert [draw.logprob for draw in draws] == pytest.approx(sample.logprobs, abs=1e-4)
    tampered = replace(sample, token_ids=(7, *sample.token_ids[1:]))
    assert [draw.token for draw in await policy.draws(tampered)][:1] == [sample.token_ids[0]]


async def test_closing_a_stream_takes_its_rows_out_and_leaves_the_others(policy: EmbeddedPolicy) -> None:
    other = asyncio.create_task(policy.sample(question(policy), replace(PARAMS, max_tokens=200)))
    async with aclosing(policy.stream(question(policy), LONG, 8)) as pieces:
        async for _ in pieces:
            break
    (sample,) = await other
    assert not any(call.unfinished for call in policy._calls)
    assert sample.token_ids == (await policy.sample(question(policy), replace(PARAMS, max_tokens=200)))[0].token_ids


async def test_cancelling_a_caller_ends_its_sampling(policy: EmbeddedPolicy) -> None:
    task = asyncio.create_task(policy.sample(question(policy), LONG, 4))
    await policy.sample(question(policy), PARAMS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await policy.sample(question(policy), PARAMS)
    assert not any(call.unfinished for call in policy._calls)


async def test_closing_the_policy_gives_who_waits_what_there_is(policy: EmbeddedPolicy) -> None:
    task = asyncio.create_task(policy.sample(question(policy), LONG, 2))
    pieces = policy.stream(question(policy), LONG)
    begun = await anext(pieces)
    assert isinstance(begun, Delta)
    await policy.close()
    rest = [piece async for piece in pieces]
    assert isinstance(rest[-1], Sample)
    assert rest[-1].finish_reason == "cancelled"
    assert rest[-1].token_ids[: len(begun.token_ids)] == begun.token_ids
    assert [sample.finish_reason for sample in await task] == ["cancelled"] * 2
    with pytest.raises(PolicyError, match="closed"):
        await policy.sample(question(policy), PARAMS)
    await policy.close()


async def test_a_failure_in_the_thread_reaches_every_caller_and_the_next_call_works(
    policy: EmbeddedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(batch: Batch) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(Batch, "step", failing)
        outcomes = await asyncio.gather(
            *(policy.sample(question(policy), PARAMS) for _ in range(3)), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [PolicyError] * 3
    assert "out of memory" in str(outcomes[0])
    assert len(await policy.sample(question(policy), PARAMS, 2)) == 2


async def test_a_prompt_that_leaves_no_room_is_refused_and_one_that_leaves_little_is_not(
    policy: EmbeddedPolicy,
) -> None:
    with pytest.raises(ContextTooLong, match="1024"):
        await policy.sample([5] * 1024, PARAMS)
    (sample,) = await policy.sample([5] * 1020, PARAMS)
    assert len(sample.token_ids) <= 4
    assert sample.finish_reason in ("length", "stop")


@pytest.mark.parametrize("prompt", [[], [-1], [100_000]])
async def test_ids_that_the_model_does_not_have_are_refused(policy: EmbeddedPolicy, prompt: list[int]) -> None:
    with pytest.raises(PolicyError):
        await policy.sample(prompt, PARAMS)
