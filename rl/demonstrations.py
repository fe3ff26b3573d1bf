"""Demonstrations as token ids: what the policy would have seen and sampled, and which of it carries a loss.

Built with the policy's own renderer, so that a demonstration has exactly the ids that the agent produces at run time:
prompt + sampled + appended, turn by turn. ``rl.sft`` calls it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.policy.renderer import Renderer
from agent.system_prompt import open_prompt
from rl.tasks.task import Step, Task

SYSTEM_PROMPT = open_prompt().text


@dataclass(frozen=True, slots=True)
class Encoded:
    """One demonstration. ``learn[i]`` says whether ``token_ids[i]`` is to be predicted."""

    token_ids: list[int]
    learn: list[bool]


def sampled_text(step: Step) -> str:
    """The text of one assistant turn, control tokens included, the end of the turn not."""
    calls = [
        "<tool_call>\n" + json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False) + "\n</tool_call>"
        for name, arguments in step.calls
    ]
    return f"<think>\n{step.thought}\n</think>\n\n" + "\n".join(([step.text] if step.text else []) + calls)


def encode(task: Task, renderer: Renderer, schemas: Mapping[str, Mapping[str, Any]]) -> Encoded:
    """Token ids and loss mask of a task's demonstration; ``schemas`` are the tool schemas by name."""
    tools = [schemas[name] for name in task.tools]
    messages = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": task.question}]
    token_ids = renderer.start(messages, tools)
    learn = [False] * len(token_ids)
    for step in task.demonstration:
        sampled = [*encode_turn(renderer, sampled_text(step)), *renderer.stop_token_ids[:1]]
        appended = renderer.tool_results(step.results) if step.calls else []
        token_ids += sampled + appended
        learn += [step.learn] * len(sampled) + [False] * len(appended)
    return Encoded(token_ids, learn)


def encode_turn(renderer: Renderer, text: str) -> Sequence[int]:
    return renderer.tokenizer.encode(text, add_special_tokens=False)
