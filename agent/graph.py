"""A run: plan -> attempts -> score -> plan again ... answer. The attempts of a wave grow side by side.

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
from agent.records import Ending, Node
from agent.state import RUN, AttemptState, RunState, attempt_state, path_of
from verifiers.registry import judge
from verifiers.verdict import Case

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


def plan(state: RunState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Ask the strategy how many more attempts to make; none where the budget has run out or the policy has failed."""
    context = runtime.context
    made = [context.candidate(attempt[-1]) for attempt in context.attempts(state["finished"])]
    wave = 0 if state["failures"] else max(0, context.effort.strategy.grow(made))
    if wave and state["finished"] and (limit := context.meter.exhausted()):
        return {"wave": 0, "limits": {RUN: limit}}
    return {"wave": wave}


def growing(state: RunState) -> list[Send] | str:
    first = len(state["finished"])
    return [Send("attempt", attempt_state(i)) for i in range(first, first + state["wave"])] or "answer"


async def attempt(state: AttemptState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """One candidate, from the question to its end. What the policy fails at is noted; the siblings go on."""
    context, candidate = runtime.context, str(state["candidate"])
    ended: AttemptState = await attempt_graph().ainvoke(state, context=context)  # type: ignore[assignment]
    if ended["steps"]:
        leaf = context.tree[path_of(ended["candidate"], ended["steps"])]
        context.emit(events.CandidateFinished(leaf.path, leaf.ending, leaf.text, ended["tokens"]))
    if ended["failure"]:
        _log.warning("attempt %s failed: %s", candidate, ended["failure"])
    return {
        "finished": [ended["candidate"]],
        "failures": [ended["failure"]] if ended["failure"] else [],
        "limits": {RUN if context.meter.exhausted() else candidate: ended["limit"]} if ended["limit"] else {},
    }


async def score(state: RunState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Let every verifier look at all candidates together: agreement changes with each wave."""
    context, attempts = runtime.context, runtime.context.attempts(state["finished"])
    cases = [case_of(context.run.question, attempt) for attempt in attempts]
    for attempt, verdicts in zip(attempts, await judge(context.agent.verifiers, cases), strict=True):
        leaf = context.update(attempt[-1], verdicts=verdicts)
        context.emit(events.Scored(leaf.path, context.candidate(leaf).score, verdicts))
    return {}


def answer(state: RunState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Choose the candidate whose answer is given."""
    context = runtime.context
    candidates = [context.candidate(attempt[-1]) for attempt in context.attempts(state["finished"])]
    if not candidates:
        return {"chosen": None}
    choice = context.effort.strategy.choose(candidates)
    context.emit(events.Selected(choice.path, choice.reason))
    return {"chosen": list(choice.path)}


def case_of(question: str, attempt: Sequence[Node]) -> Case:
    """What a verifier may look at of a candidate."""
    leaf = attempt[-1]
    return Case(
        question=question,
        answer=leaf.text,
        thought="\n".join(node.thought for node in attempt if node.thought and node.ending is not Ending.ERROR),
        steps=tuple(step_of(node) for node in attempt if node.ending is not Ending.ERROR),
        passages=tuple(p for node in attempt for result in node.tool_results for p in result.passages),
        finished=leaf.ending is Ending.ANSWER,
        outcome=leaf.ending.value,
    )


def step_of(node: Node) -> str:
    """A step as a process reward model reads it: the thought, each call with its result, the text."""
    calls = [
        f"{json.dumps(call, ensure_ascii=False)}\n{result.text}"
        for call, result in zip(node.calls, node.tool_results, strict=False)
    ]
    return "\n".join(part for part in (node.thought, *calls, node.text) if part.strip())
