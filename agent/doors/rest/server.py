"""The socket that the REST door listens on, and the signals that end it."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from socket import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import multiprocess
from uvicorn.supervisors.multiprocess import Process

from agent.doors.door import DRAIN
from agent.doors.metrics import shared

PR_SET_PDEATHSIG = 1  # linux/prctl.h
STARTING = 120.0  # seconds that a worker may be silent: it imports all of an agent before it can say anything

if TYPE_CHECKING:
    from agent.doors.door import Door


class Server(uvicorn.Server):
    """Ends as it is told to; uvicorn's own raises the signal again afterwards, as if it had been ended by it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    @property
    def _app(self) -> FastAPI:
        app: Any = self.config.loaded_app
        while not isinstance(app, FastAPI):  # what uvicorn puts around it
            app = app.app
        return app

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Says where it listens when it does. Raises why the door does not open; a worker says that, and ends."""
        log = logging.getLogger("uvicorn.error")
        log.addFilter(self._is_told)
        try:
            await super().startup(sockets)
        except SystemExit:
            if (refused := self._refused) is None:
                raise
            if self.config.workers == 1:
                raise refused from None
            print(refused, file=sys.stderr)
            raise
        finally:
            log.removeFilter(self._is_told)
        if self.config.workers == 1:
            print(listening(self.config.host, self.config.port), flush=True)

    @property
    def _refused(self) -> Exception | None:
        """Why the door did not open."""
        return getattr(self._app.state, "refused", None)

    def _is_told(self, _: logging.LogRecord) -> bool:
        """Uvicorn would tell why a door does not open with all that the error passed through, and as its own."""
        return self._refused is None

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Nothing new is taken; what is under way has a while to end, whether or not somebody listens."""
        door: Door | None = getattr(self._app.state, "door", None)  # None: it never opened
        await asyncio.gather(super().shutdown(sockets), *([door.conductor.close(DRAIN)] if door else []))


def listening(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"Listening on http://{shown}:{port}/v1; ask it as you would ask OpenAI's API."


class Worker(Process):
    """Says whether it lives without being waited for: uvicorn's own keeps its supervisor from hearing signals."""

    _asked: float | None = None  # time.monotonic() of a sign of life that was not given yet

    def is_alive(self, timeout: float = STARTING) -> bool:
        if not self.process.is_alive():
            return False
        try:
            if self._asked is None:
                self._asked = time.monotonic()
                self.parent_conn.send(b"ping")
            if self.parent_conn.poll(0):
                self.parent_conn.recv()
                self._asked = None
        except (OSError, EOFError):
            return False
        return self._asked is None or time.monotonic() - self._asked < timeout

    @property
    def server(self) -> uvicorn.Server:
        self._server = self._server or Server(self.config)
        return self._server


def worker(app: Callable[[], FastAPI], parent: int) -> FastAPI:
    """The app of a process that is told to end when the one that began it has, however that went."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it was gone already
        raise SystemExit(0)
    return app()


def serve(app: Callable[[], FastAPI], host: str, port: int, workers: int = 1) -> None:
    """Until Ctrl-C or SIGTERM: then nothing new is taken, and what is under way has a while to end.

    Each of the workers is a process that makes the app; one that dies is begun again.
    """
    config = uvicorn.Config(
        app if workers == 1 else partial(worker, app, os.getpid()),  # type: ignore[arg-type] - a factory is an ASGI application to uvicorn's types
        factory=True,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(DRAIN) + 5,  # the ends of runs are told
        workers=workers,
        timeout_worker_healthcheck=int(STARTING),
    )
    if workers == 1:
        Server(config).run()
    else:
        multiprocess.Process = Worker  # what the supervisor begins
        print(listening(host, port), flush=True)
        with shared():
            multiprocess.Multiprocess(config, sockets=[config.bind_socket()]).run()
