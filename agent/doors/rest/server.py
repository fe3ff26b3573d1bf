"""The socket that the REST door listens on, and the signals that end it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from agent.doors.rest.app import DRAIN

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


def serve(app: FastAPI, host: str, port: int) -> None:
    """Until Ctrl-C or SIGTERM: then nothing new is taken, and what is under way has a while to end."""
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=int(DRAIN)
    )
    Server(config).run()
