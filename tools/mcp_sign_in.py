"""Signing in to MCP servers that want it: OAuth 2.1 as the SDK does it, with a person's browser (authorization code and
PKCE, MCP's revision 2026-07-28), or as a program with credentials of its own.

Here is what the SDK leaves to an application: what is kept between starts, how a browser comes back, and that where
nobody is, nobody is asked.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shlex
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.auth.oauth2 import OAuthContext
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
)
from pydantic import BaseModel

from tools.mcp_connection import MCPServerError
from tools.toolbox import clean

PATIENCE = 300.0  # seconds that a person has to sign in
RENEWING = 60.0  # seconds for another process that renews a token
HERE = "127.0.0.1"  # RFC 8252, section 7.3
# Brings a person to the address where they sign in; may give back where their browser ended, if it cannot come here.
Show = Callable[[str], Awaitable[str | None]]
DONE = b"<!doctype html><title>Ponder</title><p>Ponder has what it needs. This page can be closed."


@dataclass(frozen=True, slots=True)
class Registered:
    """What the owner of a server gave for this client. Without it, the client registers itself (RFC 7591)."""

    client_id: str  # or an https address: of a document that describes this client (CIMD)
    client_secret: str | None = None
    issuer: str | None = None  # of what authorization server they are; they are sent to no other
    alone: bool = False  # the program signs in as itself (client credentials), no person does

    @property
    def described(self) -> str | None:
        """The address of the client's own description, where that is its id."""
        return self.client_id if self.client_id.startswith("https://") else None


class _Content(BaseModel):
    """With the time at which the token ends, and with where a new one is asked for: the SDK's own storage forgets both,
    so that each start would send an old token and then want the person again.
    """

    url: str = ""
    client: OAuthClientInformationFull | None = None
    tokens: OAuthToken | None = None
    ends: float | None = None  # Unix time
    metadata: OAuthMetadata | None = None  # of the authorization server


class Kept:
    """What a server gave, in a file for its owner only. Raises ``MCPServerError`` where that cannot be used."""

    def __init__(self, folder: Path, url: str) -> None:
        self._file, self._url = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json", url

    def read(self) -> _Content:
        try:
            return _Content.model_validate_json(self._file.read_text())
        except FileNotFoundError:
            return _Content()
        except (OSError, ValueError) as error:
            why = clean(str(error).partition("\n")[0])[:200]
            raise MCPServerError(f"{self._file} cannot be read ({why}); remove it, and sign in again.") from error

    def write(self, unless_signed_out: bool = False, **new: Any) -> None:
        with self._changing():
            known = self.read()
            if unless_signed_out and known.tokens is None:
                return
            text = known.model_copy(update={"url": self._url, **new}).model_dump_json(exclude_none=True, indent=1)
            with tempfile.NamedTemporaryFile("w", dir=self._file.parent, delete=False) as temporary:  # of mode 0600
                try:
                    temporary.write(text)
                    temporary.flush()
                    os.replace(temporary.name, self._file)
                except OSError:
                    os.unlink(temporary.name)
                    raise

    def forget(self) -> None:
        with self._changing():
            self._file.unlink(missing_ok=True)

    @property
    def signed_in(self) -> bool:
        return self.read().tokens is not None

    @property
    def port(self) -> int:
        """On which the browser came back last; 0: none yet."""
        client = self.read().client
        return (client.redirect_uris[0].port or 0) if client and client.redirect_uris else 0

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """One process at a time renews what is kept: who shows an old token twice may lose all of them (OAuth 2.1)."""
        end = time.monotonic() + RENEWING
        with self._named():
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _locked(lock):
                if time.monotonic() > end:
                    raise MCPServerError(f"Another process has been signing in to {self._url} for long; end it.")
                await asyncio.sleep(0.02)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time, for the blink that it takes."""
        with self._named():
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._file.with_suffix(".writing").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MCPServerError(
                f"{self._file} cannot be written ({error.strerror}); set PONDER_HOME to a folder of yours."
            ) from error


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Storage:
    """The SDK's ``TokenStorage``. ``somebody``: who signs in now, and so begins without what was given before."""

    context: OAuthContext | None = None

    def __init__(self, url: str, kept: Kept, registered: Registered | None, somebody: bool) -> None:
        self._url, self._kept, self._registered, self._somebody = url, kept, registered, somebody
        self._anew = somebody

    async def get_tokens(self) -> OAuthToken | None:
        return None if self._anew else self._kept.read().tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        by_itself = self._registered is not None and self._registered.alone
        self._anew = False
        ends = None if tokens.expires_in is None else time.time() + tokens.expires_in
        metadata = self.context.oauth_metadata if self.context else None
        self._kept.write(not (self._somebody or by_itself), tokens=tokens, ends=ends, metadata=metadata)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        if (given := self._registered) is not None and given.described is None:
            method = "none" if given.client_secret is None else "client_secret_basic"
            return OAuthClientInformationFull(
                client_id=given.client_id,
                client_secret=given.client_secret,
                issuer=given.issuer,
                token_endpoint_auth_method=method,
            )
        return self._kept.read().client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        if not self._somebody:
            raise _needed(self._url)
        self._kept.write(client=client_info)


class _Renewing(OAuthClientProvider):
    """Asks for a new token while nobody else here or in another process does, and takes the one that they have got.

    The SDK's own flow is left to signing in: it sends one request at a time, each until its answer begins, so that a
    slow call would stop all others.
    """

    kept: Kept
    nobody = False  # whether there is no person who could sign in

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        if not self.context.is_token_valid():
            async with self.kept.alone():
                await self._initialize()
                known = self.kept.read()
                self.context.token_expiry_time, self.context.oauth_metadata = known.ends, known.metadata
                if not self.context.is_token_valid() and self.context.can_refresh_token():
                    self.context.protocol_version = request.headers.get("MCP-Protocol-Version")
                    renewing = await self._refresh_token()
                    renewing.extensions["timeout"] = httpx2.Timeout(RENEWING / 2).as_dict()
                    await self._handle_refresh_response((yield renewing))
        if self.context.is_token_valid():
            self._add_auth_header(request)
        response = yield request
        if not wants_more(response):
            return
        if self.nobody and not self.kept.signed_in:
            raise _needed(self.context.server_url)
        flow = super().async_auth_flow(request)
        try:
            sent = await anext(flow)
            while True:
                sent = await flow.asend((yield sent))
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()


def wants_more(response: httpx2.Response) -> bool:
    """Whether somebody has to sign in, or to be granted more."""
    more = "insufficient_scope" in response.headers.get("WWW-Authenticate", "")
    return response.status_code == 401 or (response.status_code == 403 and more)


class _ByItself(_Renewing, ClientCredentialsOAuthProvider):
    """A program with credentials of its own."""


# --- where nobody is asked --------------------------------------------------------------------------------------------


class SignInNeeded(MCPServerError):
    """A server wants a person to sign in, and there is none."""


def signed_in(url: str, kept: Kept, registered: Registered | None = None) -> httpx2.Auth:
    """With what is kept, which is made new where it has ended; ``SignInNeeded`` is raised where that is not enough."""
    if registered is not None and registered.alone:
        return _by_itself(url, kept, registered)
    if not kept.signed_in:
        return _SignedOut(url)

    async def nobody(authorization: str) -> None:
        raise _needed(url, parse_qs(urlsplit(authorization).query).get("scope", [""])[0])

    async def never() -> AuthorizationCodeResult:
        raise _needed(url)

    storage = _Storage(url, kept, registered, somebody=False)
    provider = _provider(url, kept, storage, registered, f"http://{HERE}:{kept.port}/", nobody, never)
    provider.nobody = True
    return provider


def _needed(url: str, scope: str = "") -> SignInNeeded:
    wanted = shlex.quote(clean(scope)[:200])
    more = f", as what was granted is not enough or has ended (--scope {wanted})" if scope else ""
    return SignInNeeded(f"{url} wants you to sign in{more}: `ponder mcp login` with its name.")


class _SignedOut(httpx2.Auth):
    """Nothing to sign in with: a server that wants it is told apart from one that fails."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        response = yield request
        if response.status_code == 401:
            raise _needed(self._url)


def _by_itself(url: str, kept: Kept, registered: Registered) -> httpx2.Auth:
    if registered.client_secret is None:
        raise MCPServerError(f"{url} needs a client_secret beside its client_id; set it.")
    storage = _Storage(url, kept, registered, somebody=False)
    provider = _ByItself(url, storage, registered.client_id, registered.client_secret, issuer=registered.issuer)
    storage.context, provider.kept = provider.context, kept
    return provider


def _provider(
    url: str,
    kept: Kept,
    storage: _Storage,
    registered: Registered | None,
    back: str,
    show: Callable[[str], Awaitable[None]],
    came_back: Callable[[], Awaitable[AuthorizationCodeResult]],
) -> _Renewing:
    metadata = OAuthClientMetadata.model_validate({"client_name": "Ponder", "redirect_uris": [back]})
    described = None if registered is None else registered.described
    try:
        provider = _Renewing(url, metadata, storage, show, came_back, described)
    except ValueError as error:
        raise MCPServerError(f"{described} cannot describe this client ({error}); give another client_id.") from error
    storage.context, provider.kept = provider.context, kept
    return provider


# --- with a person ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def signing_in(
    url: str, kept: Kept, show: Show, registered: Registered | None = None, port: int = 0, scope: str = ""
) -> AsyncIterator[httpx2.Auth]:
    """``show`` is given the address where a person signs in, and the browser is awaited here while the block lasts.

    ``port``: where, if the server's owner laid it down; else the one of last time, else any. ``scope``: rights that are
    asked for beside those that the server names, separated by spaces.

    Raises MCPServerError: the port is taken; later, through the connection, that nobody came back.
    """
    port = port or kept.port
    answered: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
    try:
        server = _Listening(port, answered)
    except OSError as error:
        raise MCPServerError(
            f"Port {port} of this machine is taken ({error.strerror}); free it, and try again."
        ) from error

    async def shown(authorization: str) -> None:
        server.state = parse_qs(urlsplit(authorization).query).get("state", [""])[0]
        if (ended := await show(_wider(authorization, scope))) is not None:
            server.came(query_of(ended, server.state))

    async def came_back() -> AuthorizationCodeResult:
        try:
            given = await asyncio.wait_for(asyncio.shield(answered), PATIENCE)
        except TimeoutError as error:
            raise MCPServerError(f"Nobody signed in within {PATIENCE:g} seconds; try again.") from error
        return result_of(given)

    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        back = f"http://{HERE}:{server.server_port}/"
        storage = _Storage(url, kept, registered, somebody=True)
        yield _provider(url, kept, storage, registered, back, shown, came_back)
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


def query_of(address: str, state: str) -> dict[str, str]:
    """What stands in the address where a browser ended. Raises ``MCPServerError`` where that is of no such sign-in."""
    with suppress(ValueError):
        given = dict(parse_qsl(urlsplit(address.strip()).query))
        if state and given.get("state") == state:
            return given
    raise MCPServerError("That is not the address where the browser ended; try again, and copy the whole of it.")


def result_of(given: dict[str, str]) -> AuthorizationCodeResult:
    """Of the query that a browser came back with. Raises ``MCPServerError`` where the person did not agree."""
    if "code" not in given:
        why = clean(given.get("error_description") or given.get("error") or "no code came back")[:200]
        raise MCPServerError(f"Signing in was refused ({why}); try again.")
    return AuthorizationCodeResult(code=given["code"], state=given.get("state"), iss=given.get("iss"))


def _wider(authorization: str, scope: str) -> str:
    """The address with more rights in it."""
    if not scope:
        return authorization
    parts = urlsplit(authorization)
    query = dict(parse_qsl(parts.query))
    query["scope"] = " ".join(dict.fromkeys([*query.get("scope", "").split(), *scope.split()]))
    return urlunsplit(parts._replace(query=urlencode(query)))


class _Listening(ThreadingHTTPServer):
    """Until a browser comes with what the server's owner said."""

    def __init__(self, port: int, answered: asyncio.Future[dict[str, str]]) -> None:
        self.loop, self.answered = asyncio.get_running_loop(), answered
        self.state = ""  # that of the request which is answered; none is awaited yet
        super().__init__((HERE, port), _CameBack)

    def came(self, given: dict[str, str]) -> None:
        if not self.answered.done():
            self.answered.set_result(given)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a browser that goes away is none of the person's business."""


class _CameBack(BaseHTTPRequestHandler):
    timeout = 10.0

    def do_GET(self) -> None:
        listening = self.server
        assert isinstance(listening, _Listening)
        try:
            given = query_of(self.path, listening.state)
        except MCPServerError:  # a browser wants an icon, too
            return self.send_error(404)
        listening.loop.call_soon_threadsafe(listening.came, given)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(DONE)))
        self.end_headers()
        self.wfile.write(DONE)
        return None

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the path has the code in it."""
