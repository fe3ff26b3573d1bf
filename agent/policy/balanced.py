"""Several servers of one model: a prompt goes where most of it was read before, unless that one is busy.

A server keeps the keys and values of what it read lately, in blocks of tokens, and a prompt that begins like one of
those costs less there (vLLM's prefix cache). What each of them may still have is estimated from what this process sent
it; so a thread, and an attempt that goes on after its tools, stay where they were. SGLang's router has the same rule.
``assemble`` makes one where several addresses are given.
"""

from __future__ import annotations

import copy
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

from agent.policy.policy import Delta, Policy, PolicyError
from agent.policy.renderer import Renderer
from agent.records import PolicyVersion, Sample, SamplingParams

BLOCK = 16  # tokens; as large as vLLM's
BLOCKS = 65_536  # that a server is taken to keep: a million tokens
SLACK = 4  # samples that a server may have under way beyond the one with the fewest, and still be preferred ...
SHARE = 1.5  # ... or so many times those
PASSED_OVER = 5.0  # seconds in which a server that failed gets nothing, where there is another


class Prefixes:
    """The blocks that a server read lately, each known by all that stands before it."""

    def __init__(self, most: int = BLOCKS) -> None:
        self._most = most
        self._read: OrderedDict[int, None] = OrderedDict()

    def known(self, blocks: Sequence[int]) -> int:
        """How many of a prompt's blocks it has, from the first on."""
        return next((i for i, block in enumerate(blocks) if block not in self._read), len(blocks))

    def add(self, blocks: Sequence[int]) -> None:
        """They are read now; what was read longest ago is forgotten."""
        for block in reversed(blocks):  # the last blocks of a prompt are forgotten first
            self._read[block] = None
            self._read.move_to_end(block)
        while len(self._read) > self._most:
            self._read.popitem(last=False)


def blocks_of(token_ids: Sequence[int]) -> list[int]:
    """Of each whole block a hash of all tokens up to its end."""
    found, so_far = list[int](), 0
    for end in range(BLOCK, len(token_ids) + 1, BLOCK):
        so_far = hash((so_far, *token_ids[end - BLOCK : end]))
        found.append(so_far)
    return found


@dataclass(slots=True)
class Backend:
    """One of the servers, as this process knows it."""

    policy: Policy
    prefixes: Prefixes = field(default_factory=Prefixes)
    under_way: int = 0  # samples
    failed_at: float = float("-inf")  # time.monotonic()

    @contextmanager
    def asked(self, blocks: Sequence[int], samples: int) -> Iterator[None]:
        """Counts what is under way there, and notes a failure."""
        self.prefixes.add(blocks)
        self.under_way += samples
        try:
            yield
        except PolicyError as error:
            if error.passing:
                self.failed_at, self.prefixes = time.monotonic(), Prefixes()
            raise
        finally:
            self.under_way -= samples


def preferred(backends: Sequence[Backend], blocks: Sequence[int], now: float) -> int:
    """The place of the one that is asked: of those that are not much busier than others, the one that read most."""
    up = [i for i, each in enumerate(backends) if now - each.failed_at >= PASSED_OVER]
    if not up:
        return min(range(len(backends)), key=lambda i: backends[i].failed_at)
    least = min(backends[i].under_way for i in up)
    free = [i for i in up if backends[i].under_way <= max(least + SLACK, SHARE * least)]
    return max(free, key=lambda i: (backends[i].prefixes.known(blocks), -backends[i].under_way))


class BalancedPolicy:
    """Implements ``Policy`` on servers of one model."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        """Raises ``PolicyError`` where they serve different models, or one of them without token ids."""
        self._backends = [Backend(policy) for policy in policies]
        self._first = self._backends[0].policy
        kinds = {f"{each.policy.version} ({type(each.policy).__name__})" for each in self._backends}
        if len(kinds) > 1:
            raise PolicyError(
                f"Servers share the load where all serve one model alike; here are {' and '.join(sorted(kinds))}."
            )

    @property
    def version(self) -> PolicyVersion:
        return self._first.version

    @property
    def renderer(self) -> Renderer:
        return self._first.renderer

    @property
    def context_length(self) -> int:
        """Of the one that reads least."""
        return min(each.policy.context_length for each in self._backends)

    def at(self, version: PolicyVersion | None) -> BalancedPolicy:
        """Raises ``OtherVersion``."""
        other = copy.copy(self)  # with the servers of this one
        other._first = self._backends[0].policy.at(version)
        return other

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        blocks = blocks_of(prompt_token_ids)
        backend = self._chosen(blocks)
        with backend.asked(blocks, n):
            return await backend.policy.at(self.version).sample(prompt_token_ids, params, n)

    async def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        blocks = blocks_of(prompt_token_ids)
        backend = self._chosen(blocks)
        with backend.asked(blocks, n):
            async with aclosing(backend.policy.at(self.version).stream(prompt_token_ids, params, n)) as pieces:
                async for piece in pieces:
                    yield piece
                    if isinstance(piece, Sample):
                        backend.prefixes.add(blocks_of((*prompt_token_ids, *piece.token_ids)))

    def _chosen(self, blocks: Sequence[int]) -> Backend:
        return self._backends[preferred(self._backends, blocks, time.monotonic())]

    async def close(self) -> None:
        for each in self._backends:
            await each.policy.close()
