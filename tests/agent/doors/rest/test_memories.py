"""Memories behind the door: written, told to the runs that ask for them, forgotten; a key's own."""

from pathlib import Path

from agent.doors.keys import Limits, create
from tests.agent.doors.rest.conftest import Opening
from tests.agent.doors.rest.test_entrance import bearer
from tests.agent.doors.rest.test_runs import started, waits
from tests.agent.scripted import call, model_of, spelled


async def test_a_fact_is_kept_told_and_forgotten(door: Opening) -> None:
    opened = await door({})
    made = await opened.http.post("/v1/memories", json={"text": "Their name is Ann."})
    assert made.status_code == 201
    assert (await opened.http.get("/v1/memories")).json()["data"] == [made.json()]
    for memory in (False, True):
        await started(opened, memory=memory, wait=10)
        assert ("Their name is Ann." in spelled(opened.agent, model_of(opened.agent).prompts[-1])) == memory
    place = f"/v1/memories/{made.json()['id']}"
    assert [(await opened.http.delete(place)).status_code for _ in range(2)] == [200, 404]
    await opened.http.post("/v1/memories", json={"text": "They like tea."})
    assert (await opened.http.delete("/v1/memories")).json()["count"] == 1
    assert (await opened.http.get("/v1/memories")).json()["data"] == []


async def test_a_run_keeps_a_fact_after_a_word(door: Opening) -> None:
    opened = await door({(0,): call("remember", fact="They like tea.")})
    run = await started(opened, memory=True)
    [needed] = await waits(opened, run["run_id"])
    word = {"id": needed["id"], "approve": True}
    await opened.http.post(f"/v1/runs/{run['run_id']}/approvals", json=word)
    await opened.http.get(f"/v1/runs/{run['run_id']}", params={"wait": 10})
    [memory] = (await opened.http.get("/v1/memories")).json()["data"]
    assert (memory["text"], memory["run_id"]) == ("They like tea.", run["run_id"])


async def test_another_keys_are_not_there(door: Opening, home: Path) -> None:
    ours, theirs = (bearer(create(home, name, ["ask"], Limits())) for name in ("ours", "theirs"))
    opened = await door({})
    made = (await opened.http.post("/v1/memories", json={"text": "x"}, headers=ours)).json()
    assert (await opened.http.get("/v1/memories", headers=theirs)).json()["data"] == []
    assert (await opened.http.delete(f"/v1/memories/{made['id']}", headers=theirs)).status_code == 404
    assert (await opened.http.post("/v1/memories", json={"text": " "}, headers=ours)).status_code == 400
