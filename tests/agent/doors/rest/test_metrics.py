"""What Prometheus reads."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as families

from agent.doors.keys import Limits, create
from tests.agent.doors.rest.conftest import Open, Opening
from tests.agent.doors.rest.test_chat import ASKED, streamed
from tests.agent.doors.rest.test_entrance import bearer


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


async def test_metrics_want_an_admin_where_there_are_keys(door: Opening, home: Path) -> None:
    asks, boss = create(home, "asks", ["ask"], Limits()), create(home, "boss", ["admin"], Limits())
    opened = await door({})
    statuses = [(await opened.http.get("/metrics", headers=bearer(secret))).status_code for secret in (asks, boss)]
    assert statuses == [403, 200]
