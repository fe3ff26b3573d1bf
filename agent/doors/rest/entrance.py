"""What every request passes before it is read: its name, the size of its body, where it comes from, and its key.

ASGI middleware. Where no key was ever made in the home, whoever is on this machine comes in, where nobody else can
reach the socket; then a browser's page must not, so Host and Origin have to name this machine (DNS rebinding). One line
of JSON is logged for each request: no header, no body and no query, in which secrets are.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from agent.doors.errors import ApiError, known
from agent.doors.keys import LOCAL, Key, Keys
from agent.doors.rest.errors import response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("ponder.rest.access")
DOCS_FILES = "/docs/files"  # scripts and styles of the page
OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json")  # for who starts and watches servers, and who reads of them
HERE = ("127.0.0.1", "localhost", "::1")
MOST_BYTES = 32 * 2**20  # of a body
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class Entrance:
    """Around an application."""

    def __init__(self, app: ASGIApp, keys: Keys, local: bool, most_bytes: int = MOST_BYTES) -> None:
        """``local``: only this machine can reach the socket."""
        self._app, self._keys, self._local, self._most_bytes = app, keys, local, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers, state = Headers(scope=scope), scope.setdefault("state", {})
        given = headers.get("x-request-id", "")
        state["request_id"] = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        entry = Entry(scope, state)

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = state["request_id"]
            await send(message)

        try:
            state["key"] = self._key_of(scope["path"], headers)
            await self._app(scope, self._bounded(headers, receive), send_named)
        except ApiError as error:
            await response(error)(scope, receive, send_named)
        except HTTPException as error:  # of a body that got too long on its way to another worker
            said = ApiError(str(error.detail), error.status_code, code="body_too_long")
            await response(said)(scope, receive, send_named)
        finally:
            if scope["server"] is None or scope["server"][1] is not None:  # by another worker it is counted there
                entry.write()
                if (door := getattr(scope["app"].state, "door", None)) is not None:
                    door.metrics.answered(scope["method"], entry.status)

    def _key_of(self, path: str, headers: Headers) -> Key:
        """Raises ``ApiError``."""
        try:
            if path in OPEN or path.startswith(f"{DOCS_FILES}/"):
                return Key("", "", ())
            if self._local and not self._keys.wanted:
                refuse_elsewhere(headers)
                return LOCAL
            return key_in(headers, self._keys)
        except ApiError:
            raise
        except Exception as error:
            raise known(error) from error

    def _bounded(self, headers: Headers, receive: Receive) -> Receive:
        """Raises ``ApiError`` where a body is too long; what is returned raises ``HTTPException`` where it gets so."""
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._most_bytes:
            raise self._too_long()
        read = 0

        async def receive_bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most_bytes:  # FastAPI, which reads, lets only its own exceptions through
                raise HTTPException(413, str(self._too_long()))
            return message

        return receive_bounded

    def _too_long(self) -> ApiError:
        return ApiError(f"A body may have {self._most_bytes:,} bytes; send less.", 413, code="body_too_long")


class Entry:
    """A line of the log."""

    def __init__(self, scope: Scope, state: dict[str, object]) -> None:
        self._scope, self._state, self._began = scope, state, time.monotonic()
        self.status = 499  # the client went away before it had one

    def write(self) -> None:
        key = self._state.get("key")
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": self._state["request_id"],
            "method": self._scope["method"],
            "path": self._scope["path"],
            "status": self.status,
            "seconds": round(time.monotonic() - self._began, 4),
            "key": key.name if isinstance(key, Key) else None,
        }
        _log.info("%s", json.dumps(line))


def refuse_elsewhere(headers: Headers) -> None:
    """Raises ``ApiError``."""
    named = [f"//{headers.get('host', '')}", *headers.getlist("origin")]
    for each in named:
        if hostname(each) not in HERE:
            raise ApiError(
                "Without keys this server answers requests of this machine only; make one with `ponder keys create`.",
                403,
                code="not_from_here",
            )


def hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def key_in(headers: Headers, keys: Keys) -> Key:
    """Raises ``ApiError``."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise denied("Send a key of this server as `Authorization: Bearer KEY`.")
    key = keys.known(secret.strip())
    if key is None:
        raise denied("This server does not know that key.")
    if key.expired(datetime.now(UTC)):
        raise denied(f"The key {key.name} expired on {key.expires_at}; ask for a new one.")
    return key


def denied(message: str) -> ApiError:
    return ApiError(message, 401, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
