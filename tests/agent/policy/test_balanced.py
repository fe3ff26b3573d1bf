"""Several servers of one model: prompts stay where they were read, nobody is overrun, a dead one is passed over."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import events
from agent.assemble import assemble, policy_of
from agent.policy.balanced import (
    BLOCK,
    PASSED_OVER,
    SHARE,
    SLACK,
    Backend,
    BalancedPolicy,
    Prefixes,
    blocks_of,
    preferred,
)
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.policy import PolicyError
from agent.policy.wire import EndpointBusy
from agent.records import Sample, SamplingParams
from agent.run import ask, stream
from agent.settings import Settings
from tests.agent.policy.servers import CompletionsServer, serve
from tests.agent.scripted import heard, how

IDS = st.lists(st.integers(0, 9), max_size=5 * BLOCK)


@given(IDS, IDS, IDS)
def test_what_two_prompts_share_is_known_block_by_block(shared: list[int], one: list[int], other: list[int]) -> None:
    first, second = blocks_of([*shared, *one]), blocks_of([*shared, *other])
    prefixes = Prefixes()
    prefixes.add(first)
    common = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    assert len(shared) // BLOCK <= prefixes.known(second) == common
    assert prefixes.known(first) == len(first)


@given(st.lists(IDS, min_size=1, max_size=20), st.integers(1, 8))
def test_no_more_is_kept_than_there_is_room_for_and_beginnings_longest(prompts: list[list[int]], most: int) -> None:
    prefixes = Prefixes(most)
    for prompt in prompts:
        prefixes.add(blocks_of(prompt))
    assert len(prefixes._read) <= most
    assert prefixes.known(blocks_of(prompts[-1])) == min(len(blocks_of(prompts[-1])), most)


def backend(under_way: int = 0, read: list[int] | None = None, failed_at: float = float("-inf")) -> Backend:
    found = Backend(SimpleNamespace(), under_way=under_way, failed_at=failed_at)  # type: ignore[arg-type]
    found.prefixes.add(blocks_of(read or []))
    return found


LOADS = st.lists(st.tuples(st.integers(0, 50), IDS, st.floats(0, 2 * PASSED_OVER)), min_size=1, max_size=6)


@given(LOADS, IDS)
def test_nobody_much_busier_than_the_least_busy_is_asked_and_none_that_just_failed(
    loads: list[tuple[int, list[int], float]], prompt: list[int]
) -> None:
    now = 100.0
    backends = [backend(load, read, now - ago) for load, read, ago in loads]
    chosen = backends[preferred(backends, blocks_of(prompt), now)]
    up = [each for each in backends if now - each.failed_at >= PASSED_OVER]
    if not up:
        assert chosen.failed_at == min(each.failed_at for each in backends)
        return
    assert chosen in up
    least = min(each.under_way for each in up)
    assert chosen.under_way <= max(least + SLACK, SHARE * least)
    known = [each.prefixes.known(blocks_of(prompt)) for each in up if each.under_way <= least + SLACK]
    assert chosen.prefixes.known(blocks_of(prompt)) >= max(known)


# --- real sockets -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def two(
    policy: EmbeddedPolicy, model_folder: Path
) -> AsyncIterator[tuple[list[CompletionsServer], list[str], AsyncExitStack]]:
    """Two servers, their addresses, and what ends the second."""
    servers = [CompletionsServer(policy, {"root": str(model_folder)}) for _ in range(2)]
    async with AsyncExitStack() as stack, AsyncExitStack() as second:
        urls = [await stack.enter_async_context(serve(servers[0].app()))]
        urls.append(await second.enter_async_context(serve(servers[1].app())))
        for server in servers:
            server.bodies.clear()
        yield servers, urls, second


def asked(server: CompletionsServer) -> list[dict[str, Any]]:
    """What was sampled there; a connection's probe asks for one token."""
    return [body for body in server.bodies if body["max_tokens"] > 1]


async def test_a_thread_stays_with_its_server_and_samples_at_once_are_spread(two: Any) -> None:
    servers, urls, _ = two
    policy = await policy_of(Settings(base_url=",".join(urls)))
    try:
        params = SamplingParams(max_tokens=4, seed=1)
        prompts = [[i] * 40 for i in range(10)]
        async with AsyncExitStack() as stack:
            for prompt in prompts:  # all under way at once
                pieces = await stack.enter_async_context(aclosing(policy.stream(prompt, params)))
                await anext(pieces)
        assert sorted(len(asked(server)) for server in servers) == [5, 5]
        homes = [{tuple(body["prompt"][:40]) for body in asked(server)} for server in servers]
        for prompt in prompts:
            await policy.sample([*prompt, *range(20)], params)
        again = [
            {tuple(body["prompt"][:40]) for body in asked(server) if len(body["prompt"]) > 40} for server in servers
        ]
        assert again == homes
    finally:
        await policy.close()


async def test_a_run_goes_on_when_one_of_its_servers_dies(two: Any, home: Path) -> None:
    servers, urls, second = two
    async with assemble(Settings(home=home, base_url=" , ".join(urls), encoder="none")) as agent:
        assert isinstance(agent.policy, BalancedPolicy)
        agent.policy._backends[0].under_way = 100  # the second is asked
        await ask(agent, "Why?", how(steps=1))
        assert [len(asked(server)) > 0 for server in servers] == [False, True]
        await second.aclose()
        told = await heard(stream(agent, "Why?", how(steps=1, seconds=60)))
        assert any(isinstance(event, events.Retrying) for event in told)
        assert len(asked(servers[0])) > 0
        assert isinstance(told[-1], events.Finished)
        assert told[-1].run.nodes[-1].sample.finish_reason in ("stop", "length")


async def test_servers_of_different_models_are_refused(policy: EmbeddedPolicy, model_folder: Path) -> None:
    first = CompletionsServer(policy, {"root": str(model_folder)}).app()
    other = CompletionsServer(policy, {"root": str(model_folder), "id": "another"}).app()
    async with serve(first) as one, serve(other) as two:
        with pytest.raises(PolicyError, match=r"one model alike; here are another.* and tiny"):
            await policy_of(Settings(base_url=f"{one},{two}"))


async def test_the_samples_are_those_of_a_server_alone(two: Any) -> None:
    _, urls, _ = two
    together, alone = await policy_of(Settings(base_url=" ".join(urls))), await policy_of(Settings(base_url=urls[0]))
    params = SamplingParams(max_tokens=8, seed=3)
    try:
        drawn: list[list[Sample]] = [await each.sample([1, 2, 3], params, 2) for each in (together, alone)]
        assert [s.token_ids for s in drawn[0]] == [s.token_ids for s in drawn[1]]
        assert together.version == alone.version
        assert together.at(alone.version).version == alone.version
    finally:
        await together.close()
        await alone.close()


async def test_one_that_failed_is_passed_over_for_a_while() -> None:
    failing = backend()
    with pytest.raises(EndpointBusy), failing.asked([], 1):
        raise EndpointBusy("Later.")
    now = time.monotonic()
    assert preferred([failing, backend(3)], [], now) == 1
    assert preferred([failing, backend(3)], [], now + PASSED_OVER + 1) == 0
