"""Between ids and the messages of chat completions, for servers that speak nothing else. Only ``chat`` uses it.

The agent holds ids, whatever the server. Behind a chat server they carry text in the tokenizer and the template of the
miniature (or of any model with Qwen's ChatML and Hermes tool calls), and are read back here by their control tokens, so
that no text can pretend to be a turn. Nothing is remembered between calls: a run that is resumed from the log goes on.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.policy.policy import PolicyError
from agent.policy.renderer import Renderer

TOOLS_HEADING = "# Tools\n"  # with its line break it cannot stand in the JSON after it


class TranscriptError(PolicyError):
    """The prompt is not a conversation that waits for the assistant's next turn."""


def conversation(prompt: Sequence[int], renderer: Renderer) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The messages and the tool schemas that a prompt was rendered from. Raises ``TranscriptError``."""
    starts, ends = renderer.controls.get("<|im_start|>", -1), renderer.controls.get("<|im_end|>", -1)
    turns = _split(prompt, starts)[1:]
    if not turns or ends in turns[-1] or any(ends not in turn for turn in turns[:-1]):
        raise TranscriptError("The prompt is not a conversation in ChatML; render it with the policy's own renderer.")
    if renderer.decode(turns[-1]).strip() != "assistant":
        raise TranscriptError("This server cannot go on with a half-written answer; use one with token ids.")
    messages: list[dict[str, Any]] = []
    tools: list[dict[str, Any]] = []
    numbers = itertools.count()
    for turn in turns[:-1]:
        body = turn[: turn.index(ends)]
        role, _, text = renderer.decode(body).partition("\n")
        if role == "assistant":
            messages.append(_assistant(body, renderer, numbers))
        elif role == "user" and renderer.controls.get("<tool_response>") in body:
            messages += _tool_results(body, renderer, messages)
        elif role == "system" and not messages:
            text, tools = _tools(text)
            messages += [{"role": role, "content": text}] if text else []
        else:
            messages.append({"role": role, "content": text})
    return messages, tools


def _split(ids: Sequence[int], mark: int | None) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for token in ids:
        if token == mark:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _assistant(body: list[int], renderer: Renderer, numbers: Iterator[int]) -> dict[str, Any]:
    """Old thoughts are left out, as chat templates do; a call that did not parse stays as text."""
    reading = renderer.read(body)
    text = "\n".join(filter(None, [reading.text.partition("\n")[2].strip(), *reading.bad_calls]))
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if reading.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{next(numbers)}",
                "type": "function",
                "function": {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)},
            }
            for call in reading.calls
        ]
    return message


def _tool_results(body: list[int], renderer: Renderer, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    end = renderer.controls.get("</tool_response>")
    parts = _split(body, renderer.controls.get("<tool_response>"))[1:]
    texts = [renderer.decode(_split(part, end)[0]) for part in parts]
    ids = [call["id"] for call in (before[-1].get("tool_calls", []) if before else [])]
    return [
        {"role": "tool", "tool_call_id": id, "content": text.removeprefix("\n").removesuffix("\n")}
        for id, text in itertools.zip_longest(ids, texts, fillvalue="")
    ]


def _tools(text: str) -> tuple[str, list[dict[str, Any]]]:
    """A system turn's own text, and the schemas that the template added to it."""
    own, heading, rest = text.rpartition(TOOLS_HEADING)
    found = re.search(r"<tools>\n(.*)\n</tools>\n", rest, re.DOTALL) if heading else None
    try:
        schemas = [json.loads(line) for line in found[1].split("\n")] if found else []
    except ValueError:  # a person's own words that look like it
        schemas = []
    if not schemas:
        return text, []
    whole = [schema if "function" in schema else {"type": "function", "function": schema} for schema in schemas]
    return own.removesuffix("\n\n"), whole


@dataclass(eq=False, slots=True)
class TurnWriter:
    """Writes what a chat server says as the ids of one assistant turn, piece by piece."""

    renderer: Renderer
    thinking: bool = False
    calls: dict[int, list[str]] = field(default_factory=dict)  # index -> [name, arguments as they arrive]
    token_ids: list[int] = field(default_factory=list)

    def thought(self, text: str) -> None:
        if not self.thinking:
            self._mark("<think>", after="\n")
            self.thinking = True
        self.token_ids += self.renderer.encode(text)

    def answer(self, text: str) -> None:
        self._end_thought()
        self.token_ids += self.renderer.encode(text)

    def call(self, index: int, name: str, arguments: str) -> None:
        """A piece of a tool call; it is written when the turn ends, since calls may arrive in turns."""
        call = self.calls.setdefault(index, ["", ""])
        call[0] += name
        call[1] += arguments

    def end(self, whole: bool) -> None:
        """``whole``: the server ended the turn, and did not cut it. A thought with nothing after it stays open."""
        for _, (name, arguments) in sorted(self.calls.items()):
            self._end_thought()
            self._mark("<tool_call>", after="\n")
            written = f'{{"name": {json.dumps(name)}, "arguments": {arguments or "{}"}}}\n'
            self.token_ids += self.renderer.encode(written)
            self._mark("</tool_call>")
        if whole:
            self._mark("<|im_end|>")

    def _end_thought(self) -> None:
        if self.thinking:
            self.token_ids += self.renderer.encode("\n")
            self._mark("</think>", after="\n\n")
            self.thinking = False

    def _mark(self, token: str, after: str = "") -> None:
        self.token_ids += [self.renderer.controls[token], *self.renderer.encode(after)]
