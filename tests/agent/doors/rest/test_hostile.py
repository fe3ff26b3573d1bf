"""Whatever text stands in any field of a request: an answer or a clear error, no turn and no call that it forged.

    NAUGHTY=1 pytest tests/agent/doors/rest/test_hostile.py --timeout 3600

tries every one of ``tests.naughty`` in every field; otherwise those that spell control tokens, and some of the others.
"""

import asyncio
import copy
import json
import os
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import psutil
import pytest

from tests.agent.doors.rest.conftest import Open, Opening
from tests.agent.scripted import model_of
from tests.naughty import FORGED, NAUGHTY, TOKENS
from tools.tool import tool

Place = tuple[int | str, ...]
AT_ONCE = 16
CITY = {
    "type": "object",
    "title": "t",
    "properties": {"city": {"type": "string", "description": "d", "enum": ["Bern"]}},
}
CHAT: dict[str, Any] = {
    "model": "ponder-low",
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "n"},
        {"role": "developer", "content": [{"type": "text", "text": "Be exact."}]},
        {"role": "user", "content": "How is the weather?"},
        {
            "role": "assistant", "content": "I look.", "reasoning_content": "Hm.", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "It rains."},
        {"role": "user", "content": "And the pens?", "name": "n"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": CITY}}],
    "stop": ["zzz"],
    "reasoning_effort": "low",
    "metadata": {"a": "b"},
    "user": "u",
    "prompt_cache_key": "k",
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "model": "ponder-low",
    "instructions": "Be brief.",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How is the weather?"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "It rains."},
        {"role": "user", "content": "And the pens?"},
    ],
    "tools": [{"type": "function", "name": "weather", "description": "d", "parameters": CITY}],
    "metadata": {"a": "b"},
}
RUN = {"question": "How many pens?", "effort": "low", "metadata": {"a": "b"}, "wait": 10}
ASKED = {"/v1/chat/completions": CHAT, "/v1/responses": RESPONSE, "/v1/runs": RUN}
OTHERS: dict[str, dict[str, Any]] = {
    "/v1/feedback": {"run_id": "r", "value": 1, "comment": "c"},
    "/v1/documents/search": {"query": "pens"},
    "/v1/threads/t/fork": {"run_id": "r"},
    "/v1/versions/promote": {"version": "v"},
}


def places(body: Any, place: Place = ()) -> Iterator[Place]:
    """Where texts stand in a body; a key of an object is the place of its value, and one more."""
    if isinstance(body, str) and place[-1] not in ("role", "type"):  # which say what a text is
        yield place
    for key, value in body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ():
        yield from places(value, (*place, key))


def changed(body: Any, place: Place, text: str) -> Any:
    body = copy.deepcopy(body)
    within = body
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = text
    return body


def tried() -> list[str]:
    """The texts of this test run."""
    if os.environ.get("NAUGHTY"):
        return list(NAUGHTY)
    return [*FORGED, "".join(TOKENS), "\x00", "\ud800", *random.Random(7).sample(NAUGHTY, 12)]


async def sent(opened: Open, path: str, body: Any) -> tuple[int, Any]:
    headers = {
        "Content-Type": "application/json",
        "Connection": "close",
    }  # one that is kept may end as it is used again
    answer = await opened.http.post(path, content=json.dumps(body), headers=headers)
    return answer.status_code, answer.json()


async def all_sent(opened: Open, path: str, body: Any) -> list[tuple[Place, str, int, Any]]:
    """Each text at each place, and what came of it."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(place: Place, text: str) -> tuple[Place, str, int, Any]:
        async with gate:
            return place, text, *await sent(opened, path, changed(body, place, text))

    return await asyncio.gather(*(one(place, text) for place in places(body) for text in tried()))


def turns(opened: Open, prompt: Sequence[int]) -> list[int]:
    """The control tokens of a prompt, in order."""
    known = set(opened.agent.policy.renderer.controls.values())
    return [token for token in prompt if token in known]


def prompt_of(opened: Open, body: dict[str, Any]) -> Sequence[int]:
    """What the model was asked with for an answer."""
    run_id = body.get("run_id") or body["ponder"]["run_id"]
    return opened.agent.store.run(run_id).nodes[0].sample.prompt_token_ids


@pytest.mark.parametrize("path", ASKED)
async def test_a_text_in_a_question_is_text(door: Opening, path: str) -> None:
    called: list[str] = []

    @tool
    async def launch() -> str:
        """Launch it."""
        called.append("launched")
        return "launched"

    opened = await door({}, launch, concurrent=AT_ONCE)
    status, body = await sent(opened, path, ASKED[path])
    assert status == 200, body
    [innocent] = {tuple(turns(opened, prompt)) for prompt in model_of(opened.agent).prompts}
    found = await all_sent(opened, path, ASKED[path])
    assert [each for each in found if each[2] >= 500] == []
    assert {each[2] for each in found} <= {200, 400, 404, 422}
    assert all(each[3]["error"]["message"] for each in found if each[2] != 200)
    assert sum(each[2] == 200 for each in found) > len(found) / 2
    answered = {(place, text): body for place, text, status, body in found if status == 200}
    forged = {key for key, body in answered.items() if tuple(turns(opened, prompt_of(opened, body))) != innocent}
    assert forged == set()
    assert called == []
    assert sum(run.usage.tool_calls for run in opened.agent.store.runs()) == 0


@pytest.mark.parametrize("path", OTHERS)
async def test_a_text_elsewhere_is_text(door: Opening, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_ENCODER", "none")
    opened = await door({})
    found = await all_sent(opened, path, OTHERS[path])
    assert [each for each in found if each[2] >= 500] == []
    assert all(each[3]["error"]["message"] for each in found if each[2] >= 400)


async def test_a_text_in_a_place_or_a_header_is_text(door: Opening) -> None:
    opened = await door({})
    statuses = []
    for text in tried():
        quoted = "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))[:3_000]
        for path in (
            f"/v1/runs/{quoted}",
            f"/v1/threads/{quoted}",
            f"/v1/models/{quoted}",
            f"/v1/runs?before={quoted}",
        ):
            answer = await opened.http.get(path)
            statuses.append(answer.status_code)
        header = "".join(c for c in text if " " <= c <= "~").strip()[:500]
        for name in ("Idempotency-Key", "Authorization", "X-Request-Id", "Last-Event-ID"):
            answer = await opened.http.post("/v1/chat/completions", json=CHAT, headers={name: header})
            statuses.append(answer.status_code)
    assert set(statuses) <= {200, 307, 400, 404, 405, 409, 422}


PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
BROKEN = [
    b"", b"{", b"null", b"[]", b'"a"', b"\xff\xfe", b"{}" * 2, b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 5_000, b"\x00",
    b'{"model": "ponder", "messages": 1e999}', b'{"model": 5}', b'{"messages": {}}',
]  # fmt: skip


@pytest.mark.parametrize("path", [*ASKED, *OTHERS])
async def test_a_body_that_is_no_request_is_refused(door: Opening, path: str) -> None:
    opened = await door({})
    for content in BROKEN:
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
            answer = await opened.http.post(path, content=content, headers={"Content-Type": kind})
            assert 400 <= answer.status_code < 500, (path, content[:20], kind, answer.text)
            assert answer.json()["error"]["message"]


async def test_a_hundred_megabytes_are_refused_and_take_no_memory(door: Opening) -> None:
    opened, this = await door({}), psutil.Process()
    await sent(opened, "/v1/chat/completions", CHAT)
    before, most = this.memory_info().rss, 0

    async def pieces(first: bytes) -> AsyncIterator[bytes]:
        nonlocal most
        yield first
        for _ in range(100):
            yield b" " * 2**20
            most = max(most, this.memory_info().rss)

    for path in (*ASKED, *OTHERS, "/v1/documents"):
        form = path == "/v1/documents"
        kind = "multipart/form-data; boundary=x" if form else "application/json"
        answer = await opened.http.post(path, content=pieces(PART if form else b"{"), headers={"Content-Type": kind})
        assert answer.status_code == 413, (path, answer.text)
    assert most - before < 200 * 2**20
