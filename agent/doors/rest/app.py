"""The REST door as an ASGI application: the agent is made when it starts, and let go when it ends.

Not here: sockets and signals (``server``), and what any one request means. ``ponder serve`` calls it.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi_offline import FastAPIOffline

from agent.doors.door import Door
from agent.doors.mcp_server.over_http import over_http
from agent.doors.mcp_server.server import create_server
from agent.doors.rest import approvals, chat, documents, errors, health, memories, responses, runs, threads, versions
from agent.doors.rest.entrance import DOCS_FILES, Entrance
from agent.doors.rest.openapi import describe
from agent.doors.rest.workers import PassedOn, reachable

if TYPE_CHECKING:
    from fastapi import FastAPI

    from agent.doors.keys import Keys


def create_app(
    opening: Callable[[], AbstractAsyncContextManager[Door]], keys: Keys, local: bool = True, workers: int = 1
) -> FastAPI:
    """The application whose door is open for as long as ``opening`` holds.

    ``local``: only this machine can reach it, and needs no key where there is none. ``workers``: processes that share
    its socket.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                door = app.state.door = await stack.enter_async_context(opening())
            except Exception as error:
                app.state.refused = error  # for who serves it, to say as it says what went wrong elsewhere
                raise
            gc.collect()
            gc.freeze()  # what was loaded stays: looking through it again took milliseconds of each question
            await stack.enter_async_context(mcp.session_manager.run())
            if workers > 1:
                await stack.enter_async_context(reachable(app, door.agent.store))
            yield

    app = FastAPIOffline(
        title="Ponder", version="1", lifespan=lifespan, redoc_url=None, static_url=DOCS_FILES, responses=errors.WRONG
    )
    errors.install(app)
    for part in (chat, responses, runs, approvals, threads, memories, documents, versions, health):
        app.include_router(part.router)
    describe(app)
    mcp = create_server(lambda: app.state.door)
    app.router.routes.extend(over_http(mcp, sessions=workers == 1))
    if workers > 1:
        app.add_middleware(PassedOn)
    app.add_middleware(Entrance, keys=keys, local=local)
    return app
