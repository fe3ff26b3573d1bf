"""One model's batch: rows join and leave between steps. Plain synchronous compute; ``embedded`` runs it in its thread.

A step computes one chunk of the oldest waiting prompt, if there is one, and one token of every row. The n samples of a
prompt share one prefill, and prompts share the whole chunks that they begin with. A prompt is always computed alone and
in the same chunks, and a decoding step is padded to a multiple of four rows: with one thread, MKL's products then have
the same bits in a row whatever the other rows are (measured with torch 2.13; below four rows it takes other kernels).
On another machine the least bits may depend on the company; the draw itself never does.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from agent.policy.keyvalues import KeyValues, PrefixCache
from agent.policy.model import logits_of
from agent.policy.sampling import draw_rows
from agent.records import SamplingParams

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from agent.policy.constraint import Constraint


@dataclass(eq=False, slots=True)
class Row:
    """One sample under way."""

    request: Request
    choice: int
    cached: int = 0  # tokens of the prompt that were not computed for it
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str | None = None
    first_at: float = 0.0  # time.perf_counter() of the first token
    last_at: float = 0.0  # and of the last
    constraint: Constraint | None = None  # what may come next

    @property
    def seed(self) -> int:
        return self.request.params.seed + self.choice

    @property
    def position(self) -> int:
        """Where the last sampled token, the next to be read, stands in the sequence."""
        return len(self.request.prompt) + len(self.token_ids) - 1


@dataclass(eq=False, slots=True)
class Request:
    """n samples of one prompt."""

    prompt: tuple[int, ...]
    params: SamplingParams
    n: int
    stops: frozenset[int]
    constraint: Constraint | None = None  # at the beginning of each sample
    rows: list[Row] = field(default_factory=list)  # those that have their first token, by choice
    cancelled: bool = False  # set by any thread; the rows leave before the next step


@dataclass(frozen=True, slots=True)
class Limits:
    """What a batch may grow to."""

    context_length: int
    rows: int = 64  # sampled at once; more wait
    chunk: int = 128  # tokens of a prompt computed between two steps: 8 ms with 3 M parameters on one core
    prefix_bytes: int = 256 * 2**20


class Batch:
    """The rows that are being sampled and the prompts that wait for them."""

    def __init__(self, model: PreTrainedModel, limits: Limits) -> None:
        self.rows: list[Row] = []
        self.waiting: deque[Request] = deque()
        self._model = model
        self._limits = limits
        weight = next(model.parameters())
        self._device = weight.device
        self._multiple = 4 if weight.device.type == "cpu" else 1
        self._keys = KeyValues(model.config, weight)
        self._prompt: tuple[int, ...] = ()  # the prompt that was begun last
        self._prompt_keys = KeyValues(model.config, weight)
        self._prompt_done = 0  # how many of its tokens stand there
        self._prompt_known = 0  # how many of those the next sample of it did not have to wait for
        self._prompt_logits: NDArray[np.float32] | None = None  # [1, V], once it is whole
        self._prefixes = PrefixCache(limits.chunk, limits.prefix_bytes)

    @property
    def idle(self) -> bool:
        return not (self.rows or self.waiting)

    def add(self, request: Request) -> None:
        self.waiting.append(request)

    @torch.inference_mode()
    def step(self) -> None:
        """One chunk of the oldest prompt, then one token for every row; rows that end leave."""
        self._leave()
        if self.waiting and self._has_room:
            self._prefill(self.waiting[0].prompt)
        if self.rows:
            self._decode()

    # --- prompts ------------------------------------------------------------------------------------------------------

    @property
    def _has_room(self) -> bool:
        return len(self.rows) < self._limits.rows

    def _prefill(self, prompt: tuple[int, ...]) -> None:
        """Go on with a prompt; where that makes it whole, everybody at the head of the queue who has it joins."""
        if prompt != self._prompt:
            self._begin(prompt)
        if self._prompt_logits is None:
            self._prompt_logits = self._chunk(prompt)
        if self._prompt_logits is not None:
            while self.waiting and self._has_room and self.waiting[0].prompt == prompt:
                self._join(self.waiting[0], self._prompt_logits)

    def _begin(self, prompt: tuple[int, ...]) -> None:
        """Take over the whole chunks of it that are known."""
        blocks = self._prefixes.find(prompt)
        self._prompt, self._prompt_logits = prompt, None
        self._prompt_done = self._prompt_known = self._limits.chunk * len(blocks)
        self._prompt_keys.reserve(1, self._prompt_done)
        for place, block in enumerate(blocks):
            start = place * self._limits.chunk
            self._prompt_keys.tensor[:, :, 0, :, start : start + self._limits.chunk] = block

    def _chunk(self, prompt: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Compute the next chunk of a prompt; the logits of its last token where it was the last chunk."""
        start, end = self._prompt_done, min(self._prompt_done + self._limits.chunk, len(prompt))
        positions = torch.arange(start, end, device=self._device)[None]
        mask = self._prompt_keys.extend(start, end)
        logits = logits_of(self._model, torch.tensor([prompt[start:end]]), positions, mask, self._prompt_keys)
        self._prompt_done = end
        if end - start == self._limits.chunk:
            self._prefixes.add(prompt[:end], self._prompt_keys.tensor[:, :, 0, :, start:end].clone())
        return logits if end == len(prompt) else None

    def _join(self, request: Request, logits_1_V: NDArray[np.float32]) -> None:
        """Draw the first token of as many of the samples as there is room for; those that go on become rows."""
        while len(request.rows) < request.n and self._has_room:
            row = Row(request, len(request.rows), self._prompt_known)
            row.constraint = request.constraint and request.constraint.copy()
            self._prompt_known = len(request.prompt)  # whoever comes next shares what was computed for this one
            request.rows.append(row)
            self._append([row], logits_1_V)
            if row.finish_reason is None:
                self._keys.put(len(self.rows), self._prompt_keys, 0, len(request.prompt))
                self.rows.append(row)
        if len(request.rows) == request.n:
            self.waiting.popleft()

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _decode(self) -> None:
        positions = [row.position for row in self.rows]
        fillers = -len(positions) % self._multiple
        ids = torch.tensor([row.token_ids[-1] for row in self.rows] + [0] * fillers)[:, None]
        positions_R = torch.tensor(positions + [0] * fillers, device=self._device)
        mask = self._keys.step(positions_R[: len(positions)], max(positions) + 1)
        logits_R_V = logits_of(self._model, ids, positions_R[:, None], mask, self._keys)
        self._append(self.rows, logits_R_V[: len(positions)])
        self._leave()

    def _append(self, rows: list[Row], logits_B_V: NDArray[np.float32]) -> None:
        """Draw the next token of each row and see whether the row has ended."""
        params, seeds = [row.request.params for row in rows], [row.seed for row in rows]
        if any(row.constraint for row in rows):
            pairs = zip(rows, logits_B_V, strict=True)
            logits_B_V = np.stack([row.constraint.within(own) if row.constraint else own for row, own in pairs])
        draws = draw_rows(logits_B_V, params, seeds, [len(row.token_ids) for row in rows])
        now = time.perf_counter()
        for row, drawn in zip(rows, draws, strict=True):
            row.token_ids.append(drawn.token)
            if row.constraint:
                row.constraint.take(drawn.token)
            row.logprobs.append(drawn.logprob)
            row.last_at, row.first_at = now, row.first_at or now
            row.finish_reason = self._ending(row)

    def _ending(self, row: Row) -> str | None:
        if row.token_ids[-1] in row.request.stops:
            return "stop"
        full = row.position + 1 >= self._limits.context_length
        return "length" if full or len(row.token_ids) >= row.request.params.max_tokens else None

    def _leave(self) -> None:
        """Take out what has ended or was cancelled; the last row moves into the gap."""
        if any(request.cancelled for request in self.waiting):
            self.waiting = deque(request for request in self.waiting if not request.cancelled)
        for place in reversed(range(len(self.rows))):
            if self.rows[place].finish_reason or self.rows[place].request.cancelled:
                last = self.rows.pop()
                if place < len(self.rows):
                    self.rows[place] = last
                    self._keys.put(place, self._keys, len(self.rows), last.position)
