"""What Prometheus reads."""

import os
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as families

from agent.doors.keys import Limits, create
from agent.doors.metrics import forget_dead
from tests.agent.doors.rest.conftest import Open, Opening
from tests.agent.doors.rest.test_chat import ASKED, streamed
from tests.agent.doors.rest.test_entrance import bearer
from tests.agent.scripted import ROOT_SEED, Say, forever


async def values(opened: Open) -> dict[tuple[str, ...], float]:
    answer = await opened.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = [sample for family in families(answer.text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


async def test_requests_runs_and_tokens_are_counted(door: Opening) -> None:
    opened = await door({})
    await opened.openai.chat.completions.create(**ASKED)
    await streamed(opened)
    await opened.http.post("/v1/runs", json={"question": "How many pens?", "effort": "low", "wait": 10})
    await opened.http.get("/nowhere")
    found = await values(opened)
    assert found["ponder_runs_total", "low", "finished"] == 3
    assert found["ponder_run_seconds_count", "low"] == 3
    assert found["ponder_requests_total", "POST", "200"] == 3
    assert found["ponder_requests_total", "GET", "404"] == 1
    assert found["ponder_tokens_total", "sampled"] == sum(r.usage.sampled_tokens for r in opened.agent.store.runs())
    assert found[("ponder_under_way",)] == found[("ponder_waiting",)] == 0


async def test_a_run_that_is_cancelled_is_counted(door: Opening) -> None:
    opened = await door({(0,): Say("Answer", after=1, wait=forever)})
    run = (await opened.http.post("/v1/runs", json={"question": "Why?", "effort": "low", "seed": ROOT_SEED})).json()
    await opened.http.post(f"/v1/runs/{run['run_id']}/cancel")
    found = await values(opened)
    assert found["ponder_runs_total", "low", "cancelled"] == 1
    assert found[("ponder_under_way",)] == 0


def test_what_a_worker_that_was_killed_had_under_way_is_not_told(tmp_path: Path) -> None:
    for pid in (os.getpid(), 2**22 + 1):  # Linux numbers processes up to 2**22
        (tmp_path / f"gauge_livesum_{pid}.db").touch()
        (tmp_path / f"counter_{pid}.db").touch()
    forget_dead(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        f"gauge_livesum_{os.getpid()}.db", f"counter_{os.getpid()}.db", f"counter_{2**22 + 1}.db"
    }  # fmt: skip


async def test_metrics_want_an_admin_where_there_are_keys(door: Opening, home: Path) -> None:
    asks, boss = create(home, "asks", ["ask"], Limits()), create(home, "boss", ["admin"], Limits())
    opened = await door({})
    statuses = [(await opened.http.get("/metrics", headers=bearer(secret))).status_code for secret in (asks, boss)]
    assert statuses == [403, 200]
