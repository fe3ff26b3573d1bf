"""A run as a chat completion, whole or in chunks, in the types of OpenAI's client. Pure but for the events it reads.

With one attempt, its thought and its answer are passed on as they are sampled; so are those of ``n`` choices. With more
attempts than choices nobody knows before the end which is the answer: what was chosen comes then, and nothing else.
The agent's own calls are in the log and never here; calls of the caller's tools are, when the run hands them over.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from openai.types.chat import ChatCompletion
from openai.types.completion_usage import CompletionUsage

from agent.doors.errors import SERVER, ApiError
from agent.events import AnswerDelta, Event, Finished, ThoughtDelta
from agent.records import Ending, Node, Run
from agent.search.strategy import breadth

FINISH = {Ending.HANDED_OVER: "tool_calls", Ending.ANSWER: "stop"}  # others were cut


@dataclass(frozen=True, slots=True)
class Form:
    """How a completion is shown."""

    model: str  # as the client called it
    choices: int = 1
    stops: Sequence[str] = ()
    usage: bool = False  # in a last chunk
    live: bool = True  # what is sampled may be shown at once


# --- whole ------------------------------------------------------------------------------------------------------------


def completion(run: Run, form: Form) -> ChatCompletion:
    """The answer. Raises ``ApiError`` where the run has none."""
    shown = chosen(run, form.choices)
    return ChatCompletion.model_validate(
        {
            **head(run, form),
            "object": "chat.completion",
            "choices": [
                {"index": i, "finish_reason": finish_of(run, leaf, form), "message": message(run, leaf, form)}
                for i, leaf in enumerate(shown)
            ],
            "usage": usage(run),
            "ponder": told(run),
        }
    )


def head(run: Run, form: Form) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{run.run_id}",
        "created": int(datetime.fromisoformat(run.started_at).timestamp()),
        "model": form.model,
        "system_fingerprint": run.policy.version,
    }


def chosen(run: Run, choices: int) -> list[Node]:
    """The last nodes of what is shown: the chosen attempt, or the first ``choices`` of them. Raises ``ApiError``."""
    if choices > 1:
        return [attempt[-1] for attempt in run.trajectories()[:choices]]
    if run.chosen is not None and (leaf := run.node(run.chosen)):
        return [leaf]
    if run.supplied.json_schema:
        raise failure(run)
    cut = [attempt[-1] for attempt in run.trajectories() if attempt[-1].ending is Ending.BUDGET]
    if cut:
        return cut[:1]
    raise failure(run)


def failure(run: Run) -> ApiError:
    """Why a run has no answer. Asking again would make the same attempts, unless the model could not be asked."""
    broken = any(node.ending is Ending.ERROR for node in run.nodes) or not run.nodes
    said = run.error or "No attempt came to an answer; ask again, or with more effort."
    said = f"{said} (run {run.run_id})"
    return ApiError(said, 503, SERVER, "model_unavailable") if broken else ApiError(said, 422, code="no_answer")


def message(run: Run, leaf: Node, form: Form) -> dict[str, Any]:
    thought = "\n".join(node.thought for node in run.trajectory(leaf.path) if node.thought)
    shown: dict[str, Any] = {"role": "assistant", "content": content_of(run, leaf, form), "refusal": None}
    if thought:
        shown |= {"reasoning": thought, "reasoning_content": thought}
    if calls := calls_of(run, leaf):
        shown |= {"tool_calls": calls, "content": shown["content"] or None}
    return shown


def content_of(run: Run, leaf: Node, form: Form) -> str:
    """What is read: the answer, or how it was written by the caller's schema."""
    if not run.supplied.json_schema or leaf.ending is Ending.HANDED_OVER:
        return until(leaf.text, form.stops)
    return "" if run.supplied.calls else run.answer or ""


def calls_of(run: Run, leaf: Node) -> list[dict[str, Any]]:
    """The calls of a step that are the caller's to make; the agent's own ones beside them were not made."""
    if run.supplied.calls and run.form is not None and run.answer:
        return [call_told(run, leaf, 0, json.loads(run.answer))]
    if leaf.ending is not Ending.HANDED_OVER:
        return []
    theirs = {tool["function"]["name"] for tool in run.supplied.tools}
    made = [call_told(run, leaf, i, call) for i, call in enumerate(leaf.calls) if call["name"] in theirs]
    return made[:1] if run.supplied.one_call else made


def call_told(run: Run, leaf: Node, index: int, call: Mapping[str, Any]) -> dict[str, Any]:
    place = "-".join(map(str, leaf.path))
    function = {"name": call["name"], "arguments": arguments_of(call)}
    return {"id": f"call_{run.run_id}_{place}_{index}", "type": "function", "function": function}


def arguments_of(call: Mapping[str, Any]) -> str:
    arguments = call["arguments"]
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def finish_of(run: Run, leaf: Node, form: Form) -> str:
    if calls_of(run, leaf):
        return "tool_calls"
    stopped = until(leaf.text, form.stops) != leaf.text
    return "stop" if stopped else FINISH.get(leaf.ending, "length")


def until(text: str, stops: Sequence[str]) -> str:
    """The text up to the first stop."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]


def usage(run: Run) -> CompletionUsage:
    """All that the run took, losers and verifiers counted: what a choice among several costs."""
    used = run.usage
    return CompletionUsage.model_validate(
        {
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.total_tokens,
            "total_tokens": used.prompt_tokens + used.total_tokens,
            "prompt_tokens_details": {"cached_tokens": used.cached_prompt_tokens},
            "completion_tokens_details": {"reasoning_tokens": used.thought_tokens},
        }
    )


def told(run: Run) -> dict[str, Any]:
    """What nobody else tells: which run it is in the log, how it was chosen, by whom, and what it cost."""
    return {
        "run_id": run.run_id,
        "effort": run.effort,
        "strategy": run.strategy,
        "attempts": len(run.trajectories()),
        "chosen": run.chosen,
        "verdicts": {verdict.verifier: verdict.score for verdict in run.verdicts},
        "policy": str(run.policy),
        "tool_calls": run.usage.tool_calls,
        "seconds": round(run.usage.seconds, 3),
        "cost": run.usage.cost,
        "error": run.error,
    }


# --- in chunks --------------------------------------------------------------------------------------------------------


async def chunks(begun: Run, events: AsyncIterator[Event], form: Form) -> AsyncGenerator[dict[str, Any], None]:
    """What a client that streams is sent (OpenAI's ``ChatCompletionChunk``), from the events after ``RunStarted``.

    Raises ``ApiError`` at the end, where the run came to nothing.
    """
    live, top = live_choices(begun, form), head(begun, form)
    texts = {i: Until(form.stops) for i in range(form.choices)}
    for i in range(form.choices):
        yield chunk(top, i, {"role": "assistant", "content": ""})
    async for event in events:
        if isinstance(event, Finished):
            for each in ended(event.run, form, top, live, texts):
                yield each
            if form.usage:
                yield chunk(top, None, {}, usage=usage(event.run).model_dump(), ponder=told(event.run))
        elif (
            isinstance(event, ThoughtDelta | AnswerDelta)
            and event.path[0] < live
            and (delta := delta_of(event, texts[event.path[0]]))
        ):
            yield chunk(top, event.path[0], delta)


def live_choices(run: Run, form: Form) -> int:
    """How many attempts are shown as they are sampled: all, where each is a choice."""
    from agent.run import effort_of

    if run.supplied.json_schema or not form.live:
        return 0
    return form.choices if breadth(effort_of(run).strategy) == form.choices and run.strategy in WHOLE else 0


WHOLE = ("single", "best_of_n")  # strategies whose attempts go from the question to the end


def delta_of(event: ThoughtDelta | AnswerDelta, text: Until) -> dict[str, Any]:
    if isinstance(event, ThoughtDelta):
        return {"reasoning": event.text, "reasoning_content": event.text}
    more = text.feed(event.text)
    return {"content": more} if more else {}


def ended(run: Run, form: Form, top: Mapping[str, Any], live: int, texts: Mapping[int, Until]) -> list[dict[str, Any]]:
    """What is left to say of each choice, and why it ended."""
    last = []
    for i, leaf in enumerate(chosen(run, form.choices)):
        whole = message(run, leaf, form)
        delta: dict[str, Any] = {}
        if i >= live:
            delta = {key: whole[key] for key in ("reasoning", "reasoning_content", "content") if whole.get(key)}
        elif rest := texts[i].finish():
            delta = {"content": rest}
        if "tool_calls" in whole:
            delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(whole["tool_calls"])]
        last += [chunk(top, i, delta)] if delta else []
        last.append(chunk(top, i, {}, finish=finish_of(run, leaf, form)))
    return last


def chunk(
    top: Mapping[str, Any], index: int | None, delta: Mapping[str, Any], finish: str | None = None, **more: Any
) -> dict[str, Any]:
    """One chunk; of no choice where ``index`` is None."""
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {**top, "object": "chat.completion.chunk", "choices": [] if index is None else [choice], **more}


class Until:
    """Text that streams, up to the first of ``stops``. Holds back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops, self._held, self._over = stops, "", False

    def feed(self, text: str) -> str:
        """What may be shown now."""
        if self._over or not self._stops:
            return "" if self._over else text
        held = self._held + text
        shown = until(held, self._stops)
        self._over = len(shown) < len(held)
        keep = 0 if self._over else max(beginning_at_end(held, stop) for stop in self._stops)
        self._held = held[len(held) - keep :] if keep else ""
        return shown[: len(shown) - keep]

    def finish(self) -> str:
        """What was held back for nothing."""
        held, self._held = self._held, ""
        return "" if self._over else held


def beginning_at_end(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` begin ``stop``."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)
