"""Versions behind the door: only an admin sees and changes what answers."""

from pathlib import Path

from agent.doors.keys import Limits, create
from agent.policy import registry
from agent.policy.registry import Origin
from tests.agent.doors.rest.conftest import Opening
from tests.agent.doors.rest.test_entrance import bearer
from tests.agent.policy.registering import complete


async def test_an_admin_lists_promotes_and_goes_back_and_nobody_else_does(
    door: Opening, home: Path, tmp_path: Path
) -> None:
    asks, boss = create(home, "asks", ["ask"], Limits()), create(home, "boss", ["admin"], Limits())
    version = registry.add(home, complete(tmp_path / "model", b"weights"), Origin(base="a/base")).id
    opened = await door({})
    for method, path in (("GET", ""), ("POST", "/promote"), ("POST", "/rollback")):
        body = {"version": version} if path == "/promote" else None
        answer = await opened.http.request(method, f"/v1/versions{path}", headers=bearer(asks), json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")
    assert registry.current(home).promoted is None
    listed = (await opened.http.get("/v1/versions", headers=bearer(boss))).json()
    assert [each["id"] for each in listed["data"]] == [version]
    promoted = await opened.http.post("/v1/versions/promote", json={"version": version[:12]}, headers=bearer(boss))
    assert promoted.json() == {"promoted": version, "answers": "scripted@1"}
    back = await opened.http.post("/v1/versions/rollback", headers=bearer(boss))
    assert back.json()["promoted"] is None


async def test_what_cannot_be_promoted_is_refused_in_a_sentence(door: Opening) -> None:
    opened = await door({})
    answer = await opened.http.post("/v1/versions/promote", json={"version": "nothing"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "version_refused")
    answer = await opened.http.post("/v1/versions/rollback")
    assert "there is nothing to go back to" in answer.json()["error"]["message"]
