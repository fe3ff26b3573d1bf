"""What an MCP server that is reached over HTTP may send: no message without an end, not too many, and nothing packed.

What ``mcp_guard`` is for a program: the SDK keeps a message whole until its end, however long that takes.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx2

from tools.mcp_guard import LONGEST, MANY, SPAN

LINES = 4  # of an event


async def bounded(response: httpx2.Response) -> None:
    """A hook for responses. Raises ``httpx2.ReadError`` for what would have to be unpacked; reading what is too long
    raises it in the middle.
    """
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise httpx2.ReadError("the server packs what it was asked to send as it is", request=response.request)
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    events = response.headers.get("Content-Type", "").startswith("text/event-stream")
    response.stream = _Counted(response.stream, response.request, events)


class _Counted(httpx2.AsyncByteStream):
    """``events``: a stream of them, each of which may have that length, and which ends with an empty line."""

    def __init__(self, stream: httpx2.AsyncByteStream, request: httpx2.Request, events: bool) -> None:
        self._stream, self._request, self._events = stream, request, events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length, before, lines, since = 0, b"", 0, time.monotonic()
        async for piece in self._stream:
            length += len(piece)
            if self._events:
                seen = before + piece
                end = max(seen.rfind(b"\n\n"), seen.rfind(b"\n\r\n"))
                length = len(seen) - end if end >= 0 else length
                before = seen[-2:]
                lines += piece.count(b"\n")
                if (now := time.monotonic()) - since > SPAN:
                    lines, since = 0, now
                if lines > MANY * LINES:
                    raise httpx2.ReadError("the server sends events without an end", request=self._request)
            if length > LONGEST:
                raise httpx2.ReadError(f"the server sent more than {LONGEST} bytes at once", request=self._request)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
