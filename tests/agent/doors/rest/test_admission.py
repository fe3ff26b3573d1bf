"""Who may ask now: limits of a key, places of the server, and turns in the order of asking."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.doors.keys import Key, Limits
from agent.doors.rest.admission import MINUTE, Admission
from agent.doors.rest.errors import ApiError

FREE = Key("app", "")


def admission(concurrent: int = 2, waiting: int = 1, spent: int = 0) -> Admission:
    return Admission(concurrent, waiting, lambda _: spent)


def limited(**limits: int) -> Key:
    return Key("app", "", limits=Limits(**limits))


async def enter(admitted: Admission, key: Key, stack: AsyncExitStack, times: int = 1) -> None:
    for _ in range(times):
        await stack.enter_async_context(admitted.turn(key))


async def refusal(admitted: Admission, key: Key) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await enter(admitted, key, AsyncExitStack())
    return refused.value


async def test_who_comes_when_all_places_are_taken_waits_and_the_next_one_is_sent_away() -> None:
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


async def test_who_stops_waiting_leaves_no_trace() -> None:
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


async def test_a_key_has_so_many_questions_at_once() -> None:
    admitted, key = admission(concurrent=9), limited(concurrent=2)
    async with AsyncExitStack() as inside:
        await enter(admitted, key, inside, 2)
        refused = await refusal(admitted, key)
        assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
    async with admitted.turn(key):
        pass


async def test_a_key_has_so_many_questions_a_minute() -> None:
    now = 0.0
    admitted = Admission(9, 9, lambda _: 0, clock=lambda: now)
    for _ in range(3):
        async with admitted.turn(limited(requests=3)):
            now += 10
    refused = await refusal(admitted, limited(requests=3))
    assert refused.status == 429
    assert refused.headers == {"Retry-After": "30"}
    now = MINUTE + 0.1
    async with admitted.turn(limited(requests=3)):
        pass


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 5))
def test_no_minute_has_more_questions_than_the_limit(gaps: list[float], most: int) -> None:
    now, let_in = 0.0, list[float]()
    admitted = Admission(9, 9, lambda _: 0, clock=lambda: now)
    for gap in gaps:
        now += gap
        try:
            admitted.refuse(limited(requests=most))
            let_in.append(now)
        except ApiError:
            assert sum(now - MINUTE < each for each in let_in) >= most  # and nobody is refused for nothing
    for each in let_in:
        assert sum(each - MINUTE < other <= each for other in let_in) <= most


async def test_a_key_whose_tokens_of_the_day_are_used_is_told_so() -> None:
    refused = await refusal(admission(spent=1_000), limited(tokens=1_000))
    assert (refused.status, refused.code) == (429, "insufficient_quota")
    async with admission(spent=999).turn(limited(tokens=1_000)):
        pass
