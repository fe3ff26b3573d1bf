"""The REST door as an ASGI application: the agent is made when it starts, and let go when it ends.

Not here: sockets and signals (``server``), and what any one request means. ``ponder serve`` calls it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from agent.assemble import assemble
from agent.doors.rest import chat, errors
from agent.doors.rest.door import Door, opened

if TYPE_CHECKING:
    from agent.settings import Settings


def create_app(opening: Callable[[], AbstractAsyncContextManager[Door]]) -> FastAPI:
    """The application whose door is open for as long as ``opening`` holds."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opening() as app.state.door:
            yield

    app = FastAPI(title="Ponder", version="1", lifespan=lifespan, docs_url="/docs", redoc_url=None)
    errors.install(app)
    app.include_router(chat.router)
    return app


@asynccontextmanager
async def open_door(settings: Settings) -> AsyncIterator[Door]:
    """With the agent of the settings. Raises whatever ``assemble`` does."""
    async with assemble(settings) as agent:
        yield opened(agent, settings)
