"""What a sentence about a server says, and what it keeps to itself; who sees the key."""

import asyncio
import json

import openai
import pytest

from agent.policy.connect import checked
from agent.policy.policy import PolicyError
from agent.policy.wire import (
    LONGEST,
    EndpointDenied,
    EndpointMalformed,
    EndpointRefused,
    EndpointUnknown,
    EndpointUnreachable,
    Server,
    loopback,
    make_client,
    named_errors,
)
from tests.agent.policy.servers import Answer, hang, hostile, says

JSON = "application/json"
KEY, PASSWORD = "sk-GEHEIM", "PW@1"


async def asked(server: Server) -> PolicyError:
    """What listing the models of a server that fails is told as."""
    async with make_client(server) as client:
        try:
            with named_errors(server):
                await client.get("/models", cast_to=object)
                raise ValueError(f"{server.api_key} at {server.base_url}")
        except PolicyError as error:
            return error


def refuses(status: str, said: str) -> Answer:
    return says(JSON, json.dumps({"error": {"message": said}}), status=status)


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "401 Unauthorized", "404 Not Found", "500 Broken"])
async def test_a_sentence_holds_no_secret_and_is_not_without_end(status: str) -> None:
    async with hostile(refuses(status, f"Bearer {KEY} {'A' * 5_000_000} {KEY}")) as url:
        error = str(await asked(Server(url.replace("//", f"//bob:{PASSWORD}@"), "tiny", KEY)))
    assert "GEHEIM" not in error
    assert "PW" not in error
    assert url.removesuffix("/v1") in error
    assert len(error) < LONGEST + 300


async def test_where_nobody_answers_the_password_is_not_told_either() -> None:
    async with hostile(hang) as url:
        pass
    error = await asked(Server(url.replace("//", f"//bob:{PASSWORD}@"), "tiny", KEY))
    assert isinstance(error, EndpointUnreachable)
    assert str(error) == f"No server answers at {url}; start it or correct --base-url (PONDER_BASE_URL)."
    assert KEY not in repr(Server("http://x/v1", "tiny", KEY))
    assert PASSWORD not in repr(Server(f"http://bob:{PASSWORD}@x/v1", "tiny"))


async def test_a_server_that_was_found_by_its_note_is_not_looked_for_elsewhere() -> None:
    async with hostile(hang) as url:
        pass
    error = str(await asked(Server(url, "tiny", KEY, kept=True)))
    assert "PONDER_BASE_URL" not in error
    assert "`ponder model serve`" in error


@pytest.mark.parametrize(
    "address", [f"http://bob:{PASSWORD}@host:99999/v1", f"bob:{PASSWORD}@host/v1", "http://b:P/W@h"]
)
def test_an_address_that_is_none_is_told_without_its_password(address: str) -> None:
    with pytest.raises(EndpointRefused) as raised:
        checked(address)
    assert "P" not in str(raised.value)


@pytest.mark.parametrize("key", ["schlüssel-GEHEIM", "GEH EIM", "GEHEIM\x7f", "GEHEIM\r\nx: y"])
def test_a_key_that_no_request_can_carry_is_refused_without_naming_it(key: str) -> None:
    with pytest.raises(EndpointDenied, match="set PONDER_API_KEY again") as raised:
        make_client(Server("http://127.0.0.1:9/v1", "tiny", key))
    assert "EIM" not in str(raised.value)


@pytest.mark.parametrize(("key", "sent"), [(f"{KEY}\n", KEY), (f" {KEY} ", KEY), ("", "none"), (None, "none")])
def test_what_is_around_a_key_is_not_sent(key: str | None, sent: str) -> None:
    assert make_client(Server("http://127.0.0.1:9/v1", "tiny", key)).api_key == sent


@pytest.mark.parametrize(("key", "wanted"), [(None, "wants a key"), ("wrong", "wants another key")])
async def test_who_gave_no_key_is_not_asked_for_another(key: str | None, wanted: str) -> None:
    async with hostile(refuses("401 Unauthorized", "no")) as url:
        assert wanted in str(await asked(Server(url, "tiny", key)))


async def test_an_address_without_a_path_is_told_where_most_servers_are() -> None:
    async with hostile(refuses("404 Not Found", "no")) as url:
        bare = url.removesuffix("/v1")
        error = await asked(Server(bare, "tiny"))
        assert isinstance(error, EndpointUnknown)
        assert f"(most servers are at {bare}/v1)" in str(error)
        assert "most servers" not in str(await asked(Server(url, "tiny")))


async def test_no_proxy_sees_the_key_of_a_server_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[asyncio.StreamWriter] = []

    async def proxy(writer: asyncio.StreamWriter) -> None:
        seen.append(writer)

    async with hostile(proxy) as between, hostile(says(JSON, "{}")) as url:
        for name in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(name, between.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        assert isinstance(await asked(Server(url, "tiny", KEY)), EndpointMalformed)  # it was answered
        assert not seen
        async with make_client(Server("http://model.example/v1", "tiny")) as client:
            with pytest.raises(openai.APIConnectionError):
                await client.get("/models", cast_to=object)
        assert seen


@pytest.mark.parametrize(
    ("address", "here"),
    [
        *[(f"http://{host}/v1", True) for host in ("127.0.0.1:8000", "localhost", "[::1]:8000")],
        *[(f"http://{host}/v1", False) for host in ("10.0.0.1", "localhost.example", "api.example:8000")],
    ],
)
def test_what_is_on_this_machine_is_known(address: str, here: bool) -> None:
    assert loopback(address) == here
