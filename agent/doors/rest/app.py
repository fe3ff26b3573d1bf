"""The REST door as an ASGI application: the agent is made when it starts, and let go when it ends.

Not here: sockets and signals (``server``), and what any one request means. ``ponder serve`` calls it.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from agent.doors.rest import approvals, chat, documents, errors, health, memories, responses, runs, threads, versions
from agent.doors.rest.conductor import conducting
from agent.doors.rest.door import Door, opened
from agent.doors.rest.entrance import Entrance
from agent.doors.rest.workers import PassedOn, reachable
from agent.renewal import assembled

DRAIN = 20.0  # seconds that runs under way have when the server is told to end

if TYPE_CHECKING:
    from agent.doors.keys import Keys
    from agent.settings import Settings


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
            if workers > 1:
                await stack.enter_async_context(reachable(app, door.agent.store))
            yield

    app = FastAPI(
        title="Ponder", version="1", lifespan=lifespan, docs_url="/docs", redoc_url=None, responses=errors.WRONG
    )
    errors.install(app)
    for part in (chat, responses, runs, approvals, threads, memories, documents, versions, health):
        app.include_router(part.router)
    if workers > 1:
        app.add_middleware(PassedOn)
    app.add_middleware(Entrance, keys=keys, local=local)
    return app


@asynccontextmanager
async def open_door(settings: Settings) -> AsyncIterator[Door]:
    """With the agent of the settings. Raises whatever ``assemble`` does."""
    async with assembled(settings) as renewed, conducting(DRAIN) as conductor:
        yield opened(renewed, settings, conductor)
