"""Documents behind the door: what is uploaded is found by the next question, and not after it was removed."""

from pathlib import Path

import pytest

from agent.doors.keys import Limits, create
from tests.agent.doors.rest.conftest import Open, Opening
from tests.agent.doors.rest.test_chat import ASKED
from tests.agent.doors.rest.test_entrance import bearer
from tests.agent.scripted import call

FACT = b"# Varnholt\n\nThe town of Varnholt was founded in 1312 by salt traders.\n"
SEARCHING = {(0,): call("search", query="When was Varnholt founded?"), (0, 0): "Answer: 1312"}


@pytest.fixture(autouse=True)
def _words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_ENCODER", "none")


async def upload(opened: Open, name: str, data: bytes = FACT) -> int:
    return (await opened.http.post("/v1/documents", files={"file": (name, data)})).status_code


async def found(opened: Open, query: str) -> list[str]:
    answer = await opened.http.post("/v1/documents/search", json={"query": query})
    assert answer.status_code == 200
    return [passage["text"] for passage in answer.json()["data"]]


async def test_what_is_uploaded_is_searched_by_the_next_question_and_no_more_when_it_was_removed(door: Opening) -> None:
    opened = await door(SEARCHING)
    assert await found(opened, "Varnholt") == []
    assert await upload(opened, "varnholt.md") == 201
    [listed] = (await opened.http.get("/v1/documents")).json()["data"]
    assert (listed["id"], listed["bytes"]) == ("varnholt.md", len(FACT))
    assert "1312" in (await found(opened, "When was Varnholt founded?"))[0]
    [passage] = (await opened.http.post("/v1/documents/search", json={"query": "Varnholt"})).json()["data"]
    assert passage["source"] == "varnholt.md"
    answer = await opened.openai.chat.completions.create(**ASKED)
    run = opened.agent.store.run(answer.ponder["run_id"])  # type: ignore[attr-defined]
    assert "1312" in run.nodes[0].tool_results[0].text
    assert (await opened.http.delete("/v1/documents/varnholt.md")).status_code == 200
    assert await found(opened, "Varnholt") == []
    assert (await opened.http.get("/v1/documents")).json()["data"] == []


async def test_a_document_of_the_same_name_takes_its_place(door: Opening) -> None:
    opened = await door({})
    await upload(opened, "town.txt", b"Varnholt lies by the sea.")
    await upload(opened, "town.txt", b"Varnholt lies in the hills.")
    assert await found(opened, "Varnholt") == ["Varnholt lies in the hills."]


async def test_what_cannot_be_read_replaces_nothing(door: Opening) -> None:
    opened = await door({})
    await upload(opened, "town.txt", b"Varnholt lies by the sea.")
    assert await upload(opened, "town.txt", bytes(range(256)) * 40) == 422
    assert await found(opened, "Varnholt") == ["Varnholt lies by the sea."]


@pytest.mark.parametrize("name", ["../evil.md", ".hidden", "a/b.md", "x" * 300, "é" * 145 + ".txt"])
async def test_a_name_that_is_no_files_name_is_refused(door: Opening, home: Path, name: str) -> None:
    opened = await door({})
    assert await upload(opened, name) == 400
    assert (await opened.http.get("/v1/documents")).json()["data"] == []
    assert not (home / "evil.md").exists()


async def test_what_cannot_be_read_says_why_and_is_not_kept(door: Opening) -> None:
    opened = await door({})
    answer = await opened.http.post("/v1/documents", files={"file": ("broken.pdf", b"%PDF-1.4 nothing")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unreadable_document")
    assert (await opened.http.get("/v1/documents")).json()["data"] == []


async def test_documents_want_their_scope_and_are_searched_by_whoever_may_ask(door: Opening, home: Path) -> None:
    asks, files = create(home, "asks", ["ask"], Limits()), create(home, "files", ["ask", "documents"], Limits())
    opened = await door({})
    for secret, status in ((asks, 403), (files, 201)):
        answer = await opened.http.post("/v1/documents", files={"file": ("a.md", FACT)}, headers=bearer(secret))
        assert answer.status_code == status
    answer = await opened.http.post("/v1/documents/search", json={"query": "Varnholt"}, headers=bearer(asks))
    assert len(answer.json()["data"]) == 1
    assert (await opened.http.delete("/v1/documents/a.md", headers=bearer(asks))).status_code == 403
    assert (await opened.http.delete("/v1/documents/b.md", headers=bearer(files))).status_code == 404
