"""One attempt: reason -> act -> reason ... until an answer, or until the budget ends (ReAct, Yao et al. 2022).

A LangGraph of two nodes. Each step is in the log before the state names it, and growing is get-or-sample: a step that a
crashed process had already logged is read, not drawn again. A failed tool is a result that the model reads; an empty
answer, an unclosed thought and a call that does not parse get one repair each attempt. A model that cannot be asked is
asked again for as long as the run has time; what it had said before it broke off stays in the log, as a step that the
next one repeats. Called by ``graph``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agent import events
from agent.approval import approval_of, person_of, refusal, why_asked
from agent.context import RunContext
from agent.drawing import sample_node, turn_before
from agent.policy.policy import ContextTooLong
from agent.prompting import broke_off, repair_text
from agent.records import Ending, Node, Path
from agent.state import ACTED, AGAIN, OVER, REPAIRABLE, AttemptState, path_of
from tools.search import numbered
from tools.tool import ToolResult
from tools.toolbox import clean

RETRIES = 3  # steps of an attempt that may break off half way
WITH_ANOTHER = "Another attempt made this very call and was stopped; it may have happened."
NO_CALLS_LEFT = "the budget of {limit} is spent; give the answer without another call"


def build() -> CompiledStateGraph[Any, Any, Any, Any]:
    graph = StateGraph(AttemptState, context_schema=RunContext)
    graph.add_node("reason", reason)
    graph.add_node("act", act)
    graph.add_edge(START, "reason")
    graph.add_conditional_edges("reason", after_reasoning, ["act", "reason", END])
    graph.add_edge("act", "reason")  # a condition here costs a tenth of a millisecond a step
    return graph.compile(checkpointer=False)  # an attempt that is resumed starts again, and finds its steps in the log


async def reason(state: AttemptState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Sample the next node of the growth, or read it where it is already logged."""
    context, steps = runtime.context, state["steps"]
    if state["ending"] == ACTED:  # a call and its results are a step, and the search looks at it
        return {"ending": OVER}
    path = path_of(state["growth"]["start"], steps + 1)
    node = context.tree.get(path)
    if node is None:
        if context.wave.settled:
            return {"ending": OVER}
        if limit := step_over(context, path):
            return {"ending": OVER, "limit": limit}
        try:
            node = await sample_node(context, path, state)
        except ContextTooLong as error:
            return {"ending": Ending.ERROR.value, "failure": str(error)}
    repairing, again = node.ending in REPAIRABLE, broke_off(node) and state["retries"] < RETRIES
    if repairing and state["repairs"] == 0:
        context.emit(events.Repaired(path, node.ending, repair_text(node.ending)))
    if again:
        context.emit(events.Retrying(path, node.note, 0.0))
    return {
        "steps": steps + 1,
        "repairs": state["repairs"] + repairing,
        "retries": state["retries"] + again,
        "tokens": state["tokens"] + len(node.sample.token_ids),
        "ending": AGAIN if again or goes_on(context, state, node) else node.ending.value,
        "limit": cut_by(context, node) if node.ending is Ending.BUDGET else state["limit"],
        "failure": node.note if node.ending is Ending.ERROR and not again else "",
    }


def step_over(context: RunContext, path: Path) -> str | None:
    """The limit that allows no node at ``path``."""
    budget, before = context.meter.budget, context.trajectory(path[:-1])
    turns = sum(node.ending is not Ending.STEP for node in before)
    return f"{budget.steps} steps" if turns >= budget.steps else context.meter.sampling_over()


def goes_on(context: RunContext, state: AttemptState, node: Node) -> bool:
    """Whether a node that stopped at a delimiter is no whole step yet: nothing was said, or the thought is over."""
    if node.ending is not Ending.STEP or state["growth"]["to"] != "step":
        return False
    turn = [*turn_before(context, node.path, node.sample.prompt_token_ids), *node.sample.token_ids]
    return not node.thought or not context.agent.policy.renderer.thinking(turn)


def cut_by(context: RunContext, node: Node) -> str:
    """The limit that a node ran into."""
    most, budget = node.sample.params.max_tokens, context.meter.budget
    left = f"{most} tokens a step" if most >= budget.sample_tokens else f"{most} tokens left in the model's context"
    return context.meter.sampling_over() or left


async def after_reasoning(state: AttemptState) -> str:
    if state["ending"] == Ending.TOOL_CALL:
        return "act"
    if state["ending"] in REPAIRABLE and state["repairs"] <= 1:
        return "reason"
    return "reason" if state["ending"] == AGAIN else END


async def act(state: AttemptState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Make the calls of the last step, all at once."""
    context, path = runtime.context, path_of(state["growth"]["start"], state["steps"])
    node, before = context.tree[path], passages_before(context, path)
    results, limit = node.tool_results, state["limit"]
    if len(results) < len(node.calls):
        limit = context.meter.calling_over(len(node.calls)) or limit
        calls = [call_tool(context, path, i, call) for i, call in enumerate(node.calls)]
        results = renumbered(await asyncio.gather(*calls), before)
        context.update(node, tool_results=tuple(results))
        tell(context, path, results, before)
    return {"limit": limit, "ending": ACTED} if state["growth"]["to"] == "step" else {"limit": limit}


def passages_before(context: RunContext, path: Path) -> int:
    """How many passages the attempt has found before ``path``: citations number on from there."""
    return sum(len(result.passages) for node in context.trajectory(path[:-1]) for result in node.tool_results)


async def call_tool(context: RunContext, path: Path, index: int, call: Mapping[str, Any]) -> ToolResult:
    """One call. The attempts of a question are alternatives, so one with effects that another has made with the very
    same arguments is not made again: its result is theirs, too.
    """
    tool = context.agent.toolbox.find(call["name"])
    if tool is None or tool.idempotent:
        return await made_call(context, path, index, call)
    key = json.dumps([call, times_before(context, path, index, call)], sort_keys=True)
    if (theirs := context.made.get(key)) is not None:
        await asyncio.wait({theirs}, timeout=context.meter.seconds_left)
        if theirs.done() and not theirs.cancelled():
            return theirs.result()
        return ToolResult(call["name"], call["arguments"], error=WITH_ANOTHER)
    if (logged := made_before(context, path, index, call)) is not None:
        return logged
    made = context.made[key] = asyncio.get_running_loop().create_future()
    try:
        made.set_result(await made_call(context, path, index, call))
    finally:
        made.cancel()  # where there is no result
    return made.result()


def made_before(context: RunContext, path: Path, index: int, call: Mapping[str, Any]) -> ToolResult | None:
    """What the log has of the same call in another attempt, where that made it as many times before."""
    times = times_before(context, path, index, call)
    for node in list(context.tree.values()):
        for i, (other, result) in enumerate(zip(node.calls, node.tool_results, strict=False)):
            if node.path != path and other == call and times_before(context, node.path, i, call) == times:
                return result
    return None


def times_before(context: RunContext, path: Path, index: int, call: Mapping[str, Any]) -> int:
    """How often the attempt makes that call before the ``index``-th of the node."""
    *before, node = context.trajectory(path)
    return sum(list(each.calls).count(call) for each in before) + list(node.calls[:index]).count(call)


async def made_call(context: RunContext, path: Path, index: int, call: Mapping[str, Any]) -> ToolResult:
    """Logged before it is made."""
    name, arguments = call["name"], call["arguments"]
    tool = context.agent.toolbox.find(name)
    if limit := context.meter.calling_over():
        return ToolResult(name, arguments, error=NO_CALLS_LEFT.format(limit=limit))
    if tool is not None and (why := why_asked(context, path, index, tool)):
        given = await approval_of(context, path, index, name, arguments, why)
        if not given.approved:
            return ToolResult(name, arguments, error=refusal(why, given))
        if limit := context.meter.calling_over():  # others were made meanwhile
            return ToolResult(name, arguments, error=NO_CALLS_LEFT.format(limit=limit))
    context.meter.tool_calls += 1
    context.agent.store.started_tool(context.run.run_id, path, index, name, arguments)
    context.emit(events.ToolStarted(path, index, name, arguments))
    person = person_of(context, path, index, name, arguments)
    return await context.agent.toolbox.call(name, arguments, context.meter.seconds_left, person)


def renumbered(results: Sequence[ToolResult], before: int) -> list[ToolResult]:
    """Results whose passages are numbered on from ``before``, so that [i] means one passage in the whole attempt."""
    shown = []
    for result in results:
        output, place = result.output or "", 0
        for i, passage in enumerate(result.passages, 1):
            old, new = (clean(numbered([passage], first)).partition("\n")[0] for first in (i, before + i))
            place = output.find(old, place)
            if place < 0:  # the output was cut before it, or the tool shows its passages in its own way
                break
            output = output[:place] + new + output[place + len(old) :]
            place += len(new)
        shown.append(replace(result, output=output) if result.passages else result)
        before += len(result.passages)
    return shown


def tell(context: RunContext, path: Path, results: Sequence[ToolResult], before: int) -> None:
    for i, result in enumerate(results):
        context.emit(events.ToolFinished(path, i, result))
        if result.passages:
            context.emit(events.PassagesFound(path, before + 1, result.passages))
        before += len(result.passages)
