"""What is left of clients that go away and of a server that is killed: python tests/evidence/gone.py OUT

200 clients, 16 at a time, ask `ponder serve` (the miniature) in every form and go away at a random moment; then no run
is under way, no thread is busy, and the memory of the server has stayed as it was. After that 30 questions are under
way when the server is killed with -9: each is resumed by the next server and ends. Exits with 1 where that is not so.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.tui.commands import COMMAND, environment, free_port, until_ready

CLIENTS, AT_ONCE, KILLED = int(os.environ.get("CLIENTS", "200")), 16, 30
PARTS = 8  # after which memory is looked at
PATIENCE, LONG, LOOK = 60.0, 600.0, 0.2  # seconds
LONGEST = 3.0  # seconds after which a client has gone at the latest
EFFORTS = ("low", "medium", "high", "max")
QUESTIONS = [
    f"Tom has {n} boxes with 7 pens in each and gives away 9 pens. How many pens does he have?" for n in range(99)
]


async def main(out: Path) -> bool:
    port = free_port()
    async with httpx.AsyncClient(timeout=PATIENCE, base_url=f"http://127.0.0.1:{port}/v1") as client:
        with serving(out, port) as server:
            good = await leaving(client, psutil.Process(server.pid))
            runs = [await asked(client, number) for number in range(KILLED)]
            await asyncio.sleep(2)
        with serving(out, port):
            return await ended(client, runs) and good


@contextmanager
def serving(out: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is killed in the end. What it says is in OUT/said.txt."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "said.txt").open("a") as said:
        command = [*COMMAND, "serve", "--port", str(port)]
        server = subprocess.Popen(command, env=environment(PONDER_HOME=str(out / "home")), stdout=said, stderr=said)
    try:
        until_ready(port)
        yield server
    finally:
        server.kill()
        server.wait()


async def leaving(client: httpx.AsyncClient, server: psutil.Process) -> bool:
    draw, gate, came = random.Random(0), asyncio.Semaphore(AT_ONCE), Counter[str]()
    thread = (await client.post("/threads")).json()["thread_id"]

    async def one(number: int) -> None:
        async with gate:
            try:
                url = str(client.base_url)
                came[await asyncio.wait_for(ask(url, number, thread, draw), draw.uniform(0.01, LONGEST))] += 1
            except TimeoutError:
                came["gone"] += 1

    memory = [await settled(client, server)]
    for part in range(PARTS):
        await asyncio.gather(*(one(i) for i in range(part * CLIENTS // PARTS, (part + 1) * CLIENTS // PARTS)))
        memory.append(await settled(client, server))
    left = (await client.get("/runs", params={"status": "running"})).json()["data"]
    free = await client.post("/runs", json={"question": "2 + 2?", "thread_id": thread, "wait": 30})
    print(f"{dict(came)}; {len(left)} runs left behind; the thread answers with {free.status_code}")
    print("memory, MiB, at first and after each part: " + ", ".join(f"{each / 2**20:.0f}" for each in memory))
    return not left and free.status_code == 200


async def ask(url: str, number: int, thread: str, draw: random.Random) -> str:
    """In one of the forms that a client has; what came of it."""
    effort, question, stream = draw.choice(EFFORTS), draw.choice(QUESTIONS), draw.random() < 0.7
    chat = {"messages": [{"role": "user", "content": question}], "reasoning_effort": effort, "stream": stream}
    forms: list[tuple[str, dict[str, Any]]] = [
        ("chat/completions", chat),
        ("responses", {"input": question, "reasoning": {"effort": effort}, "stream": stream}),
        ("runs", {"question": question, "effort": "low", "thread_id": thread, "wait": 9}),
    ]
    path, body = forms[number % len(forms)]
    async with (
        httpx.AsyncClient(timeout=PATIENCE) as client,
        client.stream("POST", f"{url}{path}", json=body) as answer,
    ):
        async for _ in answer.aiter_bytes():
            pass
        return str(answer.status_code)


async def settled(client: httpx.AsyncClient, server: psutil.Process) -> int:
    """Bytes of the server's own, once nothing is under way, or after a while."""
    for _ in range(int(PATIENCE / LOOK)):
        if not (await client.get("/runs", params={"status": "running"})).json()["data"]:
            break
        await asyncio.sleep(LOOK)
    return server.memory_full_info().uss


async def asked(client: httpx.AsyncClient, number: int) -> str:
    body = {"question": QUESTIONS[number], "effort": "max", "seed": number}
    return (await client.post("/runs", json=body)).json()["run_id"]


async def ended(client: httpx.AsyncClient, runs: list[str]) -> bool:
    """All of them, after each that was under way has been resumed."""
    before, after = Counter[str](), Counter[str]()
    for run in runs:
        stands = (await client.get(f"/runs/{run}")).json()["status"]
        before[stands] += 1
        if stands == "interrupted":
            (await client.post(f"/runs/{run}/resume", timeout=LONG)).raise_for_status()
    for run in runs:
        after[(await client.get(f"/runs/{run}", params={"wait": LONG}, timeout=2 * LONG)).json()["status"]] += 1
    print(f"{KILLED} runs when the server was killed: {dict(before)}; in the end: {dict(after)}")
    return set(after) <= {"finished", "failed"}


if __name__ == "__main__":
    sys.exit(not asyncio.run(main(Path(sys.argv[1]))))
