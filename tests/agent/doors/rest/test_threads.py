"""Conversations that the server keeps: begun, gone on with, forked, and removed with all that was said in them."""

from pathlib import Path
from typing import Any

from agent.doors.keys import Limits, create
from tests.agent.doors.rest.conftest import Open, Opening
from tests.agent.doors.rest.test_entrance import bearer
from tests.agent.scripted import model_of, spelled


async def said(opened: Open, thread_id: str, question: str) -> dict[str, Any]:
    asked = {"question": question, "thread_id": thread_id, "effort": "low", "wait": 10}
    answer = (await opened.http.post("/v1/runs", json=asked)).json()
    assert answer["status"] == "finished"
    return answer


def read(opened: Open) -> str:
    """The last prompt of the model."""
    return spelled(opened.agent, model_of(opened.agent).prompts[-1])


async def thread(opened: Open) -> dict[str, Any]:
    return (await opened.http.post("/v1/threads")).json()


async def test_a_thread_is_begun_and_gone_on_with(door: Opening) -> None:
    opened = await door({})
    begun = await thread(opened)
    assert (begun["runs"], begun["title"], begun["key"]) == (0, None, "local")
    await said(opened, begun["thread_id"], "How many pens?")
    await said(opened, begun["thread_id"], "And books?")
    assert read(opened).index("How many pens?") < read(opened).index("Answer: 75") < read(opened).index("And books?")
    now = (await opened.http.get(f"/v1/threads/{begun['thread_id']}")).json()
    assert (now["runs"], now["title"]) == (2, "How many pens?")
    [listed] = (await opened.http.get("/v1/threads")).json()["data"]
    assert listed == now


async def test_a_fork_begins_as_the_thread_stood_after_a_run_and_goes_its_own_way(door: Opening) -> None:
    opened = await door({})
    old = (await thread(opened))["thread_id"]
    first = await said(opened, old, "How many pens?")
    await said(opened, old, "And books?")
    new = (await opened.http.post(f"/v1/threads/{old}/fork", json={"run_id": first["run_id"]})).json()
    assert (new["parent"], new["runs"]) == (old, 0)
    await said(opened, new["thread_id"], "And cats?")
    assert "How many pens?" in read(opened)
    assert "And books?" not in read(opened)
    await said(opened, old, "And dogs?")
    assert "And cats?" not in read(opened)
    whole = (await opened.http.post(f"/v1/threads/{new['thread_id']}/fork")).json()["thread_id"]
    await said(opened, whole, "And owls?")
    assert read(opened).index("How many pens?") < read(opened).index("And cats?") < read(opened).index("And owls?")


async def test_a_fork_at_a_run_of_another_thread_is_refused(door: Opening) -> None:
    opened = await door({})
    one, two = [(await thread(opened))["thread_id"] for _ in range(2)]
    run = await said(opened, one, "How many pens?")
    await said(opened, two, "How many pens?")
    answer = await opened.http.post(f"/v1/threads/{two}/fork", json={"run_id": run["run_id"]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "run_id")


async def test_a_thread_is_removed_with_its_runs_and_a_fork_goes_on_without_them(door: Opening) -> None:
    opened = await door({})
    old = (await thread(opened))["thread_id"]
    await said(opened, old, "How many pens?")
    new = (await opened.http.post(f"/v1/threads/{old}/fork")).json()["thread_id"]
    assert (await opened.http.delete(f"/v1/threads/{old}")).json() == {
        "id": old, "object": "thread", "deleted": True, "runs": 1,
    }  # fmt: skip
    assert opened.agent.store.runs() == []
    assert (await opened.http.get(f"/v1/threads/{old}")).status_code == 404
    await said(opened, new, "And cats?")
    assert "How many pens?" not in read(opened)


async def test_a_thread_stays_with_the_key_that_began_it_whoever_asks_in_it(door: Opening, home: Path) -> None:
    alice, root = create(home, "alice", ["ask"], Limits()), create(home, "root", ["admin", "ask"], Limits())
    opened = await door({})
    asked = {"question": "How many pens?", "effort": "low", "wait": 10}
    run = (await opened.http.post("/v1/runs", json=asked, headers=bearer(alice))).json()
    place = f"/v1/threads/{run['thread_id']}"
    await opened.http.post("/v1/runs", json=asked | {"thread_id": run["thread_id"]}, headers=bearer(root))
    assert (await opened.http.get(place, headers=bearer(alice))).json()["key"] == "alice"


async def test_deleting_gives_no_tokens_back(door: Opening, home: Path) -> None:
    secret = create(home, "shop", ["ask"], Limits(tokens=1))
    opened = await door({})
    asked = {"question": "How many pens?", "effort": "low", "wait": 10}
    run = (await opened.http.post("/v1/runs", json=asked, headers=bearer(secret))).json()
    [before] = (await opened.http.get("/v1/usage", headers=bearer(secret))).json()["data"]
    await opened.http.delete(f"/v1/threads/{run['thread_id']}", headers=bearer(secret))
    assert (await opened.http.get("/v1/usage", headers=bearer(secret))).json()["data"] == [before]
    refused = await opened.http.post("/v1/runs", json=asked, headers=bearer(secret))
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400


async def test_a_thread_is_its_keys_own(door: Opening, home: Path) -> None:
    mine, yours = create(home, "mine", ["ask"], Limits()), create(home, "yours", ["ask"], Limits())
    opened = await door({})
    begun = (await opened.http.post("/v1/threads", headers=bearer(mine))).json()["thread_id"]
    for method, path in (("GET", ""), ("POST", "/fork"), ("DELETE", "")):
        answer = await opened.http.request(method, f"/v1/threads/{begun}{path}", headers=bearer(yours))
        assert answer.status_code == 404
    assert (await opened.http.get("/v1/threads", headers=bearer(yours))).json()["data"] == []
    asked = {"question": "How many pens?", "thread_id": begun}
    assert (await opened.http.post("/v1/runs", json=asked, headers=bearer(yours))).status_code == 404


async def test_pages_of_threads_follow_one_another(door: Opening) -> None:
    opened = await door({})
    names = [(await thread(opened))["thread_id"] for _ in range(5)]
    page = (await opened.http.get("/v1/threads", params={"limit": 2})).json()
    rest = (await opened.http.get("/v1/threads", params={"before": page["data"][-1]["last_at"]})).json()
    assert [each["thread_id"] for each in page["data"] + rest["data"]] == names[::-1]
    assert (page["has_more"], rest["has_more"]) == (True, False)
