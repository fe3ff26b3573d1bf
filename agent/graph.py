"""A run: plan -> grow -> score -> plan again ... answer. What is grown in a wave grows side by side.

A LangGraph whose state is ids only, checkpointed after each step. ``run`` starts it, and starts it again where a killed
process left it: what was sampled since the last checkpoint is in the log, and is not sampled again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from agent import events, react
from agent.context import RunContext
from agent.drawing import sample_node
from agent.policy.policy import ContextTooLong
from agent.records import ANSWERED, FORM, Ending, Node, Path
from agent.search.strategy import OPEN, Grow
from agent.state import RUN, AttemptState, Ended, RunState, attempt_state, growths, key, path_of
from verifiers.json_schema import JsonSchema
from verifiers.registry import judge
from verifiers.verdict import Case, Verifier

LONGEST_JUDGING, SHORTEST_JUDGING = 300.0, 2.0  # seconds; without any, a run that is out of time could not choose
_log = logging.getLogger("ponder.graph")


def build() -> StateGraph[RunState, RunContext, Any, Any]:
    graph = StateGraph(RunState, context_schema=RunContext)
    graph.add_node("plan", plan)
    graph.add_node("attempt", attempt)
    graph.add_node("score", score)
    graph.add_node("answer", answer)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", growing, ["attempt", "answer"])
    graph.add_edge("attempt", "score")
    graph.add_edge("score", "plan")
    graph.add_edge("answer", END)
    return graph


@cache
def attempt_graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    return react.build()


async def plan(state: RunState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Ask the strategy what to grow; nothing where the budget has run out or the policy has failed."""
    context = runtime.context
    wanted = [] if state["failures"] else context.effort.strategy.grow(context.candidates(state["ended"]))
    barren = {tuple(each["start"][:-1]) for each in state["ended"] if not each["end"]}  # a limit allows nothing there
    wave = growths([each for each in wanted if each.parent not in barren], state["ended"])
    if wave and state["ended"] and (limit := context.meter.exhausted()):
        return {"wave": [], "limits": {RUN: limit}}
    context.wave.begin(len(wave))
    return {"wave": wave}


async def growing(state: RunState) -> list[Send] | str:
    return [Send("attempt", growth) for growth in state["wave"]] or "answer"


async def attempt(state: AttemptState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """One growth, from its first node to its end. What the policy fails at is noted; the siblings go on."""
    context = runtime.context
    grown: AttemptState = await attempt_graph().ainvoke(state, context=context)  # type: ignore[assignment]
    end = path_of(grown["growth"]["start"], grown["steps"]) if grown["steps"] else ()
    if end and (leaf := context.tree[end]).ending not in OPEN:
        context.emit(events.CandidateFinished(end, leaf.ending, leaf.text, grown["tokens"]))
    context.wave.arrive(context.candidate(end) if end else None, context.effort.strategy)
    if grown["failure"]:
        _log.warning("attempt %s failed: %s", key(grown["growth"]["start"]), grown["failure"])
    limits = (
        {RUN if context.meter.exhausted() else key(end or grown["growth"]["start"]): grown["limit"]}
        if grown["limit"]
        else {}
    )
    return {
        "ended": [Ended(start=grown["growth"]["start"], end=list(end))],
        "failures": [grown["failure"]] if grown["failure"] else [],
        "limits": limits,
    }


async def score(state: RunState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Let every verifier look at all candidates together: agreement changes with each wave.

    Those that a search may go on from are looked at by the verifiers that can judge what is not finished.
    """
    context = runtime.context
    candidates = context.candidates(state["ended"])
    closed = [c.path for c in candidates if not c.open]
    looked_at = {tuple(each["growth"]["start"]) for each in state["wave"]}
    opened = [c.path for c in candidates if c.open and c.start in looked_at]
    judges_steps = [each for each in context.agent.verifiers if getattr(each, "judges_steps", False)]
    over = context.meter.sampling_over()
    await judged(context, closed, context.agent.verifiers)
    await judged(context, opened, judges_steps)
    limit = context.meter.sampling_over()
    return {"limits": {RUN: limit}} if limit and not over else {}


async def judged(context: RunContext, leaves: Sequence[Path], verifiers: Sequence[Verifier]) -> None:
    if not leaves:
        return
    trajectories = [context.trajectory(leaf) for leaf in leaves]
    cases = [case_of(context.run.question, each, context.agent.step_delimiter) for each in trajectories]
    seconds = min(LONGEST_JUDGING, max(SHORTEST_JUDGING, context.meter.seconds_left))
    for trajectory, verdicts in zip(trajectories, await judge(verifiers, cases, seconds), strict=True):
        read_before = sum(verdict.tokens for verdict in trajectory[-1].verdicts)
        context.meter.tokens += max(0, sum(verdict.tokens for verdict in verdicts) - read_before)
        leaf = context.update(trajectory[-1], verdicts=verdicts)
        context.emit(events.Scored(leaf.path, context.candidate(leaf.path).score, verdicts))


async def answer(state: RunState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Choose the candidate whose answer is given, and write it in the form that is asked for."""
    context = runtime.context
    candidates = context.candidates(state["ended"])
    if not candidates:
        return {"chosen": None}
    choice = context.effort.strategy.choose([c for c in candidates if not c.open] or candidates)
    context.emit(events.Selected(choice.path, choice.reason))
    return {"chosen": list(choice.path), "failures": await write_form(context, context.tree[choice.path])}


async def write_form(context: RunContext, leaf: Node) -> list[str]:
    """Write the chosen answer down by the caller's schema, where there is one: one more node, which is no attempt's.

    What went wrong, in a sentence.
    """
    path = (*leaf.path, 0)
    if not context.run.supplied.json_schema or leaf.ending is not Ending.ANSWER:
        return []
    asked = attempt_state(path, Grow(parent=leaf.path, bridge=FORM))
    try:
        node = context.tree.get(path) or await sample_node(context, path, asked)
    except ContextTooLong as error:
        return [str(error)]
    if node.ending is Ending.ANSWER and not node.note:
        schema = json.loads(context.run.supplied.json_schema)
        [fits] = await JsonSchema().verify([Case(context.run.question, node.text, metadata={"schema": schema})])
        if fits.score:
            return []
        node = context.update(node, note=f"The answer was not written by its schema ({fits.reason})")
    return [node.note or f"The answer was not written by its schema within {len(node.sample.token_ids)} tokens."]


def case_of(question: str, attempt: Sequence[Node], delimiter: str) -> Case:
    """What a verifier may look at of a candidate."""
    leaf = attempt[-1]
    return Case(
        question=question,
        answer=leaf.said,
        thought="\n".join(node.thought for node in attempt if node.thought and node.ending is not Ending.ERROR),
        steps=steps_of(attempt, delimiter),
        passages=tuple(p for node in attempt for result in node.tool_results for p in result.passages),
        finished=leaf.ending in ANSWERED,
        outcome=leaf.ending.value,
    )


def steps_of(attempt: Sequence[Node], delimiter: str) -> tuple[str, ...]:
    """An attempt as a process reward model reads it: each step of a thought, each call with its result, the answer."""
    return tuple(
        step.strip()
        for node in attempt
        if node.ending is not Ending.ERROR
        for step in (*node.thought.split(delimiter), *called(node), node.text)
        if step.strip()
    )


def called(node: Node) -> list[str]:
    return [
        f"{json.dumps(call, ensure_ascii=False)}\n{result.text}"
        for call, result in zip(node.calls, node.tool_results, strict=False)
    ]
