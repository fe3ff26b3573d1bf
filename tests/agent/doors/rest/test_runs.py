"""Runs of their own: they go on without their client, are followed from anywhere, and belong to a key."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from agent.doors.keys import Limits, create
from agent.doors.telling import Happening
from tests.agent.doors.rest.conftest import Open, Opening, until
from tests.agent.doors.rest.test_entrance import bearer
from tests.agent.scripted import ROOT_SEED, Say, call, forever, model_of
from tests.agent.test_approval import FORM, greet, letterbox

ASKED: dict[str, Any] = {"question": "How many pens?", "effort": "low", "seed": ROOT_SEED}
HAPPENING: TypeAdapter[Any] = TypeAdapter(Happening)


async def started(opened: Open, **more: Any) -> dict[str, Any]:
    answer = await opened.http.post("/v1/runs", json=ASKED | more)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


async def told(opened: Open, run_id: str, after: int | None = None, most: int = 1_000) -> list[tuple[str | None, Any]]:
    """The events of a run with their ids, as a client hears them, each of the form that the document says."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    heard, number = [], None
    async with opened.http.stream("GET", f"/v1/runs/{run_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            number = line.removeprefix("id: ") if line.startswith("id: ") else number
            if line.startswith("data: "):
                heard.append(json.loads(line.removeprefix("data: ")))
                HAPPENING.validate_python(heard[-1])
            if not line and heard:
                heard[-1] = heard[-1] if isinstance(heard[-1], tuple) else (number, heard[-1])
                number = None
            if len(heard) >= most and isinstance(heard[-1], tuple):
                break
    return heard


def kinds(heard: list[tuple[str | None, Any]]) -> list[str]:
    return [event["type"] for _, event in heard]


async def test_a_run_goes_on_without_its_client_and_is_there_to_be_read(door: Opening) -> None:
    opened = await door({(0,): "<think>Seven.</think>Answer: 12"})
    run = await started(opened)
    assert run["status"] == "running"
    run = (await opened.http.get(f"/v1/runs/{run['run_id']}", params={"wait": 10})).json()
    assert (run["status"], run["answer"], run["question"]) == ("finished", "Answer: 12", "How many pens?")
    assert run == await started_again_as_listed(opened)


async def started_again_as_listed(opened: Open) -> dict[str, Any]:
    [run] = (await opened.http.get("/v1/runs")).json()["data"]
    return run


async def test_an_answer_may_be_waited_for_at_once(door: Opening) -> None:
    answer = await (await door({})).http.post("/v1/runs", json=ASKED | {"wait": 10})
    assert (answer.status_code, answer.json()["answer"]) == (200, "Answer: 75")
    assert answer.headers["Location"] == f"/v1/runs/{answer.json()['run_id']}"


async def test_what_happens_is_heard_from_the_beginning_however_late_one_comes(door: Opening) -> None:
    go = asyncio.Event()
    turns = {
        (0,): "<think>I work.</think>" + call("calculator", expression="5+7"),
        (0, 0): Say("Answer: 12", wait=go.wait),
    }
    opened = await door(turns)
    run = await started(opened)
    await until(lambda: len(model_of(opened.agent).prompts) == 2, 10)
    listening = asyncio.create_task(told(opened, run["run_id"]))
    await asyncio.sleep(0.1)
    go.set()
    heard = await listening
    assert [int(number or 0) for number, _ in heard] == list(range(1, len(heard) + 1))
    firsts = list(dict.fromkeys(kinds(heard)))
    assert firsts == [
        "run.started", "thought.delta", "tool.started", "tool.finished", "answer.delta", "candidate.finished",
        "candidate.scored", "candidate.selected", "run.finished",
    ]  # fmt: skip
    assert heard[-1][1]["run"]["answer"] == "Answer: 12"


async def test_a_connection_that_broke_goes_on_after_the_last_event_that_came(door: Opening) -> None:
    go = asyncio.Event()
    opened = await door({(0,): Say("one two three four five six seven", after=6, wait=go.wait)})
    run = await started(opened)
    first = await told(opened, run["run_id"], most=2)
    go.set()
    rest = await told(opened, run["run_id"], after=2)
    assert [number for number, _ in first] == ["1", "2"]
    if len(rest) > 1:  # it may have ended before the client came back
        assert rest[0][0] == "3"
    assert kinds(rest)[-1] == "run.finished"
    assert await told(opened, run["run_id"]) == [*first, *await told(opened, run["run_id"], after=2)]
    opened.conductor.forget(run["run_id"])  # as after a while
    assert kinds(await told(opened, run["run_id"])) == ["run.finished"]


@pytest.mark.parametrize("number", [99, 999_999])
async def test_a_number_that_was_not_given_yet_begins_from_the_first_event(door: Opening, number: int) -> None:
    go = asyncio.Event()
    opened = await door({(0,): Say("one two three", after=3, wait=go.wait)})
    run = await started(opened)
    first = await told(opened, run["run_id"], after=number, most=1)
    assert kinds(first) == ["run.started"]
    assert (await opened.http.get("/healthz", timeout=5)).status_code == 200
    go.set()


async def test_a_run_is_cancelled_and_keeps_what_it_had(door: Opening) -> None:
    opened = await door({(0,): Say("Once upon a time there was", after=3, wait=forever)})
    run = await started(opened)
    await until(lambda: model_of(opened.agent).prompts, 10)
    stopped = (await opened.http.post(f"/v1/runs/{run['run_id']}/cancel")).json()
    assert stopped["status"] == "cancelled"
    assert model_of(opened.agent).broken_off == 1
    assert (await opened.http.get(f"/v1/runs/{run['run_id']}/tree")).json()["data"][0]["sample"]["sampled_tokens"] == 3
    again = await opened.http.post(f"/v1/runs/{run['run_id']}/cancel")
    assert (again.status_code, again.json()) == (200, stopped)


async def test_candidates_and_the_tree_tell_what_others_hide(door: Opening) -> None:
    opened = await door({(0,): "Answer: 7", (1,): "Answer: 12", (2,): "Answer: 12"})
    run = await started(opened, effort="medium", wait=10)
    found = (await opened.http.get(f"/v1/runs/{run['run_id']}/candidates")).json()["data"]
    assert [each["answer"] for each in found][:3] == ["Answer: 7", "Answer: 12", "Answer: 12"]
    [chosen] = [each for each in found if each["chosen"]]
    assert chosen["answer"] == "Answer: 12"
    assert {verdict["verifier"] for verdict in chosen["verdicts"]} == {"consensus", "format"}
    nodes = (await opened.http.get(f"/v1/runs/{run['run_id']}/tree")).json()["data"]
    assert [node["path"] for node in nodes] == [[i] for i in range(len(found))]
    assert all(node["sample"]["sampled_tokens"] > 0 for node in nodes)


async def test_a_thread_answers_one_question_at_a_time(door: Opening) -> None:
    opened = await door({(0,): Say("Once upon a time there was", after=3, wait=forever)})
    first = await started(opened)
    await until(lambda: model_of(opened.agent).prompts, 10)
    busy = await opened.http.post("/v1/runs", json=ASKED | {"thread_id": first["thread_id"]})
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "run_under_way")
    assert first["thread_id"] in busy.json()["error"]["message"]
    await opened.http.post(f"/v1/runs/{first['run_id']}/cancel")
    assert (await started(opened, thread_id=first["thread_id"], seed=1, wait=10))["status"] == "finished"


async def test_a_thread_or_a_parameter_that_is_not_there_is_refused(door: Opening) -> None:
    opened = await door({})
    for sent, status, param in (({"thread_id": "nope"}, 404, None), ({"efort": "low"}, 400, "efort")):
        answer = await opened.http.post("/v1/runs", json=ASKED | sent)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert opened.agent.store.runs() == []


async def test_feedback_lands_on_the_run_that_the_trainer_reads(door: Opening) -> None:
    opened = await door({(0,): "Answer: 7", (1,): "Answer: 12", (2,): "Answer: 12"})
    run = await started(opened, effort="medium", wait=10)
    said = {"run_id": run["run_id"], "value": -1, "comment": "no", "preferred": [0]}
    assert (await opened.http.post("/v1/feedback", json=said)).json()["count"] == 1
    [kept] = opened.agent.store.feedback(run["run_id"])
    assert (kept.value, kept.comment, kept.preferred) == (-1, "no", (0,))
    [read] = (await opened.http.get(f"/v1/runs/{run['run_id']}/feedback")).json()["data"]
    assert (read["value"], read["comment"], read["preferred"]) == (-1, "no", [0])
    for wrong in ({"preferred": [9]}, {"value": 2}, {}, {"run_id": "nobody", "value": 1}):
        answer = await opened.http.post("/v1/feedback", json={"run_id": run["run_id"]} | wrong)
        assert answer.status_code in (400, 404)
    assert len(opened.agent.store.feedback(run["run_id"])) == 1


async def test_a_run_is_its_keys_own_and_an_admins(door: Opening, home: Path) -> None:
    mine, yours = create(home, "mine", ["ask"], Limits()), create(home, "yours", ["ask"], Limits())
    boss = create(home, "boss", ["admin"], Limits())
    opened = await door({})
    run = (await opened.http.post("/v1/runs", json=ASKED | {"wait": 10}, headers=bearer(mine))).json()
    place = f"/v1/runs/{run['run_id']}"

    async def status(secret: str, method: str, path: str) -> int:
        return (await opened.http.request(method, path, headers=bearer(secret))).status_code

    for method, path in (("GET", place), ("GET", f"{place}/tree"), ("POST", f"{place}/cancel"), ("DELETE", place)):
        assert await status(yours, method, path) == 404
    assert (await opened.http.get("/v1/runs", headers=bearer(yours))).json()["data"] == []
    assert await status(boss, "GET", place) == 200
    other = await opened.http.post("/v1/runs", json=ASKED | {"thread_id": run["thread_id"]}, headers=bearer(yours))
    assert other.status_code == 404
    assert await status(mine, "DELETE", place) == 200
    assert await status(mine, "GET", place) == 404


async def test_a_run_that_says_so_is_never_learned_from(door: Opening) -> None:
    opened = await door({})
    run = await started(opened, train=False, metadata={"team": "a"}, wait=10)
    assert opened.agent.store.run(run["run_id"]).metadata == {"train": "no", "client": {"team": "a"}, "key": "local"}


async def test_a_server_that_ends_leaves_runs_that_can_be_gone_on_with(door: Opening) -> None:
    opened = await door({(0,): Say("Once upon a time there was", after=3, wait=forever)})
    run = await started(opened)
    await until(lambda: model_of(opened.agent).prompts, 10)
    await opened.conductor.close(0)
    assert opened.agent.store.under_way() == []
    place = f"/v1/runs/{run['run_id']}"
    assert (await opened.http.get(place)).json()["status"] == "interrupted"
    [listed] = (await opened.http.get("/v1/runs")).json()["data"]
    assert listed["status"] == "interrupted"
    for status, count in (("running", 0), ("interrupted", 1)):
        found = await opened.http.get("/v1/runs", params={"status": status})
        assert len(found.json()["data"]) == count
    opened.conductor.forget(run["run_id"])
    assert kinds(await told(opened, run["run_id"])) == ["run.interrupted"]
    model_of(opened.agent).script = lambda prompt, params: "Answer: 12"
    assert (await opened.http.post(f"{place}/resume")).status_code in (200, 202)
    ended = (await opened.http.get(place, params={"wait": 10})).json()
    assert (ended["status"], ended["answer"]) == ("finished", "Answer: 12")


async def test_a_run_that_was_interrupted_can_be_cancelled(door: Opening) -> None:
    opened = await door({(0,): Say("Once upon a time there was", after=3, wait=forever)})
    run = await started(opened)
    await until(lambda: model_of(opened.agent).prompts, 10)
    await opened.conductor.close(0)
    stopped = await opened.http.post(f"/v1/runs/{run['run_id']}/cancel")
    assert (stopped.status_code, stopped.json()["status"]) == (200, "cancelled")
    assert (await opened.http.post(f"/v1/runs/{run['run_id']}/resume")).status_code == 400


async def test_a_thread_answers_nothing_else_while_one_of_its_runs_is_gone_on_with(door: Opening) -> None:
    opened = await door({(0,): Say("Once upon a time there was", after=3, wait=forever)})
    run = await started(opened)
    await until(lambda: model_of(opened.agent).prompts, 10)
    await opened.conductor.close(0)
    assert (await opened.http.post(f"/v1/runs/{run['run_id']}/resume")).status_code == 202
    busy = await opened.http.post("/v1/runs", json=ASKED | {"thread_id": run["thread_id"]})
    assert busy.status_code == 409


async def test_a_run_that_a_killed_process_left_goes_on(door: Opening) -> None:
    opened = await door({(0,): Say("Once upon a time there was", after=3, wait=forever)})
    run = await started(opened)
    await until(lambda: model_of(opened.agent).prompts, 10)
    await opened.http.post(f"/v1/runs/{run['run_id']}/cancel")
    answer = await opened.http.post(f"/v1/runs/{run['run_id']}/resume")
    assert answer.status_code == 400
    assert "only a run that was killed goes on" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/runs/nobody", "/v1/runs/nobody/events", "/v1/runs/nobody/tree"])
async def test_a_run_that_is_not_there_is_not_found(door: Opening, path: str) -> None:
    answer: httpx.Response = await (await door({})).http.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


# --- a person's word --------------------------------------------------------------------------------------------------


async def waits(opened: Open, run_id: str, headers: dict[str, str] | None = None) -> list[Any]:
    """The calls that wait for a word, once there is one."""
    async with asyncio.timeout(10):
        while True:
            answer = await opened.http.get(f"/v1/runs/{run_id}/approvals", headers=headers)
            assert answer.status_code == 200, answer.text
            if found := answer.json()["data"]:
                return found


@pytest.mark.parametrize("approve", [True, False])
async def test_a_call_waits_until_somebody_says_whether_it_is_made(door: Opening, approve: bool) -> None:
    post, posted = letterbox()
    opened = await door({(0,): call("post", letter="Dear Ann")}, post)
    run = await started(opened)
    [needed] = await waits(opened, run["run_id"])
    assert (needed["path"], needed["index"], needed["name"]) == ([0], 0, "post")
    place = f"/v1/runs/{run['run_id']}/approvals"
    word = {"id": needed["id"], "approve": approve, "comment": "" if approve else "not today"}
    assert (await opened.http.post(place, json=word)).status_code == 200
    heard = await told(opened, run["run_id"])
    assert kinds(heard).count("approval.given") == 1
    assert heard[-1][1]["run"]["status"] == "finished"
    assert posted == (["Dear Ann"] if approve else [])
    tree = (await opened.http.get(f"/v1/runs/{run['run_id']}/tree")).json()["data"]
    said = tree[0]["tool_results"][0]
    assert said["output"] == "posted" if approve else said["error"].endswith("It was not made: not today.")
    assert (await opened.http.post(place, json=word)).status_code == 404
    assert (await opened.http.get(place)).json()["data"] == []


async def test_what_a_tool_wants_to_know_is_asked_with_a_form_that_has_to_be_filled(door: Opening) -> None:
    opened = await door({(0,): call("greet")}, greet)
    run = await started(opened)
    [needed] = await waits(opened, run["run_id"])
    assert needed["form"] == FORM
    place, word = f"/v1/runs/{run['run_id']}/approvals", {"id": needed["id"], "approve": True}
    wrong = await opened.http.post(place, json=word | {"content": {"name": 7}})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "content")
    assert "name: 7 is not of type 'string'." in wrong.json()["error"]["message"]
    right = await opened.http.post(place, json=word | {"content": {"name": "Ann"}})
    assert right.status_code == 200
    assert "Ann" not in right.text
    await told(opened, run["run_id"])
    tree = (await opened.http.get(f"/v1/runs/{run['run_id']}/tree")).json()["data"]
    assert tree[0]["tool_results"][0]["output"] == "Hello, Ann."


async def test_nobody_else_may_say_it(door: Opening, home: Path) -> None:
    post, posted = letterbox()
    opened = await door({(0,): call("post", letter="Dear Ann")}, post)
    ours, theirs = (bearer(create(home, name, ("ask",), Limits())) for name in ("ours", "theirs"))
    run = (await opened.http.post("/v1/runs", json=ASKED, headers=ours)).json()
    place = f"/v1/runs/{run['run_id']}/approvals"
    [needed] = await waits(opened, run["run_id"], ours)
    word = {"id": needed["id"], "approve": True}
    assert (await opened.http.post(place, json=word, headers=theirs)).status_code == 404
    assert posted == []
    await opened.http.post(f"/v1/runs/{run['run_id']}/cancel", headers=ours)


async def test_where_nobody_can_be_asked_a_call_is_not_made(door: Opening) -> None:
    post, posted = letterbox()
    opened = await door({(0,): call("post", letter="Dear Ann")}, post)
    answer = await opened.openai.chat.completions.create(
        model="ponder-low", messages=[{"role": "user", "content": "Write."}], seed=ROOT_SEED
    )
    assert (answer.choices[0].message.content, posted) == ("Answer: 75", [])
