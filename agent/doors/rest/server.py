"""The socket that the REST door listens on, and the signals that end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

from agent.errors import PonderError

if TYPE_CHECKING:
    from fastapi import FastAPI

DRAIN = 30  # seconds that answers under way have when the server is told to end


class AddressTaken(PonderError):
    """Somebody else listens there."""


def serve(app: FastAPI, host: str, port: int) -> None:
    """Until Ctrl-C or SIGTERM: then nothing new is taken, and what is under way has half a minute to end."""
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=DRAIN, lifespan="on"
    )
    uvicorn.Server(config).run()
