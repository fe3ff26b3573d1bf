"""What a model sampled, read back from ids: thought, answer and tool calls, whole or as it arrives.

Only control tokens that the model itself sampled count: text that spells ``<tool_call>`` is text, and a ``<tool_call>``
inside a thought is part of the thought. The form is Qwen3's: ``<think>`` and Hermes tool calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["thought", "answer", "call"]
Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True)
class Marks:
    """The ids that part a turn; None where the model's tokenizer has no such token."""

    think: int | None
    end_think: int | None
    call: int | None
    end_call: int | None
    opens_thought: bool = False  # whether the generation prompt has already opened the thought


@dataclass(frozen=True, slots=True)
class Reading:
    """One assistant turn."""

    thought: str  # inside <think>, trimmed
    text: str  # outside thought and calls, trimmed
    calls: tuple[Mapping[str, Any], ...]  # {"name": str, "arguments": dict} in order
    bad_calls: tuple[str, ...] = ()  # the raw text of calls that do not parse or were never closed
    unclosed_thought: bool = False

    @property
    def empty(self) -> bool:
        """Neither an answer nor a call, and nothing went wrong that says why."""
        return not (self.text or self.calls or self.bad_calls or self.unclosed_thought)


@dataclass(slots=True)
class Run:
    """Consecutive tokens of one kind, without the marks around them."""

    kind: Kind
    token_ids: list[int]
    closed: bool = False  # whether its closing mark was sampled


def next_kind(kind: Kind, token: int, marks: Marks) -> Kind | None:
    """What follows ``token`` where it is a mark at this place, None where it is content."""
    if kind == "thought":
        return "answer" if token == marks.end_think else None
    if kind == "call":
        return "answer" if token == marks.end_call else None
    if token == marks.think:
        return "thought"
    return "call" if token == marks.call else None


def runs(token_ids: Iterable[int], marks: Marks) -> list[Run]:
    """Cut a turn at its marks. The first run is there even when it is empty."""
    cut = [Run("thought" if marks.opens_thought else "answer", [])]
    for token in token_ids:
        following = next_kind(cut[-1].kind, token, marks)
        if following is None:
            cut[-1].token_ids.append(token)
        else:
            cut[-1].closed = True
            cut.append(Run(following, []))
    return cut


def read(token_ids: Sequence[int], marks: Marks, decode: Decode) -> Reading:
    """Thought, text and calls of one whole turn."""
    cut = runs(token_ids, marks)

    def text(kind: Kind) -> str:
        return "".join(decode(run.token_ids) for run in cut if run.kind == kind).strip()

    written = [(decode(run.token_ids), run.closed) for run in cut if run.kind == "call"]
    parsed = [parse_call(call) if closed else None for call, closed in written]
    return Reading(
        thought=text("thought"),
        text=text("answer"),
        calls=tuple(call for call in parsed if call is not None),
        bad_calls=tuple(raw.strip() for (raw, _), call in zip(written, parsed, strict=True) if call is None),
        unclosed_thought=cut[-1].kind == "thought",
    )


def parse_call(raw: str) -> Mapping[str, Any] | None:
    """``{"name": ..., "arguments": {...}}``, or None where it is anything else."""
    try:
        call = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    call = {"name": call["name"], "arguments": call.get("arguments", {})}
    return call if isinstance(call["arguments"], dict) and is_text(json.dumps(call, ensure_ascii=False)) else None


def is_text(string: str) -> bool:
    """Whether it can be written down: half of a surrogate pair, which JSON can spell, cannot."""
    try:
        string.encode()
    except UnicodeEncodeError:
        return False
    return True


class Splitter:
    """Decodes a turn as it is sampled: ids in, (kind, text) pieces out.

    The pieces of a kind, joined, are what ``read`` gives for it but for the whitespace at the end. A character whose
    bytes are spread over tokens comes out when it is whole.
    """

    def __init__(self, marks: Marks, decode: Decode) -> None:
        self._marks = marks
        self._decode = decode
        self._kind: Kind = "thought" if marks.opens_thought else "answer"
        self._begun: set[Kind] = set()  # kinds of which some text has come out: the next need not be trimmed
        self._ids: list[int] = []  # of this run, from the last piece's ids on: decoding needs them as context
        self._shown = 0  # how many of those have come out

    def feed(self, token_ids: Sequence[int]) -> list[tuple[Kind, str]]:
        """What can be shown now."""
        pieces: list[tuple[Kind, str]] = []
        for token in token_ids:
            following = next_kind(self._kind, token, self._marks)
            if following is None:
                self._ids.append(token)
            else:
                pieces += self._take(everything=True)
                self._kind, self._ids, self._shown = following, [], 0
        return pieces + self._take(everything=False)

    def finish(self) -> list[tuple[Kind, str]]:
        """What was held back; call it when the turn has ended."""
        return self._take(everything=True)

    def _take(self, everything: bool) -> list[tuple[Kind, str]]:
        """Decode with the last piece as context, since some tokenizers write a space by what stands before it."""
        if len(self._ids) == self._shown:
            return []
        whole = self._decode(self._ids)
        if whole.endswith("\ufffd") and not everything:
            return []  # the bytes of a character are not all there yet
        piece = whole[len(self._decode(self._ids[: self._shown])) :]
        self._ids = self._ids[self._shown :]
        self._shown = len(self._ids)
        if self._kind not in self._begun:
            piece = piece.lstrip()
        if not piece:
            return []
        self._begun.add(self._kind)
        return [(self._kind, piece)]
