"""What becomes of a run when its graph has come to its end: the answer, where it fell short, what it cost.

Called by ``run``.
"""

from __future__ import annotations

from dataclasses import replace

from agent.context import RunContext
from agent.drawing import turn_before
from agent.records import Ending, Node, Run, Usage, usage_of
from agent.state import RUN, RunState, key
from verifiers.answers import final_answer


def finish(context: RunContext, state: RunState) -> None:
    """The run has come to its end: say what was chosen, and where it fell short."""
    logged = context.logged()
    leaf = logged.node(tuple(state["chosen"])) if state["chosen"] is not None else None
    answer = answer_of(leaf) if leaf else None
    if answer and leaf and context.run.supplied.json_schema and leaf.ending is not Ending.HANDED_OVER:
        form = replace(logged, chosen=leaf.path).form
        answer = form.text if form and form.ending is Ending.ANSWER and not form.note else None
    problems = [*state["failures"], *shortfall(state, leaf if answer is not None else None)]
    if answer is None and not problems:
        problems = ["No attempt came to an answer; ask again, or with more effort."]
    context.agent.store.finish(
        replace(
            logged,
            status="failed" if answer is None else "finished",
            chosen=leaf.path if leaf and answer is not None else None,
            answer=answer,
            verdicts=leaf.verdicts if leaf and answer is not None else (),
            usage=spent(context, logged),
            error=" ".join(dict.fromkeys(problems)) or None,
        )
    )


def answer_of(leaf: Node) -> str | None:
    """What a person reads: an answer, or as much of one as the budget allowed. Calls for the caller may stand alone."""
    if leaf.ending is Ending.HANDED_OVER:
        return leaf.text
    if leaf.ending is Ending.BUDGET:
        return whole_part(leaf.text) or None
    return leaf.text or None if leaf.ending is Ending.ANSWER else None


def whole_part(cut: str) -> str:
    """The whole words of a text that breaks off, without a result that does: half a number is another number."""
    *before, last = cut.split("\n")
    last = "" if final_answer(last) is not None else last.rpartition(" ")[0]
    return "\n".join([*before, last]).strip()


def shortfall(state: RunState, chosen: Node | None) -> list[str]:
    """In a sentence, the limits that the run, or the chosen attempt, ran into; without one, those of every attempt."""
    limits = state["limits"]
    told = limits if chosen is None else {place: limits[place] for place in (RUN, key(chosen.path)) if place in limits}
    if not told:
        return []
    rest = "this is the best answer so far" if chosen else "no attempt came to an answer; raise that limit"
    return [f"The budget of {', '.join(sorted(set(told.values())))} ran out; {rest}."]


def end(context: RunContext, status: str, error: str) -> None:
    logged = context.logged()
    context.agent.store.finish(replace(logged, status=status, error=error, usage=spent(context, logged)))


def spent(context: RunContext, logged: Run) -> Usage:
    thought = sum(thought_tokens(context, node) for node in logged.nodes)
    usage = usage_of(logged.nodes, context.meter.seconds, thought_tokens=thought)
    return replace(usage, cost=context.meter.budget.price(usage.prompt_tokens, usage.total_tokens))


def thought_tokens(context: RunContext, node: Node) -> int:
    turn = turn_before(context, node.path, node.sample.prompt_token_ids, node.bridge)
    return context.agent.policy.renderer.thought_tokens(node.sample.token_ids, turn)
