"""A run: grow -> score -> plan again -> answer. Attempts of a wave grow side by side; every step is checkpointed.

A LangGraph whose state is ids only. ``run`` starts it, and starts it again where a killed process left it.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from agent import events, react
from agent.context import RunContext
from agent.policy.policy import PolicyError
from agent.records import Ending, Node, Run
from agent.state import AttemptState, RunState
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
    """Ask the strategy how many more attempts to make; none where the budget has run out."""
    context = runtime.context
    if state["finished"] and (limit := context.meter.exhausted()):
        context.over.add(limit)
        return {"wave": 0}
    made = [context.candidate(leaf) for leaf in context.leaves()]
    return {"wave": 0 if state["failures"] else max(0, context.effort.strategy.grow(made))}


def growing(state: RunState) -> list[Send] | str:
    first = len(state["finished"])
    sends = [
        Send("attempt", AttemptState(candidate=i, steps=0, repairs=0, ending=""))
        for i in range(first, first + state["wave"])
    ]
    return sends or "answer"


async def attempt(state: AttemptState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """One candidate, from the question to its end. What the policy fails at is noted; the siblings go on."""
    context, candidate = runtime.context, state["candidate"]
    failures: list[str] = []
    try:
        await attempt_graph().ainvoke(state, context=context)
    except PolicyError as error:
        _log.warning("candidate %d failed: %s", candidate, error)
        failures.append(str(error))
    nodes = [node for node in context.logged().nodes if node.path[0] == candidate]
    if nodes:
        leaf = nodes[-1]
        tokens = sum(len(node.sample.token_ids) for node in nodes)
        context.emit(events.CandidateFinished(leaf.path, leaf.ending, leaf.text, tokens))
    return {"finished": [candidate], "failures": failures}


async def score(state: RunState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Let every verifier look at all candidates together: agreement changes with each wave."""
    context, run = runtime.context, runtime.context.logged()
    leaves = [trajectory[-1] for trajectory in run.trajectories()]
    cases = [case_of(run, leaf) for leaf in leaves]
    for leaf, verdicts in zip(leaves, await judge(context.agent.verifiers, cases), strict=True):
        context.agent.store.update_node(run.run_id, leaf.path, verdicts=verdicts)
        value = context.candidate(context.node(leaf.path)).score
        context.emit(events.Scored(leaf.path, value, tuple(verdicts)))
    return {}


def answer(state: RunState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Choose the candidate whose answer is given."""
    context = runtime.context
    candidates = [context.candidate(leaf) for leaf in context.leaves()]
    if not candidates:
        return {"chosen": None}
    choice = context.effort.strategy.choose(candidates)
    context.emit(events.Selected(choice.path, choice.reason))
    return {"chosen": list(choice.path)}


def case_of(run: Run, leaf: Node) -> Case:
    """What a verifier may look at of the candidate that ends in ``leaf``."""
    trajectory = run.trajectory(leaf.path)
    passages = tuple(p for node in trajectory for result in node.tool_results for p in result.passages)
    return Case(
        question=run.question,
        answer=leaf.text,
        thought="\n".join(node.thought for node in trajectory if node.thought),
        passages=passages,
        finished=leaf.ending is Ending.ANSWER,
        outcome=leaf.ending.value,
    )
