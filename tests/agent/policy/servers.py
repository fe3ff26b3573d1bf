"""Real HTTP servers on loopback for the policies that speak to one: with ids, with chat only, and hostile ones."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from agent.policy.embedded import EmbeddedPolicy
from agent.policy.policy import Delta, PolicyError
from agent.records import Sample, SamplingParams


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[str]:
    """The base URL under which ``app`` answers while the block runs."""
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))  # who connects before uvicorn accepts waits here
    task = asyncio.create_task(server.serve([listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        await task


def events(chunks: AsyncIterator[dict[str, Any]]) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async for chunk in chunks:
            yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


def models(app: FastAPI, **card: Any) -> None:
    @app.get("/v1/models")
    async def listed() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "tiny", "object": "model", "created": 0, "owned_by": "test", **card}]}


# --- with ids ---------------------------------------------------------------------------------------------------------


HEAD = {"id": "1", "object": "text_completion", "created": 0, "model": "tiny"}


@dataclass
class CompletionsServer:
    """``/v1/completions`` as vLLM has it, in front of the embedded policy."""

    policy: EmbeddedPolicy
    card: dict[str, Any] = field(default_factory=dict)
    raw_logprobs: bool = False  # they do not change with the temperature, as vLLM's unless it is told otherwise
    with_ids: bool = True
    miscounts: int = 0  # tokens that its usage has more than it gave
    api_key: str | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> FastAPI:
        app = FastAPI()
        models(app, **{"max_model_len": self.policy.context_length, **self.card})
        app.post("/v1/completions", response_model=None)(self.completions)
        return app

    async def completions(self, request: Request) -> JSONResponse | StreamingResponse:
        body = await request.json()
        self.bodies.append(body)
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return JSONResponse({"error": {"message": "Unauthorized"}}, status_code=401)
        params = SamplingParams(
            temperature=1.0 if self.raw_logprobs else body["temperature"],
            top_p=body["top_p"],
            top_k=max(body.get("top_k", 0), 0),
            max_tokens=body["max_tokens"],
            seed=body["seed"],
            stop_token_ids=tuple(body.get("stop_token_ids", ())),
        )
        stream = self.policy.stream(body["prompt"], params, body.get("n", 1))
        if body.get("stream"):
            return events(self.chunks(stream, body))
        try:
            async with aclosing(stream):
                samples = [piece async for piece in stream if isinstance(piece, Sample)]
        except PolicyError as error:
            return JSONResponse({"error": {"message": f"maximum context length: {error}"}}, status_code=400)
        choices = [self.choice(sample, sample.params.seed - params.seed, body) for sample in samples]
        usage = self.usage(body, sum(len(sample.token_ids) for sample in samples))
        return JSONResponse(HEAD | {"choices": choices, "usage": usage})

    def usage(self, body: dict[str, Any], sampled: int) -> dict[str, Any]:
        prompt, counted = len(body["prompt"]), sampled + self.miscounts
        return {"prompt_tokens": prompt, "completion_tokens": counted, "total_tokens": prompt + counted,
                "prompt_tokens_details": {"cached_tokens": 7}}  # fmt: skip

    async def chunks(self, stream: Any, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        sampled = 0
        async with aclosing(stream):
            async for piece in stream:
                ended = isinstance(piece, Sample)
                sampled += len(piece.token_ids) if ended else 0
                index = piece.params.seed - body["seed"] if ended else piece.choice
                choice = self.choice(Delta(index, (), ()) if ended else piece, index, body)
                choice["finish_reason"] = piece.finish_reason if ended else None
                yield HEAD | {"choices": [choice]}
        if body.get("stream_options", {}).get("include_usage"):
            yield HEAD | {"choices": [], "usage": self.usage(body, sampled)}

    def likely(self, body: dict[str, Any]) -> dict[str, float]:
        """The five most likely tokens of some distribution, which is flatter where the temperature is higher."""
        temperature = 1.0 if self.raw_logprobs else body["temperature"] or 1.0
        return {str(place): -0.1 - place / temperature for place in range(5)}

    def choice(self, piece: Sample | Delta, index: int, body: dict[str, Any]) -> dict[str, Any]:
        logprobs = list(piece.logprobs)
        choice: dict[str, Any] = {
            "index": index,
            "text": self.policy.renderer.decode(piece.token_ids),
            "finish_reason": getattr(piece, "finish_reason", None),
            "logprobs": {"token_logprobs": logprobs, "top_logprobs": [self.likely(body) for _ in logprobs]},
        }
        if self.with_ids and body.get("return_token_ids"):
            choice |= {"token_ids": list(piece.token_ids), "prompt_token_ids": body["prompt"]}
        return choice


# --- chat only --------------------------------------------------------------------------------------------------------


@dataclass
class ChatServer:
    """``/v1/chat/completions`` that says what its script says: the deltas, and the finish reason, of every request."""

    deltas: Sequence[dict[str, Any]]
    finish_reason: str | None = "stop"
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> FastAPI:
        app = FastAPI()
        models(app)

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> StreamingResponse:
            self.bodies.append(await request.json())
            return events(self.chunks())

        return app

    async def chunks(self) -> AsyncIterator[dict[str, Any]]:
        head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "tiny"}
        for delta in self.deltas:
            yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        if self.finish_reason is not None:
            yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": self.finish_reason}]}


# --- hostile ----------------------------------------------------------------------------------------------------------

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def hostile(answer: Answer) -> AsyncIterator[str]:
    """A server that reads a request and then does what ``answer`` does."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


def says(
    kind: str, text: str, *, status: str = "200 OK", then: Answer | None = None, length: int | None = None
) -> Answer:
    """Answer with ``text``, announcing ``length`` bytes where that is given; then go on, or close."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        announced = f"content-length: {length}\r\n" if length is not None else ""
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{announced}connection: close\r\n\r\n{text}".encode()
        )
        await writer.drain()
        if then is not None:
            await then(writer)

    return answer
