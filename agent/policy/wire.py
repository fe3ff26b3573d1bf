"""What every policy behind a server shares: the client, its deadlines, and names for what can go wrong on the way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

import openai

from agent.policy.policy import ContextTooLong, PolicyError

T = TypeVar("T")
LONGEST = 500  # characters of what a server says that a sentence quotes
# What reading an answer raises that has another form than it should, or brackets in brackets without end.
NO_PROTOCOL = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class EndpointError(PolicyError):
    """The server did not give an answer."""


class EndpointUnreachable(EndpointError):
    """Nobody answers at that address; it may be starting again."""

    passing = True


class EndpointStopped(EndpointError):
    """Who kept the server up does so no more."""


class EndpointTimeout(EndpointError):
    """The server was silent for longer than a deadline."""

    passing = True


class EndpointRefused(EndpointError):
    """The server answered with an error."""


class EndpointUnknown(EndpointRefused):
    """There is nothing of that name, or at that address."""


class EndpointBusy(EndpointError):
    """The server's queue is full, or it is about to start or to end."""

    passing = True


class EndpointFailed(EndpointError):
    """The server failed inside."""

    passing = True


class EndpointDenied(EndpointError):
    """The server does not know the key."""


class EndpointBroken(EndpointError):
    """The server's answer ended half way."""

    passing = True


class EndpointMalformed(EndpointError):
    """The server's answer is not what the protocol says."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds to wait at most."""

    connect: float = 10.0
    first_token: float = 300.0  # a queue and a long prompt included
    between_tokens: float = 60.0
    total: float = 1800.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is served, and what is known of it."""

    base_url: str = field(repr=False)  # up to and with /v1; a password may be in it
    model: str  # its name there
    api_key: str | None = field(default=None, repr=False)
    context_length: int = 32_768  # tokens; where a server does not say and has less, it refuses a longer prompt itself
    deadlines: Deadlines = Deadlines()
    kept: bool = False  # by `ponder model serve`, which left the address and the key

    @property
    def address(self) -> str:
        """The base URL as it may be shown."""
        return without_password(self.base_url)

    def quoted(self, said: object) -> str:
        """What the server or its client said, as it may be shown: no secrets, and not without end."""
        text = without_password(str(said).replace(self.base_url, self.address))
        key = (self.api_key or "").strip()
        text = text.replace(key, "***") if key else text
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def without_password(address: str) -> str:
    return re.sub(r"(?<=://)\S*@", "", address)


def make_client(server: Server) -> openai.AsyncOpenAI:
    """A client that never tries again by itself: a second request would sample twice.

    What is on this machine is asked directly, and no proxy sees its key. Raises ``EndpointDenied`` for a key that no
    request can carry.
    """
    key = (server.api_key or "").strip() or "none"
    if not all("!" <= c <= "~" for c in key):
        raise EndpointDenied(
            "The key has other characters than letters, digits and signs of ASCII; set PONDER_API_KEY again."
        )
    return openai.AsyncOpenAI(
        base_url=server.base_url,
        api_key=key,
        timeout=openai.Timeout(None, connect=server.deadlines.connect),  # the callers watch the rest
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(trust_env=not loopback(server.base_url)),
    )


def loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        return False


@contextmanager
def named_errors(server: Server) -> Iterator[None]:
    """Give what the client raises one of the names above."""
    at = server.address
    try:
        yield
    except (openai.APITimeoutError, TimeoutError) as error:
        sentence = f"The server at {at} does not answer in time; see whether it is overloaded."
        raise EndpointTimeout(sentence) from error
    except openai.APIStatusError as error:
        raise _refusal(server, error) from error
    except openai.APIConnectionError as error:
        if type(error.__cause__).__name__ == "ConnectError":  # of the client's own HTTP library
            correct = "start it or correct --base-url (PONDER_BASE_URL)"
            advice = "it may be starting again; see what `ponder model serve` says" if server.kept else correct
            raise EndpointUnreachable(f"No server answers at {at}; {advice}.") from error
        raise EndpointBroken(f"The server at {at} broke off its answer; look at its log.") from error
    except openai.APIError as error:  # told in the middle of a stream
        raise EndpointFailed(f"The server at {at} failed: {server.quoted(error.message)}; look at its log.") from error
    except (openai.OpenAIError, *NO_PROTOCOL) as error:
        what = server.quoted(repr(error))
        sentence = f"The server at {at} gave an answer that is not of its protocol ({what}); look at its log."
        raise EndpointMalformed(sentence) from error


def _refusal(server: Server, error: openai.APIStatusError) -> PolicyError:
    at, why = server.address, server.quoted(error.message)
    if error.status_code == 400 and "context length" in str(error):
        return ContextTooLong(f"The server at {at} has no room for the prompt ({why}); shorten it.")
    if error.status_code in (401, 403):
        wanted = "another key" if server.api_key else "a key"
        return EndpointDenied(f"The server at {at} wants {wanted} ({why}); set PONDER_API_KEY.")
    said = f"The server at {at} refused: {why}"
    if error.status_code in (429, 503):
        return EndpointBusy(f"{said}; ask again later or with fewer runs at once.")
    if error.status_code >= 500:
        return EndpointFailed(f"{said}; look at its log.")
    if error.status_code == 404:
        return EndpointUnknown(f"{said}; correct PONDER_BASE_URL{missing_path(server)} or PONDER_MODEL.")
    return EndpointRefused(f"{said}; look at its log.")


def missing_path(server: Server) -> str:
    """What the address lacks, where it ends with the host."""
    bare = not urlsplit(server.base_url).path.strip("/")
    return f" (most servers are at {server.address.rstrip('/')}/v1)" if bare else ""


async def timely(items: AsyncIterator[T], deadlines: Deadlines) -> AsyncGenerator[T, None]:
    """The items, each within its deadline. Raises ``TimeoutError``."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadlines.total
    patience = deadlines.first_token
    while True:
        try:
            async with asyncio.timeout_at(min(loop.time() + patience, end)):
                item = await anext(items)
        except StopAsyncIteration:
            return
        yield item
        patience = deadlines.between_tokens
