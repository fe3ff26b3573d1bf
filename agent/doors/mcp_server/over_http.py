"""The MCP server as a route of an HTTP application, which has looked at who comes in before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


def over_http(server: MCPServer[Any], sessions: bool) -> Sequence[BaseRoute]:
    """The route ``/mcp``, for an application that runs ``server.session_manager`` and has looked at who comes in.

    ``sessions``: those of the older handshake are kept, so that a person can be asked; not where several processes
    share a socket.
    """
    trusting = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the entrance looks at Host and Origin
    logging.getLogger("mcp.server.streamable_http").addFilter(happened)
    [route] = server.streamable_http_app(stateless_http=not sessions, transport_security=trusting).routes
    assert isinstance(route, Route)
    return [Route(route.path, Whole(route.app), methods=route.methods)]


class Whole:
    """ASGI: what goes wrong after an answer is whole is nobody's. (The SDK 2.3 goes on with a notification after it has
    answered, when its session may be gone, and then answers again.) White space around a header's value is none of it
    (RFC 9110, 5.5); the server's parser leaves it there, and the SDK compares.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = False

        async def told(message: Message) -> None:
            nonlocal whole
            if whole:
                raise AlreadyAnswered
            await send(message)
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)

        headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        try:
            await self._app({**scope, "headers": headers}, receive, told)
        except AlreadyAnswered:
            logging.getLogger("ponder.doors").debug("%s was answered twice", scope["path"])


def happened(record: logging.LogRecord) -> bool:
    """Whether it is worth a line: not that a client which has gone cannot be written to."""
    error = record.exc_info[0] if record.exc_info else None
    return error is None or error.__name__ != "ClosedResourceError"


class AlreadyAnswered(Exception):
    """There is nobody to answer any more."""
