"""Wants the server's key for every path: vLLM itself asks for it on some only. Loaded by vLLM, into its process."""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable
from typing import Any

OPEN = "/health"
REFUSAL = b'{"error": {"message": "This server wants its key", "type": "Unauthorized", "code": 401}}'


class Doorkeeper:
    """ASGI middleware; the key is the environment's ``VLLM_API_KEY``."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._wanted = f"Bearer {os.environ['VLLM_API_KEY']}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or scope["path"] == OPEN or self._knows(scope["headers"]):
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(REFUSAL)).encode())]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": REFUSAL})

    def _knows(self, headers: list[tuple[bytes, bytes]]) -> bool:
        return any(name == b"authorization" and hmac.compare_digest(value, self._wanted) for name, value in headers)
