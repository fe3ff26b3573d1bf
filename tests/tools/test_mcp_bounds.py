"""What a server sends over HTTP without an end, ends here; what it sends for long in small parts does not."""

import gzip
from collections.abc import AsyncIterator

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.agent.doors.rest.conftest import serving
from tools import mcp_bounds
from tools.mcp_bounds import _Counted, bounded

EVENT = b"event: message\ndata: %s\n\n"
LONGEST = 10_000


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_bounds, "LONGEST", LONGEST)


async def sent(content: bytes, times: int, kind: str, **headers: str) -> int:
    """How many bytes arrive of a body that is ``times`` that content, 1,000,000 at the most."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(times):
            yield content

    async def answer(_: Request) -> Response:
        return StreamingResponse(body(), media_type=kind, headers=headers)

    length = 0
    async with (
        serving(Starlette(routes=[Route("/", answer)])) as url,
        httpx2.AsyncClient(event_hooks={"response": [bounded]}) as client,
        client.stream("GET", url) as response,
    ):
        async for piece in response.aiter_bytes():
            length += len(piece)
    return length


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"x" * 100, "application/json"), (b"data: x\n", "text/event-stream"), (b"\n\n" * 100, "application/json")],
)
async def test_what_has_no_end_is_an_error(content: bytes, kind: str) -> None:
    with pytest.raises(httpx2.ReadError, match="sent more than 10000 bytes at once"):
        await sent(content, 10**6, kind)


@pytest.mark.parametrize("event", [EVENT, EVENT.replace(b"\n", b"\r\n")])
async def test_events_may_come_for_ever(event: bytes) -> None:
    assert await sent(event, 1_000, "text/event-stream") == 1_000 * len(event)


async def test_events_without_an_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_bounds, "MANY", 100)
    with pytest.raises(httpx2.ReadError, match="events without an end"):
        await sent(EVENT, 10**5, "text/event-stream")


async def test_nothing_is_unpacked() -> None:
    with pytest.raises(httpx2.ReadError, match="packs what it was asked to send as it is"):
        await sent(gzip.compress(b"x" * 10**6), 1, "application/json", **{"Content-Encoding": "gzip"})


@given(st.lists(st.sampled_from([b"x" * 3_000, b"data: y\n\n", b"\r\n", b"\n"]), max_size=30), st.data())
async def test_an_event_ends_where_it_ends_however_it_is_cut(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    class Body(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

    longest = max(map(len, whole.replace(b"\n\r\n", b"\n\n").split(b"\n\n")))
    try:
        arrived = b"".join([piece async for piece in _Counted(Body(), httpx2.Request("GET", "http://x"), events=True)])
    except httpx2.ReadError:
        assert longest > LONGEST - 3 * len(parts)
    else:
        assert arrived == whole
