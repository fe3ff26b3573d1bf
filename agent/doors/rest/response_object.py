"""A run as a response of the Responses API: its items, whole or as the events that build them up. Pure.

Each step of the attempt that is shown has a thought and a text of its own; a text before a step of the agent's own
tools is "commentary". As with chat completions, one attempt is shown as it is sampled, the best of several at the end.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from agent.doors.errors import ApiError
from agent.doors.rest.completions import Form, calls_of, chosen, content_of, live_choices
from agent.doors.rest.completions import told as beside
from agent.events import AnswerDelta, Event, Finished, ThoughtDelta
from agent.records import Ending, Node, Path, Run

PREFIX = "resp_"
ECHO = "response"  # the run's metadata in which a response keeps what it repeats of its request
Kind = Literal["reasoning", "message"]
LAST = {  # the event that ends a stream, by the status of the response; a cancelled one has none of its own
    "completed": "response.completed", "incomplete": "response.incomplete", "cancelled": "response.incomplete",
    "failed": "response.failed", "in_progress": "response.in_progress",
}  # fmt: skip
DELTAS: dict[Kind, str] = {"reasoning": "response.reasoning_text", "message": "response.output_text"}


# --- whole ------------------------------------------------------------------------------------------------------------


def response(run: Run) -> dict[str, Any]:
    """The response as it stands. One that came to nothing has its ``error``."""
    echo = dict(run.metadata.get(ECHO, {}))
    shown = shown_of(run)
    return {
        "id": f"{PREFIX}{run.run_id}",
        "object": "response",
        "created_at": int(datetime.fromisoformat(run.started_at).timestamp()),
        "status": shown.status,
        "error": shown.error,
        "incomplete_details": {"reason": "max_output_tokens"} if shown.status == "incomplete" else None,
        "output": items(run, shown.leaf) if shown.leaf else [],
        "usage": usage(run) if run.status != "running" else None,
        "top_p": 1.0,
        "truncation": "disabled",
        **echo,
        "model": echo.get("model", str(run.policy)),
        "tools": echo.get("tools") or [],
        "tool_choice": echo.get("tool_choice") or "auto",
        "text": echo.get("text") or {"format": {"type": "text"}},
        "metadata": echo.get("metadata") or {},
        "parallel_tool_calls": not run.supplied.one_call,
        "ponder": beside(run),
    }


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a run is shown, and how it stands."""

    status: str
    leaf: Node | None = None
    error: Mapping[str, Any] | None = None


def shown_of(run: Run) -> Shown:
    if run.status == "running":
        return Shown("in_progress")
    if run.status == "cancelled":
        return Shown("cancelled")
    if run.status == "interrupted":
        sentence = f"The server was ended in the middle of it; POST /v1/runs/{run.run_id}/resume goes on."
        return Shown("failed", error={"code": "server_error", "message": sentence})
    try:
        [leaf] = chosen(run, 1)
    except ApiError as error:
        return Shown("failed", error={"code": "server_error", "message": str(error)})
    return Shown("incomplete" if leaf.ending is Ending.BUDGET else "completed", leaf)


def items(run: Run, leaf: Node) -> list[dict[str, Any]]:
    """What the attempt thought, said and asked its caller to call, in order."""
    found = []
    for node in run.trajectory(leaf.path):
        if node.thought:
            found.append(item(run, node.path, "reasoning", node.thought))
        if said := text_of(run, node, leaf):
            found.append(item(run, node.path, "message", said, ends=node.path == leaf.path))
    return [*found, *map(function_call, calls_of(run, leaf))]


def text_of(run: Run, node: Node, leaf: Node) -> str:
    if node.path == leaf.path:
        return content_of(run, leaf, Form(""))
    return "" if run.supplied.json_schema else node.text


def item(run: Run, path: Path, kind: Kind, text: str | None, ends: bool = True) -> dict[str, Any]:
    """A thought or a text; one that has only begun where ``text`` is None."""
    status, content = ("in_progress", []) if text is None else ("completed", [part(kind, text)])
    shown = {"id": item_id(run, path, kind), "type": kind, "status": status, "content": content}
    if kind == "reasoning":
        return shown | {"summary": []}
    if text is None:  # nobody knows yet whether a call follows
        return shown | {"role": "assistant"}
    return shown | {"role": "assistant", "phase": "final_answer" if ends else "commentary"}


def item_id(run: Run, path: Path, kind: Kind) -> str:
    return f"{'rs' if kind == 'reasoning' else 'msg'}_{run.run_id}_{'-'.join(map(str, path))}"


def part(kind: Kind, text: str) -> dict[str, Any]:
    if kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def function_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call as chat completions show it, as an item."""
    return {
        "id": call["id"].replace("call_", "fc_", 1),
        "type": "function_call",
        "status": "completed",
        "call_id": call["id"],
        **call["function"],
    }


def usage(run: Run) -> dict[str, Any]:
    """All that the run took, losers and verifiers counted."""
    used = run.usage
    return {
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": {"cached_tokens": used.cached_prompt_tokens, "cache_write_tokens": 0},
        "output_tokens": used.total_tokens,
        "output_tokens_details": {"reasoning_tokens": used.thought_tokens},
        "total_tokens": used.prompt_tokens + used.total_tokens,
    }


def input_items(run_id: str, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages as the items that say the same."""
    found: list[dict[str, Any]] = []
    for message in messages:
        text = message.get("content") or ""
        if message["role"] == "tool":
            found.append({"type": "function_call_output", "call_id": message.get("tool_call_id", ""), "output": text})
            continue
        if text:
            written = part("message", text) if message["role"] == "assistant" else {"type": "input_text", "text": text}
            found.append({"type": "message", "role": message["role"], "content": [written]})
        for call in message.get("tool_calls", ()):
            function = {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}
            found.append({"type": "function_call", "call_id": call["id"], **function})
    return [{"id": f"in_{run_id}_{place}", "status": "completed", **each} for place, each in enumerate(found)]


# --- as events --------------------------------------------------------------------------------------------------------


class Building:
    """The items of a response while they come, as events without their numbers."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._open: tuple[Path, Kind, str] | None = None  # the item under way, and what it has so far
        self._begun: list[str] = []  # ids of items, in order

    def delta(self, path: Path, kind: Kind, text: str) -> list[dict[str, Any]]:
        """A piece of a step's thought or text, which ends what came before it."""
        told = []
        if self._open is None or self._open[:2] != (path, kind):
            told = [*self.close(), *self._begin(path, kind)]
        assert self._open is not None
        self._open = (path, kind, self._open[2] + text)
        return [*told, {"type": f"{DELTAS[kind]}.delta", **self._place(), "delta": text, **logprobs(kind)}]

    def _begin(self, path: Path, kind: Kind) -> list[dict[str, Any]]:
        begun = item(self._run, path, kind, None)
        self._open = (path, kind, "")
        self._begun.append(begun["id"])
        added = {"type": "response.output_item.added", "output_index": len(self._begun) - 1, "item": begun}
        return [added, {"type": "response.content_part.added", **self._place(), "part": part(kind, "")}]

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._begun[-1], "output_index": len(self._begun) - 1, "content_index": 0}

    def close(self, ends: bool = False) -> list[dict[str, Any]]:
        """The end of the item under way, where there is one; ``ends``: of the response too."""
        if self._open is None:
            return []
        path, kind, text = self._open
        self._open, place = None, self._place()
        done = item(self._run, path, kind, text, ends)
        return [
            {"type": f"{DELTAS[kind]}.done", **place, "text": text, **logprobs(kind)},
            {"type": "response.content_part.done", **place, "part": part(kind, text)},
            {"type": "response.output_item.done", "output_index": place["output_index"], "item": done},
        ]

    def rest(self, run: Run, leaf: Node) -> list[dict[str, Any]]:
        """All that has not been told."""
        told = self.close(ends=True)
        for node in run.trajectory(leaf.path):
            texts: dict[Kind, str] = {"reasoning": node.thought, "message": text_of(run, node, leaf)}
            for kind, text in texts.items():
                if text and item_id(run, node.path, kind) not in self._begun:
                    told += [*self.delta(node.path, kind, text), *self.close(ends=node.path == leaf.path)]
        return [*told, *(event for call in calls_of(run, leaf) for event in self._call(function_call(call)))]

    def _call(self, whole: dict[str, Any]) -> list[dict[str, Any]]:
        self._begun.append(whole["id"])
        place = {"item_id": whole["id"], "output_index": len(self._begun) - 1}
        arguments = whole["arguments"]
        begun = whole | {"status": "in_progress", "arguments": ""}
        written = {"type": "response.function_call_arguments.done", **place, "name": whole["name"]}
        return [
            {"type": "response.output_item.added", "output_index": place["output_index"], "item": begun},
            {"type": "response.function_call_arguments.delta", **place, "delta": arguments},
            written | {"arguments": arguments},
            {"type": "response.output_item.done", "output_index": place["output_index"], "item": whole},
        ]


def logprobs(kind: Kind) -> dict[str, Any]:
    return {"logprobs": []} if kind == "message" else {}


async def events_of(begun: Run, events: AsyncIterator[Event]) -> AsyncGenerator[dict[str, Any], None]:
    """The events of a response, numbered, from those of its run after ``RunStarted``."""
    number = 0
    async for told in unnumbered(begun, events):
        yield {**told, "sequence_number": number}
        number += 1


async def unnumbered(begun: Run, events: AsyncIterator[Event]) -> AsyncGenerator[dict[str, Any], None]:
    building, live = Building(begun), live_choices(begun, Form(""))
    begun = replace(begun, status="running")
    yield {"type": "response.created", "response": response(begun)}
    yield {"type": "response.in_progress", "response": response(begun)}
    async for event in events:
        if isinstance(event, Finished):
            shown = shown_of(event.run)
            for told in building.rest(event.run, shown.leaf) if shown.leaf else building.close():
                yield told
            yield {"type": LAST[shown.status], "response": response(event.run)}
        elif isinstance(event, ThoughtDelta | AnswerDelta) and event.path[0] < live:
            kind: Kind = "reasoning" if isinstance(event, ThoughtDelta) else "message"
            for told in building.delta(event.path, kind, event.text):
                yield told
