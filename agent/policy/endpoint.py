"""The policy behind a server with token ids: ``/v1/completions``, ids in and ids out. Written for vLLM.

A server that has no ids is ``chat``'s; ``connect`` finds out which it is. Nothing here makes or reads text.
"""

from __future__ import annotations

import asyncio
import copy
import json
import math
import re
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import openai

from agent.policy.constraint import CONSTRAINED
from agent.policy.policy import GREEDY, ContextTooLong, Delta, OtherVersion, PolicyError
from agent.policy.renderer import Renderer
from agent.policy.wire import (
    Deadlines,
    EndpointBroken,
    EndpointBusy,
    EndpointError,
    EndpointMalformed,
    EndpointStopped,
    EndpointUnknown,
    Server,
    make_client,
    named_errors,
    timely,
)
from agent.records import PolicyVersion, Sample, SamplingParams

RAW_LOGPROBS = (
    "raw log-probabilities: the server gives them as they are before temperature and truncation; "
    "start it with --logprobs-mode processed_logprobs"
)
# A piece for each token of each stream can cost more than the tokens do. The first few streams come token by token, for
# whoever looks on; of the others the first token comes at once, and the rest by eights.
FEW, PIECE = 4, 8
PATH = "/completions"  # read as plain JSON: making the client's objects of a piece takes 80 microseconds
FINISH = {"stop": "stop", "length": "length", "abort": "cancelled"}
STORED = 2**31  # ids are packed as 32 bits
IDS, NUMBERS = frozenset({int}), frozenset({int, float})  # types; True is of neither
SLACK = 1e-3  # what a server's rounding may put above log(1)
REGISTERED = re.compile(r"[^/]+-[0-9a-f]{12}")  # as ``registry`` names what it keeps
LOGPROBS = "log-probabilities: the server did not give one for each token that is at most 0; look at its settings"


@dataclass(frozen=True, slots=True)
class Adapters:
    """What whoever keeps a server knows of it, asked each time anew."""

    current: Callable[[], str | None] = lambda: None  # the one that new runs take
    known: Callable[[], Collection[str]] | None = None  # those it has, or gets again when it comes up after a crash
    serving: Callable[[], bool] | None = None  # whether it is kept up at all; None: nobody here keeps it


NO_ADAPTERS = Adapters()


class EndpointPolicy:
    """Implements ``Policy`` on a server's completions.

    ``processed_logprobs`` says whether the server gives the log-probabilities of the distribution it samples from, as
    vLLM does with ``--logprobs-mode processed_logprobs``. Where it does not, only samples at temperature 1 without
    truncation are trainable. ``version`` is the server's model, or an adapter that every run keeps to.
    """

    def __init__(
        self,
        server: Server,
        renderer: Renderer,
        processed_logprobs: bool = False,
        adapters: Adapters = NO_ADAPTERS,
        version: PolicyVersion | None = None,
    ) -> None:
        self.version = self._own = version or PolicyVersion(server.model)
        self.renderer = renderer
        self.context_length = server.context_length
        self._server = server
        self._processed_logprobs = processed_logprobs
        self._adapters = adapters
        self._client = make_client(server)
        self._vocabulary = len(renderer.tokenizer)
        self._streams: set[object] = set()  # under way, of every version

    def at(self, version: PolicyVersion | None) -> EndpointPolicy:
        """An adapter's version is asked for by its name. Raises ``OtherVersion``."""
        newest = self._adapters.current()
        wanted = version or (version_of(self._own.model, newest) if newest else self._own)
        if wanted == self.version:
            return self
        known = self._adapters.known
        gone = wanted.adapter is not None and known is not None and wanted.adapter not in known()
        if wanted.model != self.version.model or gone:
            raise OtherVersion(wanted, self.version)
        other = copy.copy(self)  # with the client and the streams of this one
        other.version = wanted
        other._server = replace(self._server, model=wanted.adapter or wanted.model)
        return other

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        """Draw ``n`` samples in one request. Raises ``ContextTooLong`` and ``EndpointError``s.

        Nothing tells when the first token came: its time is the total.
        """
        body, choices = self._body(prompt_token_ids, params, n), self._choices(prompt_token_ids, params, n)
        with self._named_errors():
            async with asyncio.timeout(self._server.deadlines.total):
                completion: Any = await self._client.post(PATH, cast_to=object, body=body)
            for piece in completion["choices"]:
                choices[piece["index"]].take(piece)
            return _finished(choices, completion.get("usage"))

    async def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        """The same draw as it happens. Closing it ends the request, and with it the sampling.

        The samples come together at the end: only then the server says how many tokens it counted.
        """
        body, choices = self._body(prompt_token_ids, params, n), self._choices(prompt_token_ids, params, n)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        body["stream_interval"] = 1 if len(self._streams) < FEW else PIECE
        usage: dict[str, Any] | None = None
        with self._counted(), self._named_errors():
            async with asyncio.timeout(self._server.deadlines.first_token):
                response = await self._client.post(
                    PATH, cast_to=object, body=body, stream=True, stream_cls=openai.AsyncStream[Any]
                )
            async with aclosing(response), aclosing(timely(aiter(response), self._server.deadlines)) as chunks:
                async for chunk in chunks:
                    for piece in chunk["choices"]:
                        if delta := choices[piece["index"]].take(piece):
                            yield delta
                    if not chunk["choices"]:
                        usage = chunk.get("usage")
            for sample in _finished(choices, usage):
                yield sample

    @property
    def deadlines(self) -> Deadlines:
        return self._server.deadlines

    def elsewhere(self, server: Server, renderer: Renderer, adapters: Adapters) -> EndpointPolicy:
        """For another server that was started with the same settings."""
        version = version_of(server.model, None)
        return EndpointPolicy(server, renderer, self._processed_logprobs, adapters, version)

    async def close(self) -> None:
        await self._client.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        stream = object()
        self._streams.add(stream)
        try:
            yield
        finally:
            self._streams.discard(stream)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            with named_errors(self._server):
                yield
        except EndpointUnknown as error:
            if self._adapters.known is None or self.version.adapter not in self._adapters.known():
                raise
            sentence = f"The server has come up again and has not loaded {self.version.adapter} yet; ask again."
            raise EndpointBusy(sentence) from error
        except EndpointError as error:
            if error.passing and self._adapters.serving is not None and not self._adapters.serving():
                at = self._server.address
                raise EndpointStopped(f"The model server at {at} was stopped; start it and ask again.") from error
            raise

    def _body(self, prompt: Sequence[int], params: SamplingParams, n: int) -> dict[str, Any]:
        """Every parameter that changes the distribution is named: a server takes others from the model's folder."""
        room = self.context_length - len(prompt)
        if room < 1:
            sentence = f"The prompt has {len(prompt)} tokens and the model reads {self.context_length}; shorten it."
            raise ContextTooLong(sentence)
        if not prompt or n < 1 or params.max_tokens < 1:
            raise PolicyError("Ask for at least one sample of at least one token, of a prompt of at least one.")
        return {
            "model": self._server.model,
            "prompt": list(prompt),
            "n": n,
            "seed": params.seed,
            "max_tokens": min(params.max_tokens, room),
            "temperature": params.temperature,
            "top_p": params.top_p,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "logprobs": 1,
            "top_k": params.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop_token_ids": sorted({*params.stop_token_ids, *self.renderer.stop_token_ids}),
            "return_token_ids": True,
            **({"structured_outputs": {"json": json.loads(params.json_schema)}} if params.json_schema else {}),
        }

    def _choices(self, prompt: Sequence[int], params: SamplingParams, n: int) -> dict[int, _Choice]:
        template = Sample(
            tuple(prompt), (), (), "error", self.version, params, not_trainable=self._why_not_trainable(params)
        )
        started = time.perf_counter()
        return {
            i: _Choice(i, replace(template, params=replace(params, seed=params.seed + i)), self._vocabulary, started)
            for i in range(n)
        }

    def _why_not_trainable(self, params: SamplingParams) -> str | None:
        if params.json_schema:
            return CONSTRAINED
        if params.temperature == 0:
            return GREEDY
        plain = params.temperature == 1 and params.top_p >= 1 and params.top_k == 0
        return None if plain or self._processed_logprobs else RAW_LOGPROBS


def version_of(base: str, adapter: str | None) -> PolicyVersion:
    """An adapter's name ends in its version: ``ponder-3f9ac21b04de``. So does that of a version of full weights."""
    if adapter or REGISTERED.fullmatch(base):
        return PolicyVersion(base, adapter, (adapter or base).rpartition("-")[2])
    return PolicyVersion(base)


@dataclass(eq=False, slots=True)
class _Choice:
    """One choice of a request as it arrives."""

    index: int
    template: Sample
    vocabulary: int  # tokens that the renderer can read
    started: float  # time.perf_counter()
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str | None = None
    flaw: str | None = None  # why nothing may be learned from it
    first_token_seconds: float = 0.0
    total_seconds: float = 0.0

    def take(self, piece: Mapping[str, Any]) -> Delta | None:
        """Add what a chunk, or a whole completion, says of this choice. Raises ``EndpointMalformed``.

        What is wrong with log-probabilities alone costs no tokens: the sample loses them, and is not trainable.
        """
        if self.finish_reason:
            raise EndpointMalformed("The server went on with a sample that it had ended; look at its log.")
        ids = piece.get("token_ids")
        logprobs = piece["logprobs"]["token_logprobs"] if piece.get("logprobs") else ()
        if ids is None and (piece.get("text") or logprobs):
            raise EndpointMalformed("The server gives no token ids; use vLLM, or connect to its chat completions.")
        prompt = piece.get("prompt_token_ids")
        if prompt is not None and tuple(prompt) != self.template.prompt_token_ids:
            raise EndpointMalformed("The server sampled from another prompt than it was given; look at its settings.")
        now = time.perf_counter() - self.started
        if reason := piece.get("finish_reason"):
            self._end(reason, now)
        if not ids:
            return None
        self._check(ids)
        if not _sound(logprobs, len(ids)):
            self.flaw, logprobs = LOGPROBS, ()
        delta = Delta(self.index, tuple(ids), tuple(logprobs))
        self.token_ids += delta.token_ids
        self.logprobs += delta.logprobs
        self.first_token_seconds = self.first_token_seconds or now
        return delta

    def _end(self, reason: Any, now: float) -> None:
        self.finish_reason, self.total_seconds = FINISH.get(reason, "error"), now
        if self.finish_reason not in ("stop", "length"):
            self.flaw = f"{self.finish_reason}: the server ended the sample itself, by {str(reason)[:40]!r}"

    def _check(self, ids: Sequence[int]) -> None:
        """Raises ``EndpointMalformed``. Like ``_sound``, it is done for every token of every stream."""
        if not IDS.issuperset(map(type, ids)) or min(ids) < 0 or max(ids) >= STORED:
            raise EndpointMalformed("The server gave something for a token id that is none; look at its log.")
        if len(self.token_ids) + len(ids) > self.template.params.max_tokens:
            raise EndpointMalformed("The server gave more tokens than it was asked for; look at its log.")
        if max(ids) >= self.vocabulary:
            self.flaw = self.flaw or "vocabulary: the server gave a token that the tokenizer does not have"

    def sample(self) -> Sample:
        return replace(
            self.template,
            token_ids=tuple(self.token_ids),
            logprobs=tuple(self.logprobs) if len(self.logprobs) == len(self.token_ids) else (),
            finish_reason=self.finish_reason or "error",
            first_token_seconds=self.first_token_seconds,
            total_seconds=self.total_seconds,
            not_trainable=self.flaw or self.template.not_trainable,
        )


def _sound(logprobs: Sequence[float], count: int) -> bool:
    """Whether there are so many, all finite and none above log(1). What is added to NaN is NaN, above nothing."""
    numbers = len(logprobs) == count and NUMBERS.issuperset(map(type, logprobs))
    return numbers and max(logprobs) <= SLACK and math.fsum(logprobs) > -math.inf


def _finished(choices: Mapping[int, _Choice], usage: Any) -> list[Sample]:
    """The samples of a request that is over; not trainable where the server counted other tokens than it gave.

    Raises ``EndpointBroken`` where one has no end.
    """
    if not all(choice.finish_reason for choice in choices.values()):
        raise EndpointBroken("The server closed its answer before every sample had ended; ask again.")
    samples = [choice.sample() for choice in choices.values()]
    usage = usage or {}
    counted, given = usage.get("completion_tokens"), sum(len(sample.token_ids) for sample in samples)
    why = None if counted == given else f"usage: the server counted {str(counted)[:40]} tokens and gave {given}"
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    cached = cached if type(cached) is int else 0
    return [replace(s, cached_prompt_tokens=cached, not_trainable=s.not_trainable or why) for s in samples]
