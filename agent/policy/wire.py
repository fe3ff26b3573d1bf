"""What every policy behind a server shares: the client, its deadlines, and names for what can go wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import openai

from agent.policy.policy import ContextTooLong, PolicyError

T = TypeVar("T")
# What reading an answer raises that has another form than it should, or brackets in brackets without end.
NO_PROTOCOL = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class EndpointError(PolicyError):
    """The server did not give an answer."""


class EndpointUnreachable(EndpointError):
    """Nobody answers at that address; it may be starting again."""

    passing = True


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

    base_url: str  # up to and with /v1
    model: str  # its name there
    api_key: str | None = field(default=None, repr=False)
    context_length: int = 32_768  # tokens; where a server does not say and has less, it refuses a longer prompt itself
    deadlines: Deadlines = Deadlines()


def make_client(server: Server) -> openai.AsyncOpenAI:
    """A client that never tries again by itself: a second request would sample twice."""
    timeout = openai.Timeout(None, connect=server.deadlines.connect)  # the callers watch the rest
    key = server.api_key or "none"
    return openai.AsyncOpenAI(base_url=server.base_url, api_key=key, timeout=timeout, max_retries=0)


@contextmanager
def named_errors(base_url: str) -> Iterator[None]:
    """Give what the client raises one of the names above."""
    try:
        yield
    except (openai.APITimeoutError, TimeoutError) as error:
        sentence = f"The server at {base_url} does not answer in time; see whether it is overloaded."
        raise EndpointTimeout(sentence) from error
    except openai.APIStatusError as error:
        raise _refusal(base_url, error) from error
    except openai.APIConnectionError as error:
        if type(error.__cause__).__name__ == "ConnectError":  # of the client's own HTTP library
            sentence = f"No server answers at {base_url}; start it or correct --base-url (PONDER_BASE_URL)."
            raise EndpointUnreachable(sentence) from error
        raise EndpointBroken(f"The server at {base_url} broke off its answer; look at its log.") from error
    except openai.APIError as error:  # told in the middle of a stream
        raise EndpointFailed(f"The server at {base_url} failed: {error.message}; look at its log.") from error
    except (openai.OpenAIError, *NO_PROTOCOL) as error:
        sentence = f"The server at {base_url} gave an answer that is not of its protocol ({error!r}); look at its log."
        raise EndpointMalformed(sentence) from error


def _refusal(base_url: str, error: openai.APIStatusError) -> PolicyError:
    if error.status_code == 400 and "context length" in str(error):
        return ContextTooLong(f"The server at {base_url} has no room for the prompt ({error.message}); shorten it.")
    if error.status_code in (401, 403):
        return EndpointDenied(f"The server at {base_url} wants another key ({error.message}); set PONDER_API_KEY.")
    said = f"The server at {base_url} refused: {error.message}"
    if error.status_code in (429, 503):
        return EndpointBusy(f"{said}; ask again later or with fewer runs at once.")
    if error.status_code >= 500:
        return EndpointFailed(f"{said}; look at its log.")
    if error.status_code == 404:
        return EndpointUnknown(f"{said}; correct PONDER_BASE_URL or PONDER_MODEL.")
    return EndpointRefused(f"{said}; look at its log.")


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
