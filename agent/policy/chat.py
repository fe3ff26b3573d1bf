"""The policy behind a server that only speaks ``/v1/chat/completions``: it answers, and nothing can be trained on it.

What a sample's ids mean here: they carry the server's text in this policy's own tokenizer, so that the agent, the log
and the doors see what they always see. They are not the tokens that were sampled, and have no log-probabilities.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agent.policy.policy import ContextTooLong, Delta, PolicyError, expect
from agent.policy.renderer import Renderer
from agent.policy.transcript import TurnWriter, conversation
from agent.policy.wire import EndpointBroken, EndpointMalformed, Server, make_client, named_errors, timely
from agent.records import PolicyVersion, Sample, SamplingParams

FINISH = {"stop": "stop", "tool_calls": "stop", "function_call": "stop", "length": "length"}


class ChatPolicy:
    """Implements ``Policy`` on a server's chat completions; ``reason`` says why no better way was found."""

    def __init__(self, server: Server, renderer: Renderer, reason: str) -> None:
        self.version = PolicyVersion(server.model)
        self.renderer = renderer
        self.context_length = server.context_length
        self.reason = reason
        self._server = server
        self._client = make_client(server)

    def at(self, version: PolicyVersion | None) -> ChatPolicy:
        expect(version, self.version)
        return self

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        """Draw ``n`` samples. Raises ``ContextTooLong``, ``TranscriptError`` and ``EndpointError``s."""
        async with aclosing(self.stream(prompt_token_ids, params, n)) as pieces:
            samples = {piece.params.seed: piece async for piece in pieces if isinstance(piece, Sample)}
        return [samples[params.seed + i] for i in range(n)]

    async def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        """The same draw as it happens: one request for each choice, since few chat servers know ``n`` and ``seed``."""
        if len(prompt_token_ids) >= self.context_length:
            raise ContextTooLong(f"The prompt is longer than the model's {self.context_length} tokens; shorten it.")
        if n < 1 or params.max_tokens < 1:
            raise PolicyError("Ask for at least one sample of at least one token.")
        arrived: asyncio.Queue[Delta | Sample | Exception] = asyncio.Queue()
        tasks = [asyncio.create_task(self._one(tuple(prompt_token_ids), params, i, arrived)) for i in range(n)]
        unfinished = n
        try:
            while unfinished:
                piece = await arrived.get()
                if isinstance(piece, Exception):
                    raise piece
                unfinished -= isinstance(piece, Sample)
                yield piece
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        await self._client.close()

    async def _one(
        self, prompt: tuple[int, ...], params: SamplingParams, choice: int, arrived: asyncio.Queue[Any]
    ) -> None:
        """Put one choice's deltas and sample, or what went wrong, into the queue."""
        params = replace(params, seed=params.seed + choice)
        try:
            async with aclosing(self._ask(prompt, params)) as pieces:
                async for piece in pieces:
                    arrived.put_nowait(replace(piece, choice=choice) if isinstance(piece, Delta) else piece)
        except Exception as error:  # it belongs to whoever reads the queue
            arrived.put_nowait(error)

    async def _ask(self, prompt: tuple[int, ...], params: SamplingParams) -> AsyncGenerator[Delta | Sample, None]:
        writer, told, finish, first = TurnWriter(self.renderer), 0, None, 0.0
        started = time.perf_counter()
        with named_errors(self._server):
            async with asyncio.timeout(self._server.deadlines.first_token):
                response = await self._client.chat.completions.create(**self._body(prompt, params), stream=True)
            async with aclosing(response), aclosing(timely(aiter(response), self._server.deadlines)) as chunks:
                async for chunk in chunks:
                    for piece in chunk.choices[:1]:
                        _write(piece.delta, writer)
                        finish = finish or piece.finish_reason
                    if len(writer.token_ids) > told:
                        first = first or time.perf_counter() - started
                        yield Delta(0, tuple(writer.token_ids[told:]), ())
                        told = len(writer.token_ids)
                    if finish:
                        break
            if finish is None:
                raise EndpointBroken("The server closed its answer before it had ended; ask again.")
            writer.end(whole=finish != "length")
        yield Delta(0, tuple(writer.token_ids[told:]), ())
        yield Sample(
            prompt_token_ids=prompt,
            token_ids=tuple(writer.token_ids),
            logprobs=(),
            finish_reason=FINISH.get(finish, "error"),
            policy=self.version,
            params=params,
            first_token_seconds=first,
            total_seconds=time.perf_counter() - started,
            not_trainable=self.reason,
        )

    def _defused(self, text: str) -> str:
        """Text that spells a control token gets a word joiner in it: a server may read control tokens in contents."""
        for token in self.renderer.controls:
            text = text.replace(token, f"{token[0]}\u2060{token[1:]}")
        return text

    def _body(self, prompt: Sequence[int], params: SamplingParams) -> dict[str, Any]:
        messages, tools = conversation(prompt, self.renderer)
        messages = [message | {"content": self._defused(message["content"])} for message in messages]
        return {
            "model": self.version.model,
            "messages": messages,
            **({"tools": tools} if tools else {}),
            "seed": params.seed,
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            **({"extra_body": {"top_k": params.top_k}} if params.top_k else {}),
            **({"response_format": by_schema(params.json_schema)} if params.json_schema else {}),
        }


def by_schema(schema: str) -> dict[str, Any]:
    """As chat servers are asked for JSON."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": json.loads(schema), "strict": True}}


def _write(delta: Any, writer: TurnWriter) -> None:
    """A chunk's share of the turn. The thought's field is ``reasoning`` (vLLM, Ollama) or ``reasoning_content``."""
    if thought := getattr(delta, "reasoning", None) or getattr(delta, "reasoning_content", None):
        writer.thought(thought)
    if delta.content:
        writer.answer(delta.content)
    for call in delta.tool_calls or ():
        if type(call.index) is not int:
            raise EndpointMalformed("The server gave a tool call without its number; look for a newer server.")
        writer.call(call.index, call.function.name or "", call.function.arguments or "")
