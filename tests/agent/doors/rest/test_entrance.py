"""The way in: keys, this machine's own browser pages and strangers', names of requests, bodies that are too long."""

import json
import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.doors.keys import Limits, create, revoke
from agent.doors.rest.entrance import MOST_BYTES
from tests.agent.doors.rest.conftest import Opening

BODY: Any = {"model": "ponder-low", "messages": [{"role": "user", "content": "How many pens?"}]}
CHAT = "/v1/chat/completions"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_where_there_are_keys_nobody_comes_in_without_one(door: Opening, home: Path) -> None:
    secret = create(home, "app", ["ask"], Limits())
    opened = await door({})
    for headers in ({}, bearer("pk-wrong"), {"Authorization": secret}, {"Authorization": f"Basic {secret}"}):
        answer = await opened.http.post(CHAT, json=BODY, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    answer = await opened.http.post(CHAT, json=BODY, headers=bearer(secret))
    assert answer.status_code == 200
    assert opened.agent.store.run(answer.json()["ponder"]["run_id"]).metadata["key"] == "app"
    assert (await opened.http.get("/healthz")).json() == {"status": "ok"}


async def test_the_description_of_the_api_is_open_and_comes_from_here_alone(door: Opening, home: Path) -> None:
    create(home, "app", ["ask"], Limits())
    opened = await door({}, local=False)
    page = (await opened.http.get("/docs")).text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) >= 3  # script, style, icon
    for file in files:
        assert (await opened.http.get(file)).status_code == 200
    assert "://" not in page
    described = (await opened.http.get("/openapi.json")).json()["paths"]
    assert described["/v1/runs"]["post"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in described["/healthz"]["get"]
    assert (await opened.http.get("/docs/files/../../v1/runs")).status_code == 401


async def test_a_key_that_has_expired_says_when(door: Opening, home: Path) -> None:
    secret = create(home, "app", ["ask"], Limits(), datetime.now(UTC) - timedelta(days=1))
    answer = await (await door({})).http.post(CHAT, json=BODY, headers=bearer(secret))
    assert answer.status_code == 401
    assert "The key app expired on" in answer.json()["error"]["message"]


async def test_a_key_needs_the_scope(door: Opening, home: Path) -> None:
    secret = create(home, "files", ["documents"], Limits())
    answer = await (await door({})).http.post(CHAT, json=BODY, headers=bearer(secret))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")


async def test_where_others_can_reach_the_socket_no_key_is_no_way_in(door: Opening) -> None:
    answer = await (await door({}, local=False)).http.post(CHAT, json=BODY)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Host": "["}, {"Origin": "null"}]
)
async def test_a_strangers_page_in_a_browser_of_this_machine_does_not_come_in(
    door: Opening, headers: dict[str, str]
) -> None:
    answer = await (await door({})).http.post(CHAT, json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_from_here")


@pytest.mark.parametrize("headers", [{}, {"Host": "localhost:99"}, {"Origin": "http://127.0.0.1:3000"}])
async def test_a_page_of_this_machine_comes_in(door: Opening, headers: dict[str, str]) -> None:
    assert (await (await door({})).http.post(CHAT, json=BODY, headers=headers)).status_code == 200


async def test_a_request_keeps_its_name_where_that_is_one(door: Opening) -> None:
    opened = await door({})
    answer = await opened.http.get("/v1/models", headers={"X-Request-Id": "mine-7"})
    assert answer.headers["X-Request-Id"] == "mine-7"
    answer = await opened.http.get("/nowhere", headers={"X-Request-Id": 'a"b'})
    assert len(answer.headers["X-Request-Id"]) == 32
    assert answer.json()["error"]["code"] == "unknown_url"


async def test_a_body_that_is_too_long_is_refused_declared_or_not(door: Opening) -> None:
    opened = await door({})

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MOST_BYTES // 2**20 + 1):
            yield b" " * 2**20

    for content in (b" " * (MOST_BYTES + 1), pieces()):
        answer = await opened.http.post(CHAT, content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_long")


async def test_a_line_is_logged_for_each_request_and_no_secret_in_it(
    door: Opening, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = create(home, "app", ["ask"], Limits())
    opened = await door({})
    with caplog.at_level(logging.INFO, "ponder.rest.access"):
        await opened.http.post(f"{CHAT}?token={secret}", json=BODY, headers=bearer(secret))
    [record] = [record for record in caplog.records if record.name == "ponder.rest.access"]
    line = json.loads(record.message)
    assert (line["method"], line["path"], line["status"], line["key"]) == ("POST", CHAT, 200, "app")
    assert secret not in record.message
    assert "pens" not in record.message


async def test_limits_of_a_key_are_told_with_when_to_come_again(door: Opening, home: Path) -> None:
    secret = create(home, "app", ["ask"], Limits(requests=1))
    opened = await door({})
    assert (await opened.http.post(CHAT, json=BODY, headers=bearer(secret))).status_code == 200
    answer = await opened.http.post(CHAT, json=BODY, headers=bearer(secret))
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(answer.headers["Retry-After"]) <= 60


async def test_what_was_used_is_told_to_whose_key_it_is_and_all_of_it_to_an_admin(door: Opening, home: Path) -> None:
    one, other = create(home, "one", ["ask"], Limits()), create(home, "other", ["ask"], Limits())
    admin = create(home, "boss", ["admin"], Limits())
    opened = await door({})
    for secret in (one, one, other):
        await opened.http.post(CHAT, json=BODY, headers=bearer(secret))
    [used] = (await opened.http.get("/v1/usage", headers=bearer(one))).json()["data"]
    assert (used["key"], used["runs"]) == ("one", 2)
    assert used["tokens"] == sum(
        run.usage.total_tokens for run in opened.agent.store.runs() if run.metadata["key"] == "one"
    )
    everybody = (await opened.http.get("/v1/usage", headers=bearer(admin))).json()["data"]
    assert [(each["key"], each["runs"]) for each in everybody] == [("one", 2), ("other", 1)]


async def test_who_revokes_the_last_key_opens_the_door_to_nobody(door: Opening, home: Path) -> None:
    secret = create(home, "only", ["ask"], Limits())
    opened = await door({})
    revoke(home, "only")
    assert (await opened.http.get("/v1/runs", headers=bearer(secret))).status_code == 401
    assert (await opened.http.get("/v1/runs")).status_code == 401
