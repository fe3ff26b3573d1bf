"""A question and the steps of an attempt, as the ids that a process reward model reads.

The form is that of Qwen2.5-Math-PRM (Zhang et al., 2025, "The Lessons of Developing Process Reward Models in
Mathematical Reasoning"): the question in the model's own chat template, then the steps, a step tag after each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.errors import SettingsError
from agent.policy.renderer import Renderer

TAGS = {"Qwen2ForProcessRewardModel": "<extra_0>"}  # architecture -> step tag, where the configuration names none


@dataclass(frozen=True, slots=True)
class StepEncoder:
    """Called with a question and steps; text that spells the tag, or any control token, does not become it."""

    renderer: Renderer
    tag_id: int
    delimiter: str = "\n\n"  # what ends a step inside a thought, as the model was trained

    @classmethod
    def load(cls, path_or_hub_name: str) -> StepEncoder:
        """The encoder of a process reward model, whose configuration names its tag as ``step_tag``.

        Raises ``SettingsError`` where there is no such model or its tag is not known, and ``RendererError``.
        """
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(path_or_hub_name)
        except Exception as error:  # a configuration with wrong types raises what its library likes
            raise SettingsError(f"{path_or_hub_name} is no model: give a folder of weights or a hub name.") from error
        renderer = Renderer.load(path_or_hub_name)
        named = [TAGS[name] for name in config.architectures or () if name in TAGS]
        tag = getattr(config, "step_tag", None) or next(iter(named), None)
        if tag not in renderer.controls:
            sentence = f'{path_or_hub_name} has no step tag ({tag}); name a control token as "step_tag" in config.json.'
            raise SettingsError(sentence)
        return cls(renderer, renderer.controls[tag], getattr(config, "step_delimiter", None) or "\n\n")

    def __call__(self, question: str, steps: Sequence[str]) -> list[int]:
        ids = self.renderer.start([{"role": "user", "content": question}])
        for step in steps:
            ids += [*self.renderer.encode(step.strip()), self.tag_id]
        return ids
