"""A door on a real socket, in front of an agent whose model says what the test has written."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from openai import AsyncOpenAI
from starlette.types import ASGIApp

from agent.context import Agent
from agent.doors.conductor import conducting
from agent.doors.door import Door, opened
from agent.doors.keys import Keys
from agent.doors.rest.app import create_app
from agent.records import Path
from agent.renewal import Renewed
from agent.settings import Settings
from tests.agent.conftest import agent_saying, agent_with, log, log_path, model_folder, renderer, saver
from tests.agent.scripted import Say
from tools.tool import Tool

__all__ = ["agent_saying", "agent_with", "log", "log_path", "model_folder", "renderer", "saver"]
Opening = Callable[..., Awaitable["Open"]]


class Open:
    """An agent behind its door, and where that is."""

    def __init__(self, door: Door, url: str, http: httpx.AsyncClient, openai: AsyncOpenAI) -> None:
        self.agent, self.conductor = door.agent, door.conductor
        self.url, self.http, self.openai = url, http, openai


async def until(condition: Callable[[], object], seconds: float) -> None:
    """Wait for it. Raises ``TimeoutError``."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """The address of an application's server, in this loop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started, 30)
        try:
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def listening(door: Door, keys: Keys, local: bool = True) -> AsyncIterator[str]:
    """The address of the door's server, in this loop."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Door]:
        yield door

    async with serving(create_app(opening, keys, local)) as url:
        yield url


@pytest.fixture
async def door(agent_saying: Callable[..., Agent]) -> AsyncIterator[Opening]:
    """``await door(turns, *tools)``: its model says each of ``turns`` at its place in the tree, elsewhere 75.

    ``limits`` are settings; the keys are those of the test's home.
    """
    async with AsyncExitStack() as stack:

        async def make(turns: Mapping[Path, Say | str], *tools: Tool, local: bool = True, **limits: Any) -> Open:
            agent = agent_saying(turns, *tools)
            conductor = await stack.enter_async_context(conducting(0.1))
            settings = Settings(reference_share=0.0, **limits)
            ours, keys = opened(Renewed(agent, settings), settings, conductor), Keys(settings.home)
            url = await stack.enter_async_context(listening(ours, keys, local))
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30)
            stack.push_async_callback(client.close)
            return Open(ours, url, http, client)

        yield make
