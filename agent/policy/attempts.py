"""A question and a finished attempt, as the ids that an outcome reward model reads.

The question in the model's own chat template, then the attempt, line by line, then the token that ends a turn, at which
the model says how good the attempt is. It does not matter where a process reward model would see a step end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.errors import SettingsError
from agent.policy.renderer import Renderer


@dataclass(frozen=True, slots=True)
class AttemptEncoder:
    """Called with a question and steps; text that spells a control token does not become it."""

    renderer: Renderer
    end_id: int

    @classmethod
    def load(cls, path_or_hub_name: str) -> AttemptEncoder:
        """How the model of that name reads attempts.

        Raises ``SettingsError`` where it ends no turn with a token of its own, and ``RendererError``.
        """
        renderer = Renderer.load(path_or_hub_name)
        end, padding = renderer.tokenizer.eos_token_id, renderer.tokenizer.pad_token_id
        if not isinstance(end, int) or end == padding:
            raise SettingsError(f"{path_or_hub_name} ends turns with no token of their own; take a model that chats.")
        return cls(renderer, end)

    def __call__(self, question: str, steps: Sequence[str]) -> list[int]:
        lines = [line.strip() for step in steps for line in step.splitlines()]
        attempt = "\n".join(line for line in lines if line)
        start = self.renderer.start([{"role": "user", "content": question}])
        return [*start, *self.renderer.encode(attempt), self.end_id]
