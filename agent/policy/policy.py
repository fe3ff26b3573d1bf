"""A policy: a model, tokens in and tokens out. The protocol that the agent, the trainer and the verifiers hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.errors import PonderError
from agent.records import PolicyVersion, Sample, SamplingParams

if TYPE_CHECKING:
    from agent.policy.renderer import Renderer


GREEDY = "greedy: the most likely token was taken, nothing was drawn from the distribution"  # why it is not trainable


@dataclass(frozen=True, slots=True)
class Delta:
    """Tokens that have just been sampled for one choice."""

    choice: int  # 0 .. n - 1
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]  # one per token, so that a sample that is cut short keeps its own; () on chat servers


class PolicyError(PonderError):
    """The policy could not sample. The message is one sentence that says what to do next."""

    passing = False  # whether the same request may well succeed a little later


class ContextTooLong(PolicyError):
    """The prompt leaves no room for an answer in the model's context."""


class OtherVersion(PolicyError):
    """Another model, or another version of it, is wanted than there is."""

    exit_code = 2

    def __init__(self, wanted: PolicyVersion, here: PolicyVersion) -> None:
        super().__init__(f"It was begun by {wanted} and this is {here}; start that model.")


def expect(wanted: PolicyVersion | None, here: PolicyVersion) -> None:
    """For a policy of one version. Raises ``OtherVersion``."""
    if wanted not in (None, here):
        raise OtherVersion(wanted, here)


class Policy(Protocol):
    """Samples from a model. Cancelling a call stops the sampling behind it."""

    @property
    def version(self) -> PolicyVersion: ...

    @property
    def renderer(self) -> Renderer: ...

    @property
    def context_length(self) -> int:
        """Most tokens that a prompt and its sample may have together."""
        ...

    def at(self, version: PolicyVersion | None) -> Policy:
        """The same model at a version: None is the one that new runs take. A run asks for one, and keeps to it.

        Raises:
            PolicyError: there is no such version here.
        """
        ...

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        """Draw ``n`` samples; sample i is drawn with ``params.seed + i`` and does not depend on ``n``."""
        ...

    def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        """The same draw, as it happens: deltas, and each choice's ``Sample`` when it ends.

        Closing the iterator early stops the sampling; use ``contextlib.aclosing``.
        """
        ...

    async def close(self) -> None: ...
