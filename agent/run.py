"""The door: a question becomes a tree, a choice and an answer. Terminal, REST, MCP and the trainer all come in here.

``stream`` yields what happens as it happens; ``ask`` waits for the end; ``resume`` goes on with a run that a killed
process left. Closing the stream stops the model and the tools and keeps what was produced.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from agent import graph
from agent.budget import Budget, Meter
from agent.context import Agent, RunContext
from agent.effort import EFFORTS, Effort
from agent.errors import PonderError
from agent.events import Event, Finished, RunStarted
from agent.policy.policy import ContextTooLong
from agent.records import Run, usage_of
from agent.search import AdaptiveBestOfN, BestOfN, strategy_from
from agent.state import RunState
from agent.store import RunFilter

_log = logging.getLogger("ponder.run")
REFERENCE_SHARE = 0.1


class QuestionError(PonderError):
    """The question cannot be asked as it is."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Ask:
    """How a question is to be answered."""

    effort: Effort = EFFORTS["medium"]
    thread_id: str | None = None  # go on with this thread; None: a new one
    seed: int | None = None  # the root seed; None: a random one, which is logged
    metadata: Mapping[str, Any] = field(default_factory=dict)  # task id, tags, consent
    reference_share: float = REFERENCE_SHARE  # of adaptive runs, drawn with fixed N: the unbiased reference


async def ask(agent: Agent, question: str, how: Ask | None = None) -> Run:
    """Ask and wait. A run that failed comes back with its ``error``. Raises ``QuestionError`` before it is run."""
    async with aclosing(stream(agent, question, how)) as events:
        return await last_run(events)


async def resume(agent: Agent, run_id: str) -> AsyncGenerator[Event, None]:
    """Go on with a run that was under way. Raises ``NotInLog``, and ``QuestionError`` where it is over already."""
    run = agent.store.run(run_id)
    if run.status != "running":
        raise QuestionError(f"Run {run_id} is {run.status}; `ponder log show {run_id}` shows its answer.")
    if run.policy != agent.policy.version:
        raise QuestionError(
            f"Run {run_id} was begun by {run.policy} and this is {agent.policy.version}; start that model."
        )
    async with aclosing(drive(agent, replace(run, nodes=()), effort_of(run))) as events:
        async for event in events:
            yield event


async def stream(agent: Agent, question: str, how: Ask | None = None) -> AsyncGenerator[Event, None]:
    """What happens, from ``RunStarted`` to ``Finished``.

    Raises:
        QuestionError: the question is empty, or longer than the model's context.
    """
    how = how or Ask()
    run = begin(agent, question, how)
    async with aclosing(drive(agent, run, effort_of(run))) as events:
        async for event in events:
            yield event


async def last_run(events: AsyncIterator[Event]) -> Run:
    run: Run | None = None
    async for event in events:
        if isinstance(event, Finished):
            run = event.run
    assert run is not None, "a stream of events ends with Finished"
    return run


def begin(agent: Agent, question: str, how: Ask) -> Run:
    """The run's record, not yet in the log."""
    if not question.strip():
        raise QuestionError("The question is empty; write what you want to know.")
    root_seed = secrets.randbits(31) if how.seed is None else how.seed
    effort, reference = how.effort, False
    if isinstance(effort.strategy, AdaptiveBestOfN) and root_seed % 1000 < 1000 * how.reference_share:
        effort, reference = replace(effort, strategy=BestOfN(effort.strategy.n)), True
    return Run(
        run_id=uuid.uuid4().hex[:12],
        question=question,
        thread_id=how.thread_id or uuid.uuid4().hex[:12],
        effort=effort.name,
        strategy=effort.strategy.name,
        settings=settings_of(effort),
        stopping_rule=effort.strategy.stopping_rule,
        root_seed=root_seed,
        policy=agent.policy.version,
        started_at=datetime.now(UTC).isoformat(),
        reference=reference,
        metadata=dict(how.metadata),
    )


async def drive(agent: Agent, run: Run, effort: Effort) -> AsyncGenerator[Event, None]:
    """Run the graph and pass its events on; whatever happens, the log says how the run stands."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    context = context_of(agent, run, effort, queue.put_nowait)
    agent.store.begin(run)
    yield RunStarted(run)
    task = asyncio.create_task(work(context, queue))
    try:
        while (event := await queue.get()) is not None:
            yield event
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    yield Finished(agent.store.run(run.run_id))


async def work(context: RunContext, queue: asyncio.Queue[Event | None]) -> None:
    """The rollout border: what becomes of the run is logged here, and only here is everything caught."""
    run = context.run
    try:
        state = await invoke(context)
        finish(context, state)
    except asyncio.CancelledError:
        end(context, "cancelled", "The run was cancelled.")
        raise
    except PonderError as error:
        end(context, "failed", str(error))
    except Exception as error:  # a defect must not leave the run open or the listener waiting
        _log.exception("run %s failed", run.run_id)
        end(context, "failed", f"Something went wrong inside ({type(error).__name__}: {error}); please report it.")
    finally:
        queue.put_nowait(None)


async def invoke(context: RunContext) -> RunState:
    """Start the graph, or go on where its last checkpoint stands."""
    saver = context.agent.checkpointer
    compiled = compiled_graph(saver)
    config: dict[str, Any] = {"configurable": {"thread_id": context.run.run_id}, "recursion_limit": 200}
    fresh = RunState(finished=[], failures=[], wave=0, chosen=None)
    begun = saver is not None and await saver.aget_tuple(config) is not None  # type: ignore[arg-type]
    durable = {"durability": "sync"} if saver is not None else {}
    state = await compiled.ainvoke(None if begun else fresh, config, context=context, **durable)  # type: ignore[arg-type]
    if saver is not None:
        await saver.adelete_thread(context.run.run_id)
    return state  # type: ignore[return-value]


@cache
def compiled_graph(saver: Any) -> Any:
    return graph.build().compile(checkpointer=saver)


def finish(context: RunContext, state: RunState) -> None:
    """The run has come to its end: say what was chosen, and where it fell short."""
    logged = context.logged()
    leaf = logged.node(tuple(state["chosen"])) if state["chosen"] is not None else None
    problems = list(dict.fromkeys(state["failures"]))
    if context.over:
        problems.append(f"The budget of {', '.join(sorted(context.over))} ran out; this is the best answer so far.")
    answered = leaf is not None and bool(leaf.text)
    if not answered and not problems:
        problems.append("No attempt came to an answer; ask again, or with more effort.")
    context.agent.store.finish(
        replace(
            logged,
            status="finished" if answered else "failed",
            chosen=leaf.path if leaf else None,
            answer=leaf.text if leaf and answered else None,
            verdicts=leaf.verdicts if leaf else (),
            usage=usage_of(logged.nodes, context.meter.seconds),
            error=" ".join(problems) or None,
        )
    )


def end(context: RunContext, status: str, error: str) -> None:
    logged = context.logged()
    usage = usage_of(logged.nodes, context.meter.seconds)
    context.agent.store.finish(replace(logged, status=status, error=error, usage=usage))


def context_of(agent: Agent, run: Run, effort: Effort, emit: Any) -> RunContext:
    tools = agent.toolbox.schemas()
    messages = messages_of(agent, run)
    prompt = agent.policy.renderer.start(messages, tools)
    while len(prompt) > agent.policy.context_length // 2 and len(messages) > 2:
        del messages[1:3]  # the oldest question and answer of the thread; the log keeps them
        prompt = agent.policy.renderer.start(messages, tools)
    if len(prompt) >= agent.policy.context_length - graph.react.ROOM:
        raise QuestionTooLong(len(prompt), agent.policy.context_length)
    meter = Meter(effort.budget)
    logged = agent.store.runs(RunFilter(run_id=run.run_id))
    if logged:  # a resumed run has spent what its log holds
        nodes = agent.store.run(run.run_id).nodes
        spent = usage_of(nodes)
        meter.tokens, meter.tool_calls = spent.sampled_tokens, spent.tool_calls
        meter.seconds_before = sum(node.sample.total_seconds for node in nodes)
    return RunContext(agent, run, effort, prompt, meter, emit, agent.policy.renderer.template_hash(tools))


class QuestionTooLong(QuestionError, ContextTooLong):
    """The question alone does not fit."""

    def __init__(self, tokens: int, context_length: int) -> None:
        super().__init__(f"The question takes {tokens} tokens and the model {context_length}; ask a shorter one.")


def messages_of(agent: Agent, run: Run) -> list[dict[str, Any]]:
    """The system prompt, what the thread said before, and the question."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": agent.system_prompt}]
    earlier = agent.store.runs(RunFilter(thread_id=run.thread_id, status="finished", before=run.started_at))
    for past in reversed(earlier):
        messages += [{"role": "user", "content": past.question}, {"role": "assistant", "content": past.answer or ""}]
    return [*messages, {"role": "user", "content": run.question}]


# --- effort in the log ------------------------------------------------------------------------------------------------


def settings_of(effort: Effort) -> dict[str, Any]:
    """What a resume needs to go on as the run began."""
    strategy: Any = effort.strategy  # a dataclass, which a protocol cannot say
    return {"strategy": asdict(strategy), "temperature": effort.temperature, "budget": asdict(effort.budget)}


def effort_of(run: Run) -> Effort:
    settings = run.settings
    return Effort(
        run.effort, strategy_from(settings["strategy"]), settings["temperature"], Budget(**settings["budget"])
    )
