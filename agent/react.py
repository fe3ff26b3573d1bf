"""One attempt: reason -> act -> reason ... until an answer, or until the budget ends (ReAct, Yao et al. 2022).

A LangGraph of two nodes. Each step is in the log before the state names it, and growing is get-or-sample: a step that a
crashed process had already logged is read, not drawn again. A failed tool is a result that the model reads; an empty
answer, an unclosed thought and a call that does not parse each get one repair. Called by ``graph``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agent import events
from agent.context import RunContext, seed_of
from agent.policy.policy import ContextTooLong, Delta, PolicyError
from agent.policy.reading import Reading
from agent.records import Ending, Node, Path, Sample, SamplingParams
from agent.state import OVER, REPAIRABLE, AttemptState, path_of
from tools.search import numbered as numbered_passages
from tools.tool import ToolResult

PROMPTS = FilePath(__file__).parent / "prompts"
ROOM = 64  # fewest tokens worth sampling; a prompt that leaves less is compacted
LEFT_OUT = "[left out to make room: {count} characters]"


def build() -> CompiledStateGraph[Any, Any, Any, Any]:
    graph = StateGraph(AttemptState, context_schema=RunContext)
    graph.add_node("reason", reason)
    graph.add_node("act", act)
    graph.add_edge(START, "reason")
    graph.add_conditional_edges("reason", after_reasoning, ["act", "reason", END])
    graph.add_edge("act", "reason")
    return graph.compile()  # plain, so that it inherits the run's checkpoints


async def reason(state: AttemptState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Sample the next step of the attempt, or read it where it is already logged."""
    context, steps = runtime.context, state["steps"]
    path = path_of(state["candidate"], steps + 1)
    node = context.agent.store.node(context.run.run_id, path)
    if node is None:
        if limit := context.meter.exhausted(steps):
            context.over.add(limit)
            return {"ending": OVER}
        node = await sample_node(context, path)
        context.meter.tokens += len(node.sample.token_ids)
        node = context.agent.store.add_node(context.run.run_id, node)
    repairing = node.ending in REPAIRABLE
    if repairing and state["repairs"] == 0:
        context.emit(events.Repaired(path, node.ending, repair_text(node.ending)))
    return {"steps": steps + 1, "ending": node.ending.value, "repairs": state["repairs"] + repairing}


def after_reasoning(state: AttemptState) -> str:
    if state["ending"] == Ending.TOOL_CALL:
        return "act"
    if state["ending"] in REPAIRABLE and state["repairs"] <= 1:
        return "reason"
    return END


async def act(state: AttemptState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Make the calls of the last step, all at once."""
    context = runtime.context
    path = path_of(state["candidate"], state["steps"])
    node = context.node(path)
    if len(node.tool_results) < len(node.calls):
        interrupted = {(call.path, call.index) for call in context.agent.store.unfinished_tools(context.run.run_id)}
        calls = [call_tool(context, path, i, call, (path, i) in interrupted) for i, call in enumerate(node.calls)]
        results = numbered(await asyncio.gather(*calls), passages_before(context, path))
        context.agent.store.update_node(context.run.run_id, path, tool_results=results)
        for i, result in enumerate(results):
            context.emit(events.ToolFinished(path, i, result))
    return {}


async def call_tool(
    context: RunContext, path: Path, index: int, call: Mapping[str, Any], interrupted: bool
) -> ToolResult:
    """One call, logged before it is made."""
    name, arguments = call["name"], call["arguments"]
    tool = context.agent.toolbox.find(name)
    if interrupted and tool is not None and not tool.idempotent:
        return ToolResult(
            name, arguments, error="this call was interrupted and may have happened; it was not made again"
        )
    context.agent.store.started_tool(context.run.run_id, path, index, name, arguments)
    context.emit(events.ToolStarted(path, index, name, arguments))
    context.meter.tool_calls += 1
    return await context.agent.toolbox.call(name, arguments, deadline_seconds=context.meter.seconds_left)


def passages_before(context: RunContext, path: Path) -> int:
    """How many passages the earlier steps of this attempt have found: citations number on from there."""
    run = context.logged()
    return sum(len(result.passages) for node in run.trajectory(path)[:-1] for result in node.tool_results)


def numbered(results: Sequence[ToolResult], before: int) -> list[ToolResult]:
    """Results whose passages are numbered on from ``before``, so that [i] means one passage in the whole attempt."""
    shown = []
    for result in results:
        if result.passages and before:
            result = replace(result, output=numbered_passages(result.passages, before + 1))
        before += len(result.passages)
        shown.append(result)
    return shown


# --- sampling one step ------------------------------------------------------------------------------------------------


async def sample_node(context: RunContext, path: Path) -> Node:
    """Draw one step. A cancel or a failure in the middle of it first logs what had arrived."""
    prompt, note = prompt_for(context, path)
    params = sampling_params(context, path, len(prompt))
    drawing = Drawing(context, path, prompt, params)
    try:
        async with asyncio.timeout(context.meter.seconds_left):
            sample = await drawing.finish()
    except TimeoutError:
        context.over.add(f"{context.meter.budget.seconds:g} seconds")
        return node_of(context, path, drawing.partial("cancelled"), Ending.BUDGET, note)
    except (asyncio.CancelledError, PolicyError) as stopped:
        if drawing.token_ids:
            cancelled = isinstance(stopped, asyncio.CancelledError)
            partial = drawing.partial("cancelled" if cancelled else "error")
            ending = Ending.CANCELLED if cancelled else Ending.ERROR
            context.agent.store.add_node(context.run.run_id, node_of(context, path, partial, ending, note))
        raise
    return node_of(context, path, sample, None, note)


class Drawing:
    """One draw as it streams: it passes the text on, and keeps the ids for the case that the stream stops short."""

    def __init__(self, context: RunContext, path: Path, prompt: Sequence[int], params: SamplingParams) -> None:
        self.context, self.path, self.prompt, self.params = context, path, prompt, params
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.splitter = context.agent.policy.renderer.splitter()
        self.began = time.monotonic()

    async def finish(self) -> Sample:
        sample: Sample | None = None
        stream = self.context.agent.policy.stream(self.prompt, self.params)
        async with aclosing(stream) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                if isinstance(piece, Delta):
                    self.take(piece)
                else:
                    sample = piece
        if sample is None:
            raise PolicyError("The model's stream ended without a result; ask again.")
        return replace(sample, template_hash=self.context.template_hash)

    def take(self, delta: Delta) -> None:
        self.token_ids += delta.token_ids
        self.logprobs += delta.logprobs
        for kind, text in self.splitter.feed(delta.token_ids):
            if text and kind != "call":
                event = events.ThoughtDelta if kind == "thought" else events.AnswerDelta
                self.context.emit(event(self.path, text))

    def partial(self, finish_reason: str) -> Sample:
        """What had arrived. Kept, counted, and not trained on."""
        return Sample(
            prompt_token_ids=tuple(self.prompt),
            token_ids=tuple(self.token_ids),
            logprobs=tuple(self.logprobs),
            finish_reason=finish_reason,
            policy=self.context.agent.policy.version,
            params=self.params,
            total_seconds=time.monotonic() - self.began,
            template_hash=self.context.template_hash,
            not_trainable=f"{finish_reason}: the sample was stopped from outside",
        )


def sampling_params(context: RunContext, path: Path, prompt_tokens: int) -> SamplingParams:
    room = context.agent.policy.context_length - prompt_tokens
    return SamplingParams(
        temperature=context.effort.temperature,
        max_tokens=min(context.meter.sample_limit(), room),
        seed=seed_of(context.run.root_seed, path[:-1]) + path[-1],
    )


def node_of(context: RunContext, path: Path, sample: Sample, ending: Ending | None, note: str) -> Node:
    reading = context.agent.policy.renderer.read(sample.token_ids)
    return Node(
        path=path,
        sample=sample,
        ending=ending or ending_of(sample, reading),
        thought=reading.thought,
        text=reading.text,
        calls=reading.calls,
        note=note,
    )


def ending_of(sample: Sample, reading: Reading) -> Ending:
    if sample.finish_reason == "length":
        return Ending.BUDGET
    if reading.unclosed_thought:
        return Ending.UNCLOSED_THOUGHT
    if reading.bad_calls:
        return Ending.BAD_CALL
    if reading.calls:
        return Ending.TOOL_CALL
    return Ending.ANSWER if reading.text else Ending.EMPTY


# --- prompts ----------------------------------------------------------------------------------------------------------


def prompt_for(context: RunContext, path: Path) -> tuple[list[int], str]:
    """The prompt of the node at ``path``, and a note where it is more than the last one with what followed.

    Raises:
        ContextTooLong: even the shortest form leaves no room for an answer.
    """
    if len(path) == 1:
        return fitting(context, list(context.prompt_token_ids)), ""
    parent = context.node(path[:-1])
    last = [*parent.sample.prompt_token_ids, *parent.sample.token_ids, *appended(context, parent)]
    note = f"repair: {parent.ending.value}" if parent.ending in REPAIRABLE else ""
    if context.agent.policy.context_length - len(last) >= ROOM:
        return last, note
    prompt = list(context.prompt_token_ids)
    trajectory = context.logged().trajectory(path[:-1])
    for node in trajectory:
        prompt += [*node.sample.token_ids, *appended(context, node, shorten=node is not trajectory[-1])]
    return fitting(context, prompt), f"compacted: tool results of the first {len(trajectory) - 1} steps left out"


def fitting(context: RunContext, prompt: list[int]) -> list[int]:
    if context.agent.policy.context_length - len(prompt) < ROOM:
        raise ContextTooLong(
            f"The prompt has {len(prompt)} tokens and the model takes {context.agent.policy.context_length}; "
            "ask a shorter question, or start a new thread."
        )
    return prompt


def appended(context: RunContext, node: Node, shorten: bool = False) -> list[int]:
    """What follows a node's sampled tokens in the next prompt: tool results, or a repair."""
    renderer = context.agent.policy.renderer
    if node.ending in REPAIRABLE:
        return renderer.user_turn(repair_text(node.ending), after=node.sample.token_ids)
    texts = [LEFT_OUT.format(count=len(r.text)) if shorten else r.text for r in node.tool_results]
    return renderer.tool_results(texts, after=node.sample.token_ids)


def repair_text(ending: Ending) -> str:
    return (PROMPTS / f"repair_{ending.value}.txt").read_text().strip()
