"""``ponder serve`` and ``ponder keys`` as a person runs them: a real process, a real socket, the shipped miniature."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from openai import AuthenticationError, OpenAI

from tests.tui.commands import begun, free_port, one_sentence, ponder, read_until, until_ready

pytestmark = pytest.mark.timeout(400)
DEADLINE = 200.0  # seconds, on a busy machine


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def serving(port: int, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = begun("serve", "--port", str(port), folder=tmp_path)
    try:
        read_until(process, f"http://127.0.0.1:{port}/v1")
        until_ready(port)
        yield process
    finally:
        process.kill()
        process.communicate()


def client(port: int, key: str = "none") -> OpenAI:
    return OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0, timeout=DEADLINE)


def test_the_miniature_answers_over_http_and_ends_when_it_is_told_to(
    serving: subprocess.Popen[str], port: int, tmp_path: Path
) -> None:
    question = "Tom has 12 boxes with 7 pens in each and gives away 9 pens. How many pens does Tom have now?"
    answer = client(port).chat.completions.create(model="ponder", messages=[{"role": "user", "content": question}])
    assert (answer.choices[0].message.content or "").endswith("Answer: 75")
    assert question[:50] in ponder("log", "list", folder=tmp_path).stdout
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(60) == 0


def test_a_run_that_was_under_way_when_the_server_was_killed_goes_on(
    serving: subprocess.Popen[str], port: int, tmp_path: Path
) -> None:
    asked = {"question": "What is 37 * 43?", "effort": "max", "seed": 1}
    run = httpx.post(f"http://127.0.0.1:{port}/v1/runs", json=asked, timeout=DEADLINE).json()
    serving.kill()
    serving.wait(60)
    again = begun("serve", "--port", str(port), folder=tmp_path)
    try:
        until_ready(port)
        place = f"http://127.0.0.1:{port}/v1/runs/{run['run_id']}"
        assert httpx.get(place, timeout=DEADLINE).json()["status"] == "interrupted"
        assert httpx.post(f"{place}/resume", timeout=DEADLINE).status_code == 202
        ended = httpx.get(place, params={"wait": DEADLINE / 2}, timeout=DEADLINE).json()
        assert (ended["status"], ended["answer"]) == ("finished", "37 * 43 = 1591\n\nAnswer: 1591")
    finally:
        again.kill()
        again.communicate()


def test_several_workers_answer_for_each_others_runs_and_end_with_the_server(port: int, tmp_path: Path) -> None:
    asked = {"question": "What is 37 * 43?", "effort": "max", "seed": 1}
    server = begun("serve", "--port", str(port), "--workers", "2", folder=tmp_path)
    try:
        until_ready(port)
        workers = psutil.Process(server.pid).children(recursive=True)
        url = f"http://127.0.0.1:{port}/v1/runs"
        place = f"{url}/{httpx.post(url, json=asked, timeout=DEADLINE).json()['run_id']}"
        for _ in range(9):  # connections of their own: the kernel gives each to one of the workers
            with httpx.stream("GET", f"{place}/events", timeout=DEADLINE) as events:
                assert next(events.iter_lines()) == "event: run.started"
        for _ in range(4):
            assert httpx.post(f"{place}/cancel", timeout=DEADLINE).json()["status"] == "cancelled"
        for _ in range(4):
            assert httpx.get(place, params={"wait": 9}, timeout=DEADLINE).json()["status"] == "cancelled"
        told = [httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE).text for _ in range(4)]
        assert all('ponder_runs_total{effort="max",status="cancelled"} 1.0' in each for each in told)
        assert all("ponder_under_way 0.0" in each for each in told)
    finally:
        server.kill()
        server.communicate()
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


def test_a_key_is_made_listed_and_revoked(port: int, tmp_path: Path) -> None:
    secret = ponder("keys", "create", "shop", "--requests", "60", "--expires", "2999-01-01", folder=tmp_path).stdout
    assert secret.startswith("pk-")
    listed = ponder("keys", "list", folder=tmp_path).stdout
    assert listed == "shop  ask  60 questions a minute  until 2999-01-01T00:00:00+00:00\n"
    assert "digest" not in ponder("keys", "list", "--json", folder=tmp_path).stdout
    process = begun("serve", "--port", str(port), folder=tmp_path)
    try:
        until_ready(port)
        assert next(model.id for model in client(port, secret.strip()).models.list()) == "ponder"
        with pytest.raises(AuthenticationError):
            client(port).models.list()
        revoked = ponder("keys", "revoke", "shop", folder=tmp_path).stdout
        assert revoked.startswith("The key shop is refused from now on.\nNo key is left: nobody comes in")
    finally:
        process.kill()
        process.communicate()
    assert ponder("keys", "list", folder=tmp_path).stdout == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_door_that_does_not_open_says_why_in_a_sentence(tmp_path: Path, workers: str) -> None:
    tools: dict[str, Any] = {"PONDER_TOOLS": '["nowhere:tool"]'}
    done = ponder("serve", "--port", str(free_port()), "--workers", workers, folder=tmp_path, **tools)
    assert "The tool nowhere:tool cannot be imported: ModuleNotFoundError" in done.stderr
    assert "Traceback" not in done.stderr
    assert (done.returncode != 0) == (workers == "1")


def test_a_worker_that_is_killed_is_replaced_and_the_server_ends_when_it_is_told_to(port: int, tmp_path: Path) -> None:
    server = begun("serve", "--port", str(port), "--workers", "2", folder=tmp_path)
    try:
        until_ready(port)
        before = {each.pid for each in workers_of(server)}
        for pid in before:
            psutil.Process(pid).kill()
        wait_for(lambda: len({each.pid for each in workers_of(server)} - before) == 2, 30)
        until_ready(port)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.communicate()


def workers_of(server: subprocess.Popen[str]) -> list[psutil.Process]:
    """Those that answer: not what only watches over the others' resources."""
    children = psutil.Process(server.pid).children()
    living = [each for each in children if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in living if "spawn_main" in " ".join(each.cmdline())]


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("serve", "--host", "0.0.0.0"), "make a key first: `ponder keys create NAME`"),
        (("keys", "create", "shop", "--scopes", "all"), "There are no scopes 'all'"),
        (("keys", "create", " "), "choose another name"),
        (("keys", "revoke", "shop"), "There is no key 'shop'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    done = ponder(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert sentence in one_sentence(done)
