"""Is every token that vLLM gave in the log, once, as it was given?

    python tests/evidence/capture.py [REQUESTS]

A real vLLM behind a proxy that writes down what passes. Runs of 1, 4 and 16 attempts with thoughts and tools, a fifth
of them cancelled at a random moment, a tenth of their connections cut by the proxy; and plain requests with n in
{1, 4, 16}, streaming or not. Then what the proxy saw is held against what was stored: a finished choice has the same
ids, its count is the server's usage, one that was cut is a beginning of what was given, is flagged and not trainable.
Exits with 1 where one of these fails.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import SecretStr

from agent.assemble import assemble
from agent.budget import Budget
from agent.context import Agent, seed_of
from agent.effort import EFFORTS
from agent.policy.note import Note
from agent.policy.policy import Policy
from agent.records import Run, Sample, SamplingParams
from agent.run import Ask, stream
from agent.search.attempts import BestOfN
from agent.settings import Settings
from agent.store import RunFilter
from rl.tasks.suite import mixture
from tests.agent.policy.servers import serve
from tests.evidence.served import serving

CUT, CANCELLED = 0.1, 0.2  # shares of connections and of runs
Key = tuple[tuple[int, ...], int]  # the prompt, and a choice's own seed


@dataclass
class Given:
    """What the server gave for one choice."""

    token_ids: list[int] = field(default_factory=list)
    finished: bool = False
    cut: bool = False  # by the proxy, so that nothing says how much of it came out of the other end


@dataclass
class Transcript:
    """What passed through the proxy."""

    choices: dict[Key, list[Given]] = field(default_factory=dict)
    requests: int = 0
    streamed: int = 0
    cut: int = 0
    usage: int = 0  # tokens that the server counted, of requests that were not cut
    counted: int = 0  # tokens that it gave in those

    def begin(self, body: dict[str, Any]) -> list[Given]:
        given = [Given() for _ in range(body.get("n", 1))]
        for i, choice in enumerate(given):
            self.choices.setdefault((tuple(body["prompt"]), body["seed"] + i), []).append(choice)
        self.requests += 1
        self.streamed += bool(body.get("stream"))
        return given

    def take(self, given: list[Given], answer: dict[str, Any]) -> None:
        for piece in answer.get("choices", ()):
            choice = given[piece["index"]]
            choice.token_ids += piece.get("token_ids") or ()
            choice.finished |= bool(piece.get("finish_reason"))
        if answer.get("usage"):
            self.usage += answer["usage"]["completion_tokens"]
            self.counted += sum(len(choice.token_ids) for choice in given)


def proxy(found: Note, seen: Transcript, chances: random.Random) -> FastAPI:
    """Passes everything on; of completions it writes down what comes back, and cuts some of them off."""
    app, client = FastAPI(), httpx.AsyncClient(base_url=found.base_url.removesuffix("/v1"), timeout=600)

    @app.api_route("/{path:path}", methods=["GET", "POST"], response_model=None)
    async def passed_on(path: str, request: Request) -> Response | StreamingResponse:
        content = await request.body()
        headers = {"Authorization": request.headers.get("authorization", ""), "Content-Type": "application/json"}
        if path != "v1/completions":
            answer = await client.request(request.method, f"/{path}", content=content, headers=headers)
            return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
        body = json.loads(content)
        given = seen.begin(body)
        if not body.get("stream"):
            answer = await client.post(f"/{path}", content=content, headers=headers)
            seen.take(given, answer.json())
            return Response(answer.content, answer.status_code, media_type="application/json")
        cut = body.get("n", 1) == 1 and chances.random() < CUT
        lines = chances.randint(1, 40) if cut else None
        return StreamingResponse(follow(client, path, content, headers, given, lines), media_type="text/event-stream")

    async def follow(
        client: httpx.AsyncClient, path: str, content: bytes, headers: dict[str, str], given: list[Given], lines: Any
    ) -> AsyncIterator[str]:
        async with client.stream("POST", f"/{path}", content=content, headers=headers) as answer:
            async for line in answer.aiter_lines():
                if not line:
                    continue
                if lines == 0:
                    seen.cut += 1
                    for choice in given:
                        choice.cut = True
                    raise ConnectionError("cut")
                lines = None if lines is None else lines - 1
                if line.startswith("data: {"):
                    seen.take(given, json.loads(line.removeprefix("data: ")))
                yield f"{line}\n\n"

    return app


async def ask_or_cancel(agent: Agent, index: int, chances: random.Random) -> None:
    """One run; some are left at a random moment, as by a person who closes the terminal."""
    strategy, budget = BestOfN(chances.choice([1, 4, 16])), Budget(sample_tokens=96, steps=4)
    how = Ask(replace(EFFORTS["high"], strategy=strategy, budget=budget), seed=index, reference_share=0.0)
    leave = chances.uniform(0.05, 3.0) if chances.random() < CANCELLED else None
    run = stream(agent, mixture(4, index, "held_out").question, how)
    with suppress(TimeoutError):
        async with asyncio.timeout(leave), aclosing(run) as events:
            async for _ in events:
                pass


async def plain(policy: Policy, index: int, chances: random.Random) -> list[Sample]:
    """One request with n choices that nobody cuts (of streams, the proxy cuts those of one choice)."""
    prompt = policy.renderer.start([{"role": "user", "content": mixture(4, index, "held_out").question}])
    params, n = SamplingParams(max_tokens=64, seed=1_000_000 + 100 * index), chances.choice([1, 4, 16])
    if n == 1 or chances.random() < 0.5:
        return await policy.sample(prompt, params, n)
    return [piece async for piece in policy.stream(prompt, params, n) if isinstance(piece, Sample)]


def compare(seen: Transcript, samples: list[Sample], left: set[int]) -> Counter[str]:
    """What is right and what is wrong, by kind. ``left``: ``left_at_once``."""
    found: Counter[str] = Counter()
    stored: dict[Key, list[Sample]] = {}
    for sample in samples:
        stored.setdefault((sample.prompt_token_ids, sample.params.seed), []).append(sample)
    for key, given in seen.choices.items():
        mine = [list(sample.token_ids) for sample in stored.get(key, [])]
        for choice in given:
            if choice.finished:
                found["choices that the server finished"] += 1
                found["their tokens"] += len(choice.token_ids)
                begun = any(ids and choice.token_ids[: len(ids)] == ids for ids in mine)
                whole = choice.token_ids in mine
                found["of them stored with the same ids"] += whole
                found["of them left by us before their end had come, stored as a beginning"] += begun and not whole
                found["of them left by us before any of it had come"] += not begun and key[1] in left
                found["of them cut by the proxy just then"] += not begun and choice.cut
                found["WRONG: finished and missing"] += not (begun or choice.cut or key[1] in left)
                if not (begun or choice.cut or key[1] in left):
                    print(
                        f"missing: {len(choice.token_ids)} tokens, seed {key[1]}, stored {[len(ids) for ids in mine]}"
                    )
            else:
                found["choices that were cut"] += 1
                found["tokens given before the cut"] += len(choice.token_ids)
    for sample in samples:
        given = [choice.token_ids for choice in seen.choices.get((sample.prompt_token_ids, sample.params.seed), [])]
        if sample.finish_reason in ("stop", "length"):
            found["WRONG: finished, but not as given"] += list(sample.token_ids) not in given
        else:
            found["stored tokens of cut choices"] += len(sample.token_ids)
            found["WRONG: cut and trainable"] += sample.not_trainable is None
            beginning = any(ids[: len(sample.token_ids)] == list(sample.token_ids) for ids in given)
            found["WRONG: cut, and no beginning of what was given"] += bool(sample.token_ids) and not beginning
    found["WRONG: usage"] = abs(seen.usage - seen.counted)
    return found


async def main(wanted: int) -> int:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the connections that the proxy cuts
    chances, seen, kept = random.Random(0), Transcript(), list[Sample]()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as found:
        async with serve(proxy(found, seen, chances)) as url:
            settings = Settings(
                home=Path(folder) / "asker", base_url=url, api_key=SecretStr(found.api_key), encoder="none"
            )
            async with assemble(settings) as agent:
                seen.choices.clear()  # what was asked to find out what the server can do is no sample
                index = 0
                while seen.requests < wanted:
                    asked = [ask_or_cancel(agent, index + i, chances) for i in range(4)]
                    drawn = [plain(agent.policy, index + i, chances) for i in range(4)]
                    others = asyncio.gather(*asked)
                    kept += [sample for samples in await asyncio.gather(*drawn) for sample in samples]
                    await others
                    index += 4
                    print(f"{seen.requests} requests", file=sys.stderr, end="\r", flush=True)
                runs = [agent.store.run(run.run_id) for run in agent.store.runs(RunFilter())]
    return report(seen, runs, [*kept, *(node.sample for run in runs for node in run.nodes)])


def left_at_once(runs: list[Run]) -> set[int]:
    """Seeds of the draws that runs had asked for and not a token of had come when we left them."""
    seeds: set[int] = set()
    for run in runs:
        if run.status == "cancelled":
            there = {node.path for node in run.nodes}
            asked = {(i,) for i in range(run.settings["strategy"]["n"])} | {(*path, 0) for path in there}
            seeds |= {seed_of(run.root_seed, path[:-1]) + path[-1] for path in asked - there}
    return seeds


def report(seen: Transcript, runs: list[Run], samples: list[Sample]) -> int:
    found = compare(seen, samples, left_at_once(runs))
    print(f"{seen.requests} requests ({seen.streamed} streaming, {seen.cut} cut by the proxy), {len(runs)} runs, "
          f"{dict(Counter(run.status for run in runs))}")  # fmt: skip
    for run in runs:
        if run.status == "failed":
            print(f"failed: {run.error}")
    print(f"usage told by the server: {seen.usage} tokens, ids given with it: {seen.counted}")
    for kind, count in found.items():
        print(f"{kind}: {count}")
    return int(any(count for kind, count in found.items() if kind.startswith("WRONG")))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)))
