"""A policy that says what it was told to, for the tests that need a run to go a known way."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from agent.context import Agent
from agent.policy.policy import Delta, PolicyError, expect
from agent.policy.renderer import Renderer
from agent.records import PolicyVersion, Sample, SamplingParams
from agent.store import Store
from agent.system_prompt import open_prompt
from tools.tool import Tool
from tools.toolbox import Toolbox
from verifiers import registry
from verifiers.reward import WITHOUT_GOLD


class ScriptedPolicy:
    """Answers each question with its turns, one after the other; a question without turns cannot be answered."""

    version = PolicyVersion("scripted")
    context_length = 4096

    def __init__(self, renderer: Renderer, turns: Mapping[str, Sequence[str]]) -> None:
        """``turns`` are the texts of assistant turns by question, control tokens included, the end of the turn not."""
        self.renderer = renderer
        self.turns = turns

    def at(self, version: PolicyVersion | None) -> Self:
        expect(version, self.version)
        return self

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        token_ids = self._next(prompt_token_ids)
        logprobs = (-0.5,) * len(token_ids)
        drawn = Sample(tuple(prompt_token_ids), token_ids, logprobs, "stop", self.version, params)
        return [replace(drawn, params=replace(params, seed=params.seed + i)) for i in range(n)]

    async def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        for choice, sample in enumerate(await self.sample(prompt_token_ids, params, n)):
            yield Delta(choice, sample.token_ids, sample.logprobs)
            yield sample

    async def close(self) -> None:
        pass

    def say(self, question: str, turn: int) -> str:
        if turn >= len(self.turns[question]):
            raise PolicyError("The script has nothing more to say; ask another question.")
        return self.turns[question][turn]

    def _next(self, prompt_token_ids: Sequence[int]) -> tuple[int, ...]:
        shown = str(self.renderer.tokenizer.decode(list(prompt_token_ids)))
        question = shown.partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
        if question not in self.turns:
            raise PolicyError("The script has nothing to say; ask another question.")
        text = self.say(question, shown.count("<|im_start|>assistant") - 1)
        ids = self.renderer.tokenizer.encode(text, add_special_tokens=False)
        return (*ids, self.renderer.stop_token_ids[0])


def scripted_agent(policy: ScriptedPolicy, folder: Path, tools: Sequence[Tool]) -> Agent:
    """An agent with the verifiers that need no gold answer, and a log of its own in ``folder``."""
    verifiers = [registry.load(name) for name in WITHOUT_GOLD]
    store = Store.open(folder / "log.sqlite")
    return Agent(policy, Toolbox(tools), verifiers, WITHOUT_GOLD, store, None, open_prompt())
