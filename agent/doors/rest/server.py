"""The socket that the REST door listens on, and the signals that end it."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import Multiprocess

from agent.doors.rest.app import DRAIN
from agent.doors.rest.metrics import shared

PR_SET_PDEATHSIG = 1  # linux/prctl.h
STARTING = 120.0  # seconds that a worker may be silent: it imports all of an agent before it can say anything

if TYPE_CHECKING:
    from fastapi import FastAPI


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
        timeout_graceful_shutdown=int(DRAIN),
        workers=workers,
        timeout_worker_healthcheck=int(STARTING),
    )
    if workers == 1:
        Server(config).run()
    else:
        with shared():
            Multiprocess(config, sockets=[config.bind_socket()]).run()
