"""What is left of many MCP calls, and what a call costs: python tests/evidence/mcp_calls.py OUT [CALLS]

CALLS (1,000) calls of `ask`, 32 at once, of `ponder serve`'s /mcp (the miniature): clients of both eras; a third run to
their end, a third give the call up at a random moment, a third are gone without a word (a connection is cut). Then no
run is under way, and the memory of the server has stayed as it was. After that 40 calls one by one, over HTTP and over
standard input and output: how much longer each took than its own run did. Exits with 1 where a run is left.
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import httpx2
import psutil
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.evidence.gone import serving as served
from tests.evidence.gone import settled
from tests.tui.commands import COMMAND, environment, free_port

AT_ONCE, PARTS, TIMED = 32, 8, 40
LONGEST, PATIENCE = 3.0, 120.0  # seconds
QUESTIONS = [
    f"Tom has {n} boxes with 7 pens in each and gives away 9 pens. How many pens does he have?" for n in range(10, 99)
]


async def main(out: Path, calls: int) -> bool:
    port = free_port()
    with served(out, port) as server:
        async with httpx.AsyncClient(timeout=PATIENCE, base_url=f"http://127.0.0.1:{port}/v1") as watching:
            good = await leaving(watching, f"http://127.0.0.1:{port}/mcp", psutil.Process(server.pid), calls)
        for era in ("auto", "legacy"):
            async with Client(f"http://127.0.0.1:{port}/mcp", mode=era, read_timeout_seconds=PATIENCE) as client:
                print(f"HTTP, {era}: {await later(client)}")
    program = StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], "mcp"], env=environment(PONDER_HOME=str(out))
    )
    async with Client(stdio_client(program), read_timeout_seconds=PATIENCE) as client:
        print(f"standard input and output: {await later(client)}")
    return good


async def leaving(watching: httpx.AsyncClient, url: str, server: psutil.Process, calls: int) -> bool:
    draw, gate, came = random.Random(0), asyncio.Semaphore(AT_ONCE), Counter[str]()

    async def one(number: int) -> None:
        async with gate:
            came[await call(url, number, draw)] += 1

    memory = [await settled(watching, server)]
    for part in range(PARTS):
        await asyncio.gather(*(one(i) for i in range(part * calls // PARTS, (part + 1) * calls // PARTS)))
        memory.append(await settled(watching, server))
    left = (await watching.get("/runs", params={"status": "running"})).json()["data"]
    print(f"{dict(came)}; {len(left)} runs left behind")
    print("memory, MiB, at first and after each part: " + ", ".join(f"{each / 2**20:.0f}" for each in memory))
    return not left


async def call(url: str, number: int, draw: random.Random) -> str:
    """What came of one call."""
    given = {"question": draw.choice(QUESTIONS), "effort": draw.choice(["low", "medium", "high"]), "seed": number}
    fate, era, seconds = number % 3, draw.choice(["auto", "legacy"]), draw.uniform(0.01, LONGEST)
    async with httpx2.AsyncClient(timeout=100) as http:
        try:
            async with Client(streamable_http_client(url, http_client=http), mode=era) as client:
                asking = asyncio.create_task(client.call_tool("ask", given))
                if fate == 1:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(asking, seconds)
                    return "given up" if asking.cancelled() else "answered before"
                if fate == 2:
                    await asyncio.wait({asking}, timeout=seconds)
                    await http.aclose()
                    asking.cancel()
                    await asyncio.wait({asking})
                    return "gone"
                return "failed" if (await asking).is_error else "answered"
        except Exception as error:  # a client whose connection was cut says so in many ways
            return "gone" if fate == 2 else f"{type(error).__name__}"


async def later(client: Client) -> str:
    """How much longer calls take than their runs."""
    found = []
    for number in range(TIMED):
        began = time.perf_counter()
        result = await client.call_tool("ask", {"question": QUESTIONS[number], "effort": "low", "seed": number})
        seconds = time.perf_counter() - began
        told: Any = result.structured_content
        found.append(1000 * (seconds - told["usage"]["seconds"]))
    low, *_, high = statistics.quantiles(found, n=20)
    return f"{statistics.median(found):.1f} ms ({low:.1f} to {high:.1f}) later than the run, {TIMED} calls"


if __name__ == "__main__":
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # connections that are cut are what is looked at
    sys.exit(not asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000)))
