"""Several processes behind one socket: what concerns a run that another one drives is asked of that one.

Each worker has a private socket (a file that its owner alone can open), which stands in the claims of its runs.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import StreamingResponse

from agent.doors.errors import SERVER, SOON, ApiError
from agent.doors.rest.errors import response
from agent.doors.rest.streaming import first

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from agent.store import Store

OF_A_RUN = re.compile(r"/v1/(?:runs/|responses/resp_)([A-Za-z0-9_-]{1,64})(?:/[a-z_]+)?")
CONNECT = 5.0  # seconds; how long an answer takes is its own affair
LOOK = 0.05  # seconds between looks whether the socket is there


class PassedOn:
    """ASGI middleware: a request for a run that another worker drives is that one's to answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = OF_A_RUN.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if asked is not None:
            store: Store = scope["app"].state.door.agent.store
            address = store.claimed_at(asked[1])
            if address and address != store.address and await passed_on(address, scope, receive, send):
                return
        await self._app(scope, receive, send)


async def passed_on(address: str, scope: Scope, receive: Receive, send: Send) -> bool:
    """Whether the worker at that address answered; where it has just ended nothing was read or sent."""
    request = Request(scope, receive)
    url = httpx.URL("http://worker", raw_path=scope["raw_path"] + b"?" + scope["query_string"])
    timeout = httpx.Timeout(None, connect=CONNECT)
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=address), timeout=timeout) as client:
        asked = client.build_request(scope["method"], url, headers=scope["headers"], content=await request.body())
        try:
            answer = await client.send(asked, stream=True)
        except httpx.ConnectError:
            return False
        except httpx.TransportError:
            said = f"The worker that drives this run has ended; look at it again ({scope['path']})."
            await response(ApiError(said, 503, SERVER, "worker_ended", headers=SOON))(scope, receive, send)
            return True
        try:
            kept = {name: value for name, value in answer.headers.items() if name != "transfer-encoding"}
            answering = StreamingResponse(answer.aiter_raw(), answer.status_code, kept)
            await first(answering.stream_response(send), answering.listen_for_disconnect(receive))
        finally:
            await answer.aclose()
    return True


class Private(uvicorn.Server):
    """A server that leaves signals to the other one of its process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with nullcontext():
            yield


@asynccontextmanager
async def reachable(app: ASGIApp, store: Store) -> AsyncIterator[None]:
    """The app listens on a private socket too, and the claims of its runs say where."""
    with tempfile.TemporaryDirectory(prefix="ponder-") as folder:
        address = Path(folder) / "worker"
        config = uvicorn.Config(app, uds=str(address), lifespan="off", log_level="warning", access_log=False)
        server = Private(config)
        serving = asyncio.create_task(server.serve())
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(LOOK)
        store.address = str(address)
        try:
            yield
        finally:
            server.should_exit = True
            await serving
