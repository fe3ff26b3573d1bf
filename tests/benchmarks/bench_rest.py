"""What the REST door costs, each in one run: python tests/benchmarks/bench_rest.py [instant] [vllm]

- instant: in front of an endpoint that says at once what it has to say. How much later the first token comes than from
  the endpoint itself, and the processor time of the door's process for each question and each token it streams.
- vllm: 32 questions at once, effort low, through the door, against the same samples (prompts, seeds and lengths of the
  runs that it logged) asked of vLLM itself by as many clients, one plainly and one for all that the log needs (ids and
  log-probabilities): tokens per second as ratios, round by round. What vLLM has cached of one it has not of another.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import uvicorn

from agent.assemble import MINI
from agent.policy.endpoint import PIECE
from agent.policy.policy import Delta
from agent.policy.renderer import Renderer
from agent.records import PolicyVersion, Run, Sample, SamplingParams
from agent.store import Store
from tests.agent.policy.servers import CompletionsServer
from tests.evidence.served import serving as vllm
from tests.tui.commands import serving as door

SHORT, LONG = 16, 528  # tokens of an answer
WARM, TIMES = 5, 40
AT_ONCE, QUESTIONS, ROUNDS = 32, 128, 5
CAPTURED = {"logprobs": 1, "return_token_ids": True, "stream_interval": PIECE}  # as the door asks for many at once


# --- in front of an endpoint that answers at once ---------------------------------------------------------------------


class Instant:
    """A policy behind ``CompletionsServer``: as many tokens as are asked for, at once."""

    context_length = 4096

    def __init__(self) -> None:
        self.renderer = Renderer.load(MINI)
        [self._token] = self.renderer.encode(" a")

    async def stream(self, prompt: Sequence[int], params: SamplingParams, n: int) -> AsyncIterator[Delta | Sample]:
        for _ in range(params.max_tokens):
            yield Delta(0, (self._token,), (-0.5,))
        ids = (self._token,) * params.max_tokens
        yield Sample(tuple(prompt), ids, (-0.5,) * len(ids), "length", PolicyVersion("instant"), params)


def instant(port: int) -> None:
    server = CompletionsServer(Instant(), {"root": str(MINI)})  # type: ignore[arg-type]
    uvicorn.run(server.app(), port=port, log_level="error")


@contextmanager
def endpoint() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=instant, args=(port,))
    process.start()
    url = f"http://127.0.0.1:{port}/v1"
    try:
        until_answers(f"{url}/models")
        yield url
    finally:
        process.kill()
        process.join()


def until_answers(url: str) -> None:
    for _ in range(600):
        try:
            httpx.get(url, timeout=5).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)


def first_token(client: httpx.Client, url: str, body: dict[str, Any]) -> float:
    """Seconds until the first piece of text; the rest is read too."""
    began, first = time.perf_counter(), None
    with client.stream("POST", url, json=body) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if first is None and line.startswith("data: {") and says(json.loads(line[6:])):
                first = time.perf_counter() - began
    assert first is not None
    return first


def says(chunk: dict[str, Any]) -> bool:
    [choice] = chunk["choices"] or [{}]
    return bool(choice.get("text") or choice.get("delta", {}).get("content") or choice.get("token_ids"))


def measure_instant() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        endpoint() as base_url,
        httpx.Client(timeout=60) as client,
        door(Path(folder), "--base-url", base_url, PONDER_HOME=f"{folder}/home") as url,
    ):
        [server] = [each for each in psutil.process_iter(["cmdline"]) if is_door(each, url)]
        ask = {"model": "ponder-low", "stream": True, "messages": [{"role": "user", "content": "Why?"}]}
        raw = {"model": "tiny", "stream": True, "prompt": list(range(300)), "seed": 1, "temperature": 1, "top_p": 1,
               "return_token_ids": True}  # fmt: skip
        late, cost = [], dict[int, list[float]]()
        for turn, tokens in itertools.product(range(WARM + TIMES), (SHORT, LONG)):
            direct = first_token(client, f"{base_url}/completions", raw | {"max_tokens": tokens})
            before = sum(server.cpu_times()[:2])
            through = first_token(client, f"{url}/v1/chat/completions", ask | {"max_completion_tokens": tokens})
            time.sleep(0.05)  # what follows the last chunk
            if turn >= WARM:
                late.append(1000 * (through - direct))
                cost.setdefault(tokens, []).append(1000 * (sum(server.cpu_times()[:2]) - before))
    each_token = [(long - short) / (LONG - SHORT) for short, long in zip(cost[SHORT], cost[LONG], strict=True)]
    print(f"first token: {spread(late)} ms later than from the endpoint itself ({len(late)} questions)")
    print(f"the door's process: {statistics.mean(each_token):.3f} ms of CPU a streamed token")
    print(f"and {statistics.mean(cost[SHORT]):.1f} ms a question of {SHORT} tokens")


def is_door(process: psutil.Process, url: str) -> bool:
    command = process.info["cmdline"] or []
    return "serve" in command and url.rpartition(":")[2] in command


def spread(values: Sequence[float], digits: int = 1) -> str:
    low, *_, high = statistics.quantiles(values, n=20)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


# --- beside vLLM ------------------------------------------------------------------------------------------------------


async def measure_vllm(folder: Path) -> None:
    with vllm(folder, "--max-num-seqs", "64") as note, door(folder, PONDER_HOME=str(folder)) as url:
        [server] = [each for each in psutil.process_iter(["cmdline"]) if is_door(each, url)]
        limits = httpx.Limits(max_connections=AT_ONCE)
        headers = {"authorization": f"Bearer {note.api_key}"}
        shares: dict[str, list[float]] = {"vLLM itself": [], "vLLM asked for what the log needs": []}
        async with httpx.AsyncClient(timeout=600, limits=limits, headers=headers) as client:
            for turn in range(ROUNDS + 1):
                before = sum(server.cpu_times()[:2])
                ours = await rate(through(client, url, turn * QUESTIONS + i) for i in range(QUESTIONS))
                used = sum(server.cpu_times()[:2]) - before
                with Store.open(folder / "log.sqlite") as log:
                    runs = [log.run(run.run_id) for run in log.runs(limit=QUESTIONS)]
                shown = [f"{ours.tokens_a_second:.0f} tokens/s through the door"]
                for name, more in zip(shares, ({}, CAPTURED), strict=True):
                    salted = {"cache_salt": f"{name} {turn}", **more}
                    theirs = await rate(again(client, note, run, salted) for run in runs)
                    shown.append(f"{theirs.tokens_a_second:.0f} of {name}")
                    if turn:
                        shares[name].append(ours.tokens_a_second / theirs.tokens_a_second)
                print(
                    f"{', '.join(shown)}; {used / ours.tokens * 1000:.2f} ms of the door's CPU a token,"
                    f" {ours.tokens} tokens{'' if turn else ' (warming up)'}",
                    flush=True,
                )
    for name, ratios in shares.items():
        print(f"through the door: {spread(ratios, 2)} of {name}, {AT_ONCE} at once, effort low")


async def rate(works: Iterator[Any]) -> Any:
    """Tokens of all works and per second, so many of them at once."""
    began, gate = time.perf_counter(), asyncio.Semaphore(AT_ONCE)

    async def one(work: Any) -> int:
        async with gate:
            return await work

    tokens = sum(await asyncio.gather(*map(one, works)))
    return SimpleNamespace(tokens=tokens, tokens_a_second=tokens / (time.perf_counter() - began))


async def through(client: httpx.AsyncClient, url: str, seed: int) -> int:
    question = (
        f"Tom has {seed % 90 + 10} boxes with 7 pens in each and gives away 9 pens. How many pens does Tom have now?"
    )
    body = {"model": "ponder-low", "stream": True, "seed": seed, "stream_options": {"include_usage": True}}
    used = 0
    async with client.stream(
        "POST", f"{url}/v1/chat/completions", json=body | {"messages": [{"role": "user", "content": question}]}
    ) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("data: {") and (usage := json.loads(line[6:]).get("usage")):
                used = usage["completion_tokens"]
    return used


async def again(client: httpx.AsyncClient, note: Any, run: Run, more: Mapping[str, Any]) -> int:
    """The samples of a run, one after the other, of vLLM itself; ``more`` of each request."""
    counted = 0
    for node in run.nodes:
        drawn = node.sample.params
        body = {
            "model": note.model, "prompt": list(node.sample.prompt_token_ids), "stream": True, "seed": drawn.seed,
            "max_tokens": len(node.sample.token_ids), "temperature": drawn.temperature, "top_p": drawn.top_p,
            "ignore_eos": True, "stream_options": {"include_usage": True}, **more,
        }  # fmt: skip
        async with client.stream("POST", f"{note.base_url}/completions", json=body) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data: {") and (usage := json.loads(line[6:]).get("usage")):
                    counted += usage["completion_tokens"]
    return counted


if __name__ == "__main__":
    parts = sys.argv[1:] or ["instant", "vllm"]
    os.environ.setdefault("PONDER_ENCODER", "none")
    if "instant" in parts:
        measure_instant()
    if "vllm" in parts:
        with tempfile.TemporaryDirectory() as home:
            asyncio.run(measure_vllm(Path(home)))
