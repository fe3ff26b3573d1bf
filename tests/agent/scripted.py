"""A model that says what a test has written, as slowly, as badly and as often as the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.context import seed_of
from agent.policy.policy import Delta, PolicyError
from agent.policy.renderer import Renderer
from agent.records import Path, PolicyVersion, Sample, SamplingParams

ROOT_SEED = 7
VERSION = PolicyVersion("scripted", version="1")
PIECE = 3  # tokens of a delta


@dataclass(frozen=True)
class Say:
    """One turn of the model; control tokens that are spelled in ``text`` are control tokens."""

    text: str = ""
    after: int = 0  # after so many tokens ...
    wait: Callable[[], Awaitable[object]] | None = None  # ... it waits for this
    fails: str = ""  # ... or fails with this sentence
    token_ids: Sequence[int] = ()  # instead of the text, as they are


Script = Callable[[Sequence[int], SamplingParams], Say | str]


def by_place(turns: Mapping[Path, Say | str], root_seed: int = ROOT_SEED) -> Script:
    """What is said at each place of the tree, for runs with ``root_seed``; elsewhere, the answer 75."""
    seeds = {
        seed_of(root_seed, parent) + child: (*parent, child)
        for parent in [(), *((i,) + (0,) * depth for i in range(16) for depth in range(12))]
        for child in range(1 if parent else 16)
    }
    return lambda prompt, params: turns.get(seeds[params.seed], "Answer: 75")


class ScriptedPolicy:
    """Implements ``Policy``."""

    def __init__(self, renderer: Renderer, script: Script, context_length: int = 4096) -> None:
        self.version = VERSION
        self.renderer = renderer
        self.context_length = context_length
        self.script = script
        self.prompts: list[list[int]] = []  # of every call, in the order in which they began
        self.under_way = 0
        self.most_at_once = 0
        self.broken_off = 0  # streams that were closed before their end

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        return [piece async for piece in self.stream(prompt_token_ids, params, n) if isinstance(piece, Sample)]

    async def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        self.prompts.append(list(prompt_token_ids))
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        ended = False
        try:
            for choice in range(n):
                drawn = replace(params, seed=params.seed + choice)
                said = self.script(prompt_token_ids, drawn)
                said = Say(said) if isinstance(said, str) else said
                ids = tuple(said.token_ids) or self.turn(said.text)
                for start in range(0, len(ids[: params.max_tokens]), PIECE):
                    await self._stumble(said, start)
                    piece = ids[start : min(start + PIECE, params.max_tokens)]
                    yield Delta(choice, piece, logprobs(piece))
                await self._stumble(said, len(ids))
                yield self._sample(tuple(prompt_token_ids), ids, drawn)
            ended = True
        except PolicyError:
            ended = True
            raise
        finally:
            self.under_way -= 1
            self.broken_off += not ended

    async def close(self) -> None:
        pass

    def turn(self, text: str) -> tuple[int, ...]:
        """The ids of a turn as the model samples it: its control tokens, and the end of the turn."""
        return tuple(self.renderer.tokenizer.encode(text + "<|im_end|>", add_special_tokens=False))

    async def _stumble(self, said: Say, told: int) -> None:
        await asyncio.sleep(0)
        if said.after <= told < said.after + PIECE:
            if said.fails:
                raise PolicyError(said.fails)
            if said.wait:
                await said.wait()

    def _sample(self, prompt: tuple[int, ...], ids: tuple[int, ...], params: SamplingParams) -> Sample:
        kept = ids[: params.max_tokens]
        finish = "stop" if len(ids) <= params.max_tokens else "length"
        return Sample(prompt, kept, logprobs(kept), finish, self.version, params, total_seconds=0.5)


def logprobs(ids: Sequence[int]) -> tuple[float, ...]:
    return tuple(-0.5 for _ in ids)


def call(name: str, **arguments: object) -> str:
    """A tool call as the model writes it."""
    import json

    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"
