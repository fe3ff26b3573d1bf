"""A request that is sent twice under one name is carried out once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, APITimeoutError

from agent.doors.keys import Limits, create
from agent.requests import KEPT, Requests
from agent.store import Store
from tests.agent.doors.rest.conftest import Opening, until
from tests.agent.doors.rest.test_chat import ASKED, joined, streamed
from tests.agent.doors.rest.test_entrance import bearer
from tests.agent.scripted import Say, forever, model_of

NAMED: dict[str, Any] = {"extra_headers": {"Idempotency-Key": "order-7"}}
RUN = {"question": "How many pens?", "effort": "low", "wait": 10}


async def test_the_second_of_two_gets_the_answer_of_the_first_whole_or_in_a_stream(door: Opening) -> None:
    opened = await door({(0,): "<think>Seven.</think>Answer: 12"})
    first: Any = await opened.openai.chat.completions.create(**ASKED, **NAMED)
    second: Any = await opened.openai.chat.completions.create(**ASKED, **NAMED)
    assert first == second
    other: Any = await opened.openai.chat.completions.create(**ASKED)
    assert other.id != first.id
    named: dict[str, Any] = {"extra_headers": {"Idempotency-Key": "order-8"}}
    once, again = [await streamed(opened, **named) for _ in range(2)]
    assert joined(once, "content") == joined(again, "content") == "Answer: 12"
    assert joined(once, "reasoning") == joined(again, "reasoning")
    assert once[0].id == again[0].id
    assert len(opened.agent.store.runs()) == 3


async def test_a_run_is_begun_once_however_often_it_is_asked_for(door: Opening) -> None:
    opened = await door({})
    answers = [await opened.http.post("/v1/runs", json=RUN, headers={"Idempotency-Key": "a"}) for _ in range(3)]
    assert len({answer.json()["run_id"] for answer in answers}) == 1


async def test_who_asks_again_while_it_is_under_way_waits_for_the_same_answer(door: Opening) -> None:
    go = asyncio.Event()
    opened = await door({(0,): Say("Answer: 12", wait=go.wait)})
    first = asyncio.create_task(opened.openai.chat.completions.create(**ASKED, **NAMED))
    await until(lambda: model_of(opened.agent).prompts, 10)
    second = asyncio.create_task(opened.openai.chat.completions.create(**ASKED, **NAMED))
    await asyncio.sleep(0.1)
    go.set()
    assert (await first).id == (await second).id


async def test_another_request_of_the_same_name_is_refused_and_another_keys_is_its_own(
    door: Opening, home: Path
) -> None:
    mine, yours = create(home, "mine", ["ask"], Limits()), create(home, "yours", ["ask"], Limits())
    opened = await door({})

    async def sent(secret: str, question: str) -> Any:
        headers = bearer(secret) | {"Idempotency-Key": "a"}
        return await opened.http.post("/v1/runs", json=RUN | {"question": question}, headers=headers)

    first = await sent(mine, "How many pens?")
    assert (await sent(mine, "How many cats?")).json()["error"]["code"] == "idempotency_mismatch"
    assert (await sent(yours, "How many pens?")).json()["run_id"] != first.json()["run_id"]


async def test_a_request_that_came_to_nothing_may_be_sent_again(door: Opening) -> None:
    opened = await door({})
    long: Any = ASKED | {"messages": [{"role": "user", "content": "pens " * 5000}]}
    for _ in range(2):
        with pytest.raises(APIStatusError) as refused:
            await opened.openai.chat.completions.create(**long, **NAMED)
        assert refused.value.code == "context_length_exceeded"
    assert (await opened.openai.chat.completions.create(**ASKED, **NAMED)).choices


async def test_a_request_that_was_sent_away_may_be_sent_again(door: Opening, home: Path) -> None:
    secret = create(home, "app", ["ask"], Limits(requests=1))
    opened = await door({})
    headers = bearer(secret) | {"Idempotency-Key": "a"}
    assert (await opened.http.post("/v1/runs", json=RUN, headers=bearer(secret))).status_code == 200
    for _ in range(2):
        assert (await opened.http.post("/v1/runs", json=RUN, headers=headers)).status_code == 429


def test_a_name_is_free_again_after_a_day(home: Path) -> None:
    home.mkdir(exist_ok=True)
    with Store.open(home / "log.sqlite") as log:
        requests = log.requests
        assert requests.begin("key", "name", "one") is None
        requests.carried_out("key", "name", "run")
        found = requests.begin("key", "name", "one")
        assert found is not None
        assert found.run_id == "run"
        later = Requests(log._database, lambda: requests._clock() + KEPT)
        assert later.begin("key", "name", "other") is None


async def test_a_client_that_gave_up_may_ask_again_under_the_same_name(door: Opening) -> None:
    opened = await door({(0,): Say("Answer: 12", after=1, wait=forever)})
    with pytest.raises(APITimeoutError):
        await opened.openai.chat.completions.create(**ASKED, **NAMED, timeout=0.5)
    await until(lambda: opened.agent.store.runs()[0].status == "cancelled", 10)
    model_of(opened.agent).script = lambda prompt, params: "Answer: 12"
    again: Any = await opened.openai.chat.completions.create(**ASKED, **NAMED)
    assert again.choices[0].message.content == "Answer: 12"


async def test_a_request_whose_process_died_before_it_had_begun_a_run_is_carried_out(door: Opening) -> None:
    opened = await door({})
    first = await opened.http.post("/v1/runs", json=RUN, headers={"Idempotency-Key": "a"})
    with opened.agent.store._database.transaction() as db:
        db.execute("UPDATE requests SET run_id = NULL")  # as its process left it
    again = await opened.http.post("/v1/runs", json=RUN, headers={"Idempotency-Key": "a"})
    assert again.status_code == 200
    assert again.json()["run_id"] != first.json()["run_id"]
