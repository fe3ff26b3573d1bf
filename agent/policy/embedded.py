"""The policy for a machine with no server: a Transformers model in this process, on a CPU or a GPU, in float32.

Requests of all callers are one batch, computed in one thread that the policy owns; callers await. For large models and
many users use a server and ``EndpointPolicy``: this one is for small models, tests, and a laptop.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from agent.policy.batch import Batch, Limits, Request, Row
from agent.policy.constraint import CONSTRAINED, Constraints
from agent.policy.model import load_model, merged, prepare, redraw, use_threads, version_of
from agent.policy.policy import GREEDY, ContextTooLong, Delta, PolicyError, expect
from agent.policy.renderer import Renderer
from agent.policy.sampling import Draw
from agent.policy.weights import adapted
from agent.records import PolicyVersion, Sample, SamplingParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FLUSH_SECONDS = 0.02  # a stream gets what was sampled since then at once: 50 times a second is live to an eye


class EmbeddedPolicy:
    """Implements ``Policy``. The thread starts with the first request and ends with ``close``."""

    def __init__(self, model: PreTrainedModel, renderer: Renderer, version: PolicyVersion) -> None:
        """Takes the model over: its attention and norms are exchanged and it keeps no gradients.

        Raises ``PolicyError`` where the model's architecture cannot be batched here.
        """
        prepare(model)
        self.version = version
        self.renderer = renderer
        self.context_length = int(getattr(model.config, "max_position_embeddings", 0) or 4096)
        self._vocabulary = int(model.config.vocab_size)
        self._model = model
        self._constraints = Constraints(renderer, self._vocabulary)
        self._new_batch = partial(Batch, model, Limits(self.context_length))
        self._inbox: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()  # None: close
        self._calls: list[_Call] = []  # under way; only the worker touches it
        self._thread: threading.Thread | None = None
        self._closed = False

    @classmethod
    def load(
        cls, folder: str | PathLike[str], device: str | None = None, adapter: Path | None = None
    ) -> EmbeddedPolicy:
        """Load a model's folder (or hub name) on ``device``, by default the GPU where there is one.

        The weights of ``adapter``, a LoRA's folder, are added to the model's. Raises ``PolicyError``.
        """
        renderer = Renderer.load(folder)
        model = load_model(folder, device)
        version = version_of(model)
        if adapter is not None:
            model, version = merged(model, adapter), adapted(version, adapter)
        return cls(model, renderer, version)

    def at(self, version: PolicyVersion | None) -> EmbeddedPolicy:
        expect(version, self.version)
        return self

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        """Draw ``n`` samples. Raises ``ContextTooLong`` and ``PolicyError``."""
        call = self._submit(prompt_token_ids, params, n, streaming=False)
        try:
            pieces = await call.next()
        finally:
            call.request.cancelled = True
        return [piece for piece in pieces if isinstance(piece, Sample)]

    async def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        """The same samples as they grow; deltas come at most every 20 ms."""
        call = self._submit(prompt_token_ids, params, n, streaming=True)
        unfinished = n
        try:
            while unfinished:
                for piece in await call.next():
                    unfinished -= isinstance(piece, Sample)
                    yield piece
        finally:
            call.request.cancelled = True

    async def draws(self, sample: Sample) -> list[Draw]:
        """How each token of a logged sample is drawn again after those before it, for replay."""
        schema = sample.params.json_schema
        return await asyncio.to_thread(redraw, self._model, sample, self._constraints.of(schema) if schema else None)

    async def close(self) -> None:
        """End the thread. Who still waits gets what there is, as cancelled samples."""
        self._closed = True
        if self._thread is not None:
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join)

    def _submit(self, prompt: Sequence[int], params: SamplingParams, n: int, streaming: bool) -> _Call:
        self._check(prompt, params, n)
        stops = frozenset(self.renderer.stop_token_ids) | frozenset(params.stop_token_ids)
        constraint = self._constraints.of(params.json_schema) if params.json_schema else None
        call = _Call(Request(tuple(prompt), params, n, stops, constraint), self.version, streaming)
        self._inbox.put(call)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="embedded-policy", daemon=True)
            self._thread.start()
        return call

    def _check(self, prompt: Sequence[int], params: SamplingParams, n: int) -> None:
        if self._closed:
            raise PolicyError("The embedded model was closed; make a new one.")
        if len(prompt) >= self.context_length:
            sentence = f"The prompt has {len(prompt)} tokens and the model reads {self.context_length}; shorten it."
            raise ContextTooLong(sentence)
        if not prompt or min(prompt) < 0 or max(prompt) >= self._vocabulary:
            raise PolicyError(
                f"A prompt needs at least one id, each from 0 to {self._vocabulary - 1}; render it again."
            )
        if n < 1 or params.max_tokens < 1 or params.temperature < 0:
            raise PolicyError("Ask for at least one sample of at least one token, at a temperature of 0 or more.")

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        use_threads(self._model)
        batch = self._new_batch()
        while self._receive(batch):
            try:
                batch.step()
                self._deliver()
            except Exception as error:  # whatever a step raises belongs to those who wait for it
                self._fail(error)
                batch = self._new_batch()  # nothing is left half computed
        for call in self._calls:
            call.cancel()

    def _receive(self, batch: Batch) -> bool:
        """Take new calls in, waiting for one where there is nothing to do; False when it is time to end."""
        while batch.idle or not self._inbox.empty():
            call = self._inbox.get()
            if call is None:
                return False
            self._calls.append(call)
            batch.add(call.request)
        return True

    def _deliver(self) -> None:
        now = time.perf_counter()
        for call in self._calls:
            call.flush(now)
        self._calls = [call for call in self._calls if not call.request.cancelled and call.unfinished]

    def _fail(self, error: Exception) -> None:
        for call in self._calls:
            call.fail(error)
        self._calls = []


@dataclass(eq=False)
class _Call:
    """One caller's request on its way through the thread, and the way back."""

    request: Request
    version: PolicyVersion
    streaming: bool
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    arrived: asyncio.Queue[list[Delta | Sample] | PolicyError] = field(default_factory=asyncio.Queue)
    asked_at: float = field(default_factory=time.perf_counter)
    flushed_at: float = 0.0
    told: dict[int, int] = field(default_factory=dict)  # choice -> tokens that went out in deltas
    done: set[int] = field(default_factory=set)  # choices whose sample went out

    @property
    def unfinished(self) -> int:
        return self.request.n - len(self.done)

    async def next(self) -> list[Delta | Sample]:
        pieces = await self.arrived.get()
        if isinstance(pieces, PolicyError):
            raise pieces
        return pieces

    def flush(self, now: float) -> None:
        """Send what is new where it is due: the end of a sample at once, tokens in between every 20 ms."""
        ended = [row for row in self.request.rows if row.finish_reason and row.choice not in self.done]
        if self.streaming:
            if ended or now - self.flushed_at >= FLUSH_SECONDS:
                self._send([*self._deltas(now), *map(self._finished, ended)])
        elif len(ended) == self.request.n:
            self._send(list(map(self._finished, ended)))

    def cancel(self) -> None:
        """Send every sample that is not finished as far as it got."""
        rows = self.request.rows + [Row(self.request, i) for i in range(len(self.request.rows), self.request.n)]
        for row in rows:
            row.finish_reason = row.finish_reason or "cancelled"
        deltas = self._deltas(time.perf_counter()) if self.streaming else []
        self._send([*deltas, *(self._finished(row) for row in rows if row.choice not in self.done)])

    def fail(self, error: Exception) -> None:
        failed = PolicyError(f"The embedded model failed in the middle of a step ({error!r}); ask again.")
        failed.__cause__ = error
        self._send(failed)

    def _deltas(self, now: float) -> list[Delta | Sample]:
        deltas: list[Delta | Sample] = []
        for row in self.request.rows:
            told = self.told.get(row.choice, 0)
            if len(row.token_ids) > told:
                deltas.append(Delta(row.choice, tuple(row.token_ids[told:]), tuple(row.logprobs[told:])))
                self.told[row.choice] = len(row.token_ids)
                self.flushed_at = now
        return deltas

    def _finished(self, row: Row) -> Sample:
        self.done.add(row.choice)
        params = self.request.params
        return Sample(
            prompt_token_ids=self.request.prompt,
            token_ids=tuple(row.token_ids),
            logprobs=tuple(row.logprobs),
            finish_reason=row.finish_reason or "error",
            policy=self.version,
            params=replace(params, seed=row.seed),
            first_token_seconds=max(row.first_at - self.asked_at, 0.0),
            total_seconds=max(row.last_at - self.asked_at, 0.0),
            cached_prompt_tokens=row.cached,
            not_trainable=CONSTRAINED if params.json_schema else GREEDY if params.temperature == 0 else None,
        )

    def _send(self, pieces: list[Delta | Sample] | PolicyError) -> None:
        if not pieces:
            return
        try:
            self.loop.call_soon_threadsafe(self.arrived.put_nowait, pieces)
        except RuntimeError:  # the caller's loop has ended
            self.request.cancelled = True
