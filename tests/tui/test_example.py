"""The example application, as a person sees it: a real browser, its own server, `ponder serve` behind it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.tui.commands import ROOT, free_port, serving, until_ready

NODE = ROOT / ".venv" / "clients"  # where the Makefile puts what runs in node
BROWSER = NODE / "node_modules" / "@sparticuz"
APP = ROOT / "docs" / "example" / "app.py"
PAGE = Path(__file__).with_name("page.mjs")
pytestmark = pytest.mark.timeout(400)


def begun(port: int, door: str) -> subprocess.Popen[bytes]:
    variables = {"PONDER_URL": door, "PORT": str(port), "PONDER_KEY": "none"}
    return subprocess.Popen([sys.executable, APP], env=os.environ | variables)


@pytest.mark.skipif(not (BROWSER.exists() and shutil.which("node")), reason="no browser: make .venv/installed-clients")
def test_a_person_asks_sees_the_attempts_and_says_whether_it_was_right(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path) as door:
        app = begun(port, door)
        try:
            until_ready(port, "/")
            asked = ["node", str(PAGE), f"http://127.0.0.1:{port}", "What is 37 * 43?"]
            done = subprocess.run(asked, cwd=NODE, capture_output=True, text=True, timeout=200, check=False)
            assert done.returncode == 0, done.stderr
            seen = json.loads(done.stdout)
            assert seen["wrong"] == []
            assert "1591" in seen["answer"]
            assert seen["answer"] == seen["chosen"].strip()
            assert seen["attempts"] >= 2
            run = httpx.get(f"{door}/v1/runs", timeout=30).json()["data"][0]
            assert (run["question"], run["effort"], run["status"]) == ("What is 37 * 43?", "medium", "finished")
        finally:
            app.kill()
            app.wait()


def test_what_the_page_does_not_ask_is_not_passed_on_and_a_door_that_is_closed_is_named(tmp_path: Path) -> None:
    port = free_port()
    app = begun(port, "http://127.0.0.1:9")
    try:
        until_ready(port, "/")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=30) as client:
            assert client.get("/usage").status_code == 404
            assert client.get("/runs/../usage").status_code == 404
            assert client.get("/runs").status_code == 404  # all questions of the key
            assert client.get("/runs/abc/tree").status_code == 404
            assert client.post("/feedback", headers={"Origin": "http://evil.example"}).status_code == 404
            assert client.post("/feedback", headers={"Host": "evil.example"}).status_code == 400
            refused = client.get("/runs/abc/events")
            assert refused.status_code == 502
            assert "start `ponder serve`" in refused.json()["error"]["message"]
    finally:
        app.kill()
        app.wait()
