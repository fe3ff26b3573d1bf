"""A policy as a judge: what ``verifiers.judge`` asks becomes one turn of a conversation with a model."""

from __future__ import annotations

import asyncio

from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from agent.policy.policy import Policy, PolicyError
from agent.records import SamplingParams
from verifiers.judge import Reply
from verifiers.verdict import VerifierError

DEADLINE = 240.0  # seconds for one reply, below that of the whole panel


class PolicyJudge:
    """Implements ``verifiers.judge.Judging``. Greedy, so that a verdict does not depend on a draw."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def ask(self, prompt: str, most_tokens: int) -> Reply:
        """Asked again, with pauses, while the model's failure may pass."""
        try:
            async with asyncio.timeout(DEADLINE):
                retrying = AsyncRetrying(
                    retry=retry_if_exception(lambda error: isinstance(error, PolicyError) and error.passing),
                    wait=wait_random_exponential(0.5, 15.0),
                )
                return await retrying(self._ask, prompt, most_tokens)
        except TimeoutError as error:
            raise VerifierError(f"The judge took longer than {DEADLINE:g} s; take a faster one.") from error
        except PolicyError as error:
            raise VerifierError(f"The judge could not be asked: {error}") from error

    async def _ask(self, prompt: str, most_tokens: int) -> Reply:
        policy = self._policy.at(None)  # the version that new runs take
        ids = policy.renderer.start([{"role": "user", "content": prompt}])
        room = max(1, min(most_tokens, policy.context_length - len(ids)))
        [sample] = await policy.sample(ids, SamplingParams(temperature=0.0, max_tokens=room))
        if sample.finish_reason == "error":
            raise PolicyError(f"it broke off ({sample.not_trainable}); ask again.")
        return Reply(policy.renderer.read(sample.token_ids).text, len(ids) + len(sample.token_ids))
