"""Signing in to MCP servers: once with a browser, then without anybody, and never where nobody is."""

import asyncio
import os
import socket
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from mcp.shared.auth import OAuthToken

from tests.tools.guarded_server import Owner, guarded
from tools import mcp_sign_in
from tools.mcp_client import Offer, connect
from tools.mcp_connection import Address, MCPServerError
from tools.mcp_sign_in import Kept, Registered, SignInNeeded, signed_in, signing_in
from tools.tool import ToolError, ToolOutput

SECONDS = 20.0


async def browser(address: str) -> None:
    async with httpx.AsyncClient(follow_redirects=True, timeout=SECONDS) as client:
        await client.get(address)


async def nothing(address: str) -> None:
    """A browser that was closed."""


@asynccontextmanager
async def with_a_person(
    url: str, folder: Path, show: Callable[[str], Awaitable[None]] = browser, scope: str = ""
) -> AsyncIterator[Offer]:
    async with (
        signing_in(url, Kept(folder, url), show, scope=scope) as auth,
        connect(Address(url, auth=lambda: auth), SECONDS) as offer,
    ):
        yield offer


@asynccontextmanager
async def alone(url: str, folder: Path) -> AsyncIterator[Offer]:
    async with connect(Address(url, auth=lambda: signed_in(url, Kept(folder, url))), SECONDS) as offer:
        yield offer


async def looked(offer: Offer) -> str:
    (look,) = offer.tools
    output = await look.call(look.arguments.model_validate({}))
    assert isinstance(output, ToolOutput)
    return output.text


async def test_who_signed_in_once_is_not_asked_again(tmp_path: Path) -> None:
    owner = Owner()
    async with guarded(owner) as url:
        async with with_a_person(url, tmp_path) as offer:
            assert await looked(offer) == "seen"
        async with alone(url, tmp_path) as offer:
            assert await looked(offer) == "seen"
    assert (owner.asked, owner.renewed, len(owner.clients)) == (1, 0, 1)


async def test_a_token_that_has_ended_is_renewed_where_it_came_from(tmp_path: Path) -> None:
    """The server that gives tokens has another address than the one that takes them."""
    owner = Owner(lasting=-1)
    async with guarded(owner) as url:
        with pytest.raises(MCPServerError):  # the first is no good: nothing else is proved by it
            async with with_a_person(url, tmp_path):
                pass
        owner.lasting = 3600
        async with alone(url, tmp_path) as offer:
            assert await looked(offer) == "seen"
    assert owner.renewed >= 1


def has_ended(kept: Kept) -> None:
    kept.write(ends=time.time() - 1)


async def test_two_that_find_a_token_ended_renew_it_once(tmp_path: Path) -> None:
    """Who shows an old token twice may lose all that was granted."""
    owner = Owner()
    async with guarded(owner) as url:
        async with with_a_person(url, tmp_path):
            pass
        has_ended(Kept(tmp_path, url))

        async def one() -> str:
            async with alone(url, tmp_path) as offer:
                return await looked(offer)

        assert await asyncio.gather(*(one() for _ in range(4))) == ["seen"] * 4
    assert (owner.asked, owner.renewed) == (1, 1)


async def test_who_signs_out_stays_out_where_a_run_goes_on(tmp_path: Path) -> None:
    owner, kept = Owner(lasting=1), None
    async with guarded(owner) as url:
        kept = Kept(tmp_path, url)
        async with with_a_person(url, tmp_path):
            pass
        async with alone(url, tmp_path) as offer:
            assert await looked(offer) == "seen"
            kept.forget()
            await asyncio.sleep(1.5)
            with pytest.raises(ToolError, match="wants you to sign in"):
                await looked(offer)
        assert not kept.signed_in
    assert len(owner.clients) == 1


async def test_more_rights_are_asked_for_though_what_was_granted_is_good(tmp_path: Path) -> None:
    owner = Owner()
    async with guarded(owner) as url:
        for _ in range(2):
            async with with_a_person(url, tmp_path):
                pass
    assert (owner.asked, len(owner.clients)) == (2, 1)


async def test_where_nobody_is_a_server_that_wants_a_person_says_what_to_do(tmp_path: Path) -> None:
    owner = Owner()
    async with guarded(owner) as url:
        with pytest.raises(SignInNeeded, match=r"wants you to sign in: `ponder mcp login`"):
            async with alone(url, tmp_path):
                pass
    assert (owner.asked, owner.clients) == (0, {})


async def test_what_is_taken_back_during_a_connection_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    owner = Owner()
    async with guarded(owner) as url:
        async with with_a_person(url, tmp_path) as offer:
            assert await looked(offer) == "seen"
        async with alone(url, tmp_path) as offer:
            owner.access.clear()
            owner.refresh.clear()
            with pytest.raises(ToolError, match="wants you to sign in"):
                await looked(offer)
            with pytest.raises(ToolError, match="wants you to sign in"):
                await looked(offer)
    assert owner.asked == 1


async def test_a_person_who_declines_is_taken_at_their_word(tmp_path: Path) -> None:
    async with guarded(Owner(declines=True)) as url:
        with pytest.raises(MCPServerError, match=r"Signing in was refused \(access_denied\)"):
            async with with_a_person(url, tmp_path):
                pass


async def test_nobody_is_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_sign_in, "PATIENCE", 0.3)
    async with guarded(Owner()) as url:
        with pytest.raises(MCPServerError, match=r"Nobody signed in within 0\.3 seconds"):
            async with with_a_person(url, tmp_path, nothing):
                pass


async def test_a_page_that_nobody_asked_for_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    async def attacked(address: str) -> None:
        back = parse_qs(urlsplit(address).query)["redirect_uri"][0]
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            for forged in ("", "?code=stolen", "?code=stolen&state=guessed", "favicon.ico"):
                assert (await client.get(back + forged)).status_code == 404
        await browser(address)

    async with guarded(Owner()) as url, with_a_person(url, tmp_path, attacked) as offer:
        assert await looked(offer) == "seen"


async def test_more_rights_are_asked_for_beside_those_that_the_server_names(tmp_path: Path) -> None:
    wanted: list[str] = []

    async def noted(address: str) -> None:
        wanted.extend(parse_qs(urlsplit(address).query)["scope"][0].split())
        await browser(address)

    async with guarded(Owner()) as url:
        with pytest.raises(MCPServerError, match="not registered with scope write"):  # this owner gives no more
            async with with_a_person(url, tmp_path, noted, scope="write read"):
                pass
    assert wanted == ["read", "write"]


async def test_what_is_kept_is_for_its_owner_only_and_can_be_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    async with guarded(Owner()) as url:
        async with with_a_person(url, folder):
            pass
        (file,) = folder.glob("*.json")
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        Kept(folder, url).forget()
        assert not Kept(folder, url).signed_in
        assert not list(folder.glob("*.json"))


async def test_the_browser_comes_back_to_the_address_that_was_registered(tmp_path: Path) -> None:
    owner, ports = Owner(), list[int | None]()

    async def noted(address: str) -> None:
        ports.append(urlsplit(parse_qs(urlsplit(address).query)["redirect_uri"][0]).port)
        await browser(address)

    async with guarded(owner) as url:
        for _ in range(2):
            async with with_a_person(url, tmp_path, noted):
                owner.access.clear()
            owner.refresh.clear()
    assert len(ports) == 2
    assert ports[0] == ports[1]
    assert len(owner.clients) == 1


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MCPServerError, match=f"Port {port} of this machine is taken"):
            async with signing_in("http://127.0.0.1:1/mcp", Kept(tmp_path, "url"), browser, port=port):
                pass


def test_a_program_of_its_own_needs_its_secret(tmp_path: Path) -> None:
    with pytest.raises(MCPServerError, match="needs a client_secret"):
        signed_in("http://127.0.0.1:1/mcp", Kept(tmp_path, "url"), Registered("me", alone=True))


def test_a_file_that_is_broken_is_named(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "url")
    kept.write(tokens=OAuthToken(access_token="token"))
    (file,) = tmp_path.glob("*.json")
    for broken in ("{", "[]", '{"tokens": 7}'):
        file.write_text(broken)
        with pytest.raises(MCPServerError, match="cannot be read"):
            signed_in("http://127.0.0.1:1/mcp", kept)
