"""Who may ask now: limits of a key, places of the server, and turns in the order of asking."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from agent.doors.admission import Admission
from agent.doors.errors import ApiError
from agent.doors.keys import Key, Limits
from agent.store import Store

FREE = Key("app", "")


Admitting = Callable[..., Admission]


@pytest.fixture
def admission(log: Store) -> Admitting:
    def make(concurrent: int = 9, waiting: int = 9, spent: int = 0) -> Admission:
        return Admission(concurrent, waiting, log, lambda _: spent)

    return make


def limited(**limits: int) -> Key:
    return Key("app", "", limits=Limits(**limits))


async def enter(admitted: Admission, key: Key, stack: AsyncExitStack, times: int = 1) -> None:
    for _ in range(times):
        await stack.enter_async_context(admitted.turn(key))


async def refusal(admitted: Admission, key: Key) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await enter(admitted, key, AsyncExitStack())
    return refused.value


async def test_who_comes_when_all_places_are_taken_waits_and_the_next_one_is_sent_away(admission: Admitting) -> None:
    admitted = admission(concurrent=2, waiting=1)
    async with AsyncExitStack() as inside:
        await enter(admitted, FREE, inside, 2)
        third = AsyncExitStack()
        waiting = asyncio.create_task(enter(admitted, FREE, third))
        await asyncio.sleep(0)
        assert (admitted.under_way, admitted.queued) == (2, 1)
        refused = await refusal(admitted, FREE)
        assert (refused.status, refused.code) == (503, "overloaded")
        assert refused.headers is not None
        assert int(refused.headers["Retry-After"]) > 0
    await waiting
    assert (admitted.under_way, admitted.queued) == (1, 0)
    await third.aclose()
    assert admitted.under_way == 0


async def test_who_stops_waiting_leaves_no_trace(admission: Admitting) -> None:
    admitted = admission(concurrent=1, waiting=5)
    async with AsyncExitStack() as inside:
        await enter(admitted, FREE, inside)
        waiting = asyncio.create_task(enter(admitted, FREE, AsyncExitStack()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert (admitted.under_way, admitted.queued) == (1, 0)
    async with admitted.turn(FREE):
        assert admitted.under_way == 1


async def test_a_key_has_so_many_questions_at_once(admission: Admitting) -> None:
    admitted, key = admission(concurrent=9), limited(concurrent=2)
    async with AsyncExitStack() as inside:
        await enter(admitted, key, inside, 2)
        refused = await refusal(admitted, key)
        assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
    async with admitted.turn(key):
        pass


async def test_a_key_has_so_many_questions_a_minute(admission: Admitting) -> None:
    admitted, key = admission(), limited(requests=3)
    for _ in range(3):
        async with admitted.turn(key):
            pass
    refused = await refusal(admitted, key)
    assert refused.status == 429
    assert refused.headers is not None
    assert 50 < int(refused.headers["Retry-After"]) <= 60


async def test_limits_of_a_key_hold_for_all_processes_of_a_home(admission: Admitting) -> None:
    one, other = admission(), admission()
    async with one.turn(limited(concurrent=1)):
        assert (await refusal(other, limited(concurrent=1))).code == "rate_limit_exceeded"
    async with other.turn(limited(concurrent=1, requests=1)):
        pass
    assert "1 questions a minute" in str(await refusal(one, limited(requests=1)))


async def test_a_key_whose_tokens_of_the_day_are_used_is_told_so(admission: Admitting) -> None:
    refused = await refusal(admission(spent=1_000), limited(tokens=1_000))
    assert (refused.status, refused.code) == (429, "insufficient_quota")
    async with admission(spent=999).turn(limited(tokens=1_000)):
        pass
