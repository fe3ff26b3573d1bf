"""A model that says what a test has written, as slowly, as badly and as often as the test wants; and who asks it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from agent.budget import Budget
from agent.context import Agent, seed_of
from agent.effort import Effort
from agent.policy.policy import Delta, PolicyError, expect
from agent.policy.renderer import Renderer
from agent.records import Ending, Path, PolicyVersion, Run, Sample, SamplingParams
from agent.run import Ask
from agent.search.attempts import Single
from agent.search.strategy import Strategy

T = TypeVar("T")
ROOT_SEED = 7
PIECE = 3  # tokens of a delta
LOGPROB = -0.5  # of every token


@dataclass(frozen=True)
class Say:
    """One turn of the model. Control tokens that are spelled in ``text`` are control tokens."""

    text: str = ""
    after: int = 0  # after so many tokens ...
    wait: Callable[[], Awaitable[object]] | None = None  # ... it waits for this ...
    fails: str = ""  # ... and fails with this sentence
    token_ids: Sequence[int] = ()  # instead of the text
    finish_reason: str = ""  # instead of the one that its tokens have


Script = Callable[[Sequence[int], SamplingParams], Say | str]


def by_place(turns: Mapping[Path, Say | str], root_seed: int = ROOT_SEED) -> Script:
    """What is said at each place of the tree, for runs with ``root_seed``; elsewhere, the answer 75."""
    places = {seed_of(root_seed, path[:-1]) + path[-1]: said for path, said in turns.items()}
    return lambda prompt, params: places.get(params.seed, "Answer: 75")


class ScriptedPolicy:
    """Implements ``Policy``."""

    def __init__(self, renderer: Renderer, script: Script, context_length: int = 4096) -> None:
        self.version = PolicyVersion("scripted", version="1")
        self.renderer = renderer
        self.context_length = context_length
        self.script = script
        self.prompts: list[list[int]] = []  # of every call, in the order in which they began
        self.broken_off = 0  # streams that were closed before their end

    def at(self, version: PolicyVersion | None) -> ScriptedPolicy:
        expect(version, self.version)
        return self

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        return [piece async for piece in self.stream(prompt_token_ids, params, n) if isinstance(piece, Sample)]

    async def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        self.prompts.append(list(prompt_token_ids))
        try:
            for choice in range(n):
                drawn = replace(params, seed=params.seed + choice)
                said = self.script(prompt_token_ids, drawn)
                said = Say(said) if isinstance(said, str) else said
                ids = tuple(said.token_ids) or self.turn(said.text)
                stops = (i for i, token in enumerate(ids, 1) if token in params.stop_token_ids)
                ids = ids[: next(stops, len(ids))]
                kept = ids[: params.max_tokens]
                for start in range(0, len(kept), PIECE):
                    await stumble(said, start)
                    piece = kept[start : start + PIECE]
                    yield Delta(choice, piece, (LOGPROB,) * len(piece))
                await stumble(said, len(kept))
                finish = said.finish_reason or ("stop" if kept == ids else "length")
                logprobs = (LOGPROB,) * len(kept)
                yield Sample(tuple(prompt_token_ids), kept, logprobs, finish, self.version, drawn, total_seconds=0.5)
        except (GeneratorExit, asyncio.CancelledError):
            self.broken_off += 1
            raise

    async def close(self) -> None:
        pass

    def turn(self, text: str) -> tuple[int, ...]:
        """The ids of a turn as the model samples it, its end included."""
        return tuple(self.renderer.tokenizer.encode(text + "<|im_end|>", add_special_tokens=False))


async def stumble(said: Say, told: int) -> None:
    await asyncio.sleep(0)
    if said.after <= told < said.after + PIECE:
        if said.wait:
            await said.wait()
        if said.fails:
            raise PolicyError(said.fails)


async def forever() -> None:
    await asyncio.Event().wait()


def call(tool: str, **arguments: object) -> str:
    """A tool call as the model writes it."""
    return f"<tool_call>\n{json.dumps({'name': tool, 'arguments': arguments})}\n</tool_call>"


# --- who asks, and what came of it ------------------------------------------------------------------------------------


def how(strategy: Strategy | None = None, **budget: float) -> Ask:
    """With the seed that ``by_place`` stands on, and no run drawn as a reference."""
    limits = Budget(**{"sample_tokens": 1024, "tokens": 40_000, **budget})  # type: ignore[arg-type]
    effort = Effort("test", strategy or Single(), 1.0, limits)
    return Ask(effort, seed=ROOT_SEED, reference_share=0.0)


def model_of(agent: Agent) -> ScriptedPolicy:
    assert isinstance(agent.policy, ScriptedPolicy)
    return agent.policy


def spelled(agent: Agent, token_ids: Sequence[int]) -> str:
    """The text of ids as one reads it, control tokens included."""
    return str(agent.policy.renderer.tokenizer.decode(list(token_ids)))


async def heard(events: AsyncIterator[T]) -> list[T]:
    return [event async for event in events]


def assert_chained(run: Run) -> None:
    """Every prompt of a trajectory is the last one, what was sampled, and what was appended."""
    for trajectory in run.trajectories():
        for before, after in itertools.pairwise(trajectory):
            known = before.sample.prompt_token_ids + before.sample.token_ids
            prompt = after.sample.prompt_token_ids
            assert prompt[: len(known)] == known
            assert prompt != known or before.ending is Ending.STEP
