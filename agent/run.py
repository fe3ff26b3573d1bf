"""The door: a question becomes a tree, a choice and an answer. Terminal, REST, MCP and the trainer all come in here.

``stream`` yields what happens as it happens; ``ask`` waits for the end; ``resume`` goes on with a run that a killed
process left. Closing the stream stops the model and the tools and keeps what was produced.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import sqlite3
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from agent import graph
from agent.approval import Approver, read_in_thread, remember_read
from agent.budget import Budget, Meter
from agent.compaction import Wanted, wanted_summary
from agent.context import Agent, RunContext
from agent.effort import EFFORTS, Effort, chosen_by
from agent.ending import end, finish
from agent.errors import NotInLog, PonderError, QuestionError, SettingsError, StoreError
from agent.events import Event, Finished, RunStarted, ThreadSummarised
from agent.memories import MEMORY, remembering
from agent.opening import SUMMARY, QuestionTooLong, opening_of
from agent.records import Node, Run, Supplied, usage_of
from agent.search.attempts import AdaptiveBestOfN
from agent.search.registry import strategy_from
from agent.search.strategy import Strategy, breadth
from agent.state import RunState
from agent.store import Store
from agent.thresholds import fitted
from tools.toolbox import Toolbox

if TYPE_CHECKING:
    from agent.settings import Settings

_log = logging.getLogger("ponder.run")
REFERENCE_SHARE = 0.1
LONGEST_TOKEN = 32  # characters; a question of more than that for each token of the context is not even encoded
LEFT = "left"  # the message of a cancel that ends the process's part of a run, not the run: it can be resumed
SUPERSTEPS = 10_000  # of a graph: the budget ends a run long before LangGraph does


@dataclass(frozen=True, slots=True)
class Ask:
    """How a question is to be answered."""

    effort: Effort = EFFORTS["medium"]
    thread_id: str | None = None  # go on with this thread; None: a new one
    seed: int | None = None  # the root seed; None: a random one, which is logged
    metadata: Mapping[str, Any] = field(
        default_factory=dict
    )  # task id, tags; "train": "no" where nobody may learn of it
    reference_share: float = REFERENCE_SHARE  # of adaptive runs, drawn with fixed N: the unbiased reference
    supplied: Supplied = field(default_factory=Supplied)  # where the caller keeps the conversation itself
    approver: Approver | None = None  # who is asked before a call that needs it; None: such calls are not made


def asked_by(settings: Settings, effort: Effort, thread_id: str | None = None, seed: int | None = None) -> Ask:
    """How a person with these settings asks."""
    consent = {} if settings.train else {"train": "no"}
    return Ask(effort, thread_id, seed, consent, settings.reference_share)


def within(settings: Settings, effort: Effort) -> Effort:
    """An effort within what the settings allow a run to spend. Raises ``SettingsError``."""
    if settings.most_cost is not None and not (settings.prompt_price or settings.sampled_price):
        raise SettingsError("A limit in money needs prices: set prompt_price and sampled_price, of a million tokens.")
    limits = {"tokens": settings.most_tokens, "seconds": settings.most_seconds, "cost": settings.most_cost}
    limits |= {"prompt_price": settings.prompt_price, "sampled_price": settings.sampled_price}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return replace(effort, budget=replace(effort.budget, **given))


async def ask(agent: Agent, question: str, how: Ask | None = None) -> Run:
    """Ask and wait. A run that failed comes back with its ``error``. Raises ``QuestionError`` before it is run."""
    async with aclosing(stream(agent, question, how)) as events:
        return await last_run(events)


async def resume(agent: Agent, run_id: str, approver: Approver | None = None) -> AsyncGenerator[Event, None]:
    """Go on with a run that was under way.

    Raises ``NotInLog``, ``RunUnderWay``, ``OtherVersion``, and ``QuestionError`` where it is over already.
    """
    run = agent.store.run(run_id)
    refuse_ended(run)
    agent = replace(agent, policy=agent.policy.at(run.policy))
    async with aclosing(drive(agent, run, effort_of(run), approver)) as events:
        async for event in events:
            yield event


async def stream(agent: Agent, question: str, how: Ask | None = None) -> AsyncGenerator[Event, None]:
    """What happens, from ``RunStarted`` to ``Finished``.

    Raises:
        QuestionError: the question is empty, or longer than the model's context.
    """
    how = how or Ask()
    agent = replace(agent, policy=agent.policy.at(None))
    run = begin(agent, question, how)
    async with aclosing(drive(agent, run, effort_of(run), how.approver)) as events:
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
    refuse_empty(question)
    refuse_unjudged(agent, how.effort.strategy)
    length = len(question) + sum(len(str(message.get("content") or "")) for message in how.supplied.messages)
    if length > LONGEST_TOKEN * agent.policy.context_length:
        raise QuestionTooLong(f"{length} characters", agent.policy.context_length)
    root_seed = secrets.randbits(31) if how.seed is None else how.seed
    effort, reference = carried_out(agent, how.effort), False
    if isinstance(effort.strategy, AdaptiveBestOfN) and random.Random(root_seed).random() < how.reference_share:
        effort, reference = replace(effort, strategy=effort.strategy.whole()), True
    return Run(
        run_id=new_id(),
        question=question,
        thread_id=how.thread_id or new_id(),
        effort=effort.name,
        strategy=effort.strategy.name,
        settings=settings_of(effort, agent),
        stopping_rule=effort.strategy.stopping_rule,
        root_seed=root_seed,
        policy=agent.policy.version,
        started_at=datetime.now(UTC).isoformat(),
        reference=reference,
        metadata=dict(how.metadata),
        supplied=how.supplied,
    )


def new_id() -> str:
    """Of a run or a thread."""
    return uuid.uuid4().hex[:12]


def refuse_ended(run: Run) -> None:
    """Before anything is loaded for it. Raises ``QuestionError``."""
    if run.status != "running":
        shown = f"`ponder log show {run.run_id}` shows what there is of it"
        raise QuestionError(f"Run {run.run_id} is {run.status}, and only a run that was killed goes on; {shown}.")


def refuse_empty(question: str) -> None:
    """Before anything is loaded for it. Raises ``QuestionError``."""
    if not question.strip():
        raise QuestionError("The question is empty; write what you want to know.")


def refuse_unjudged(agent: Agent, strategy: Strategy) -> None:
    """A search over steps with nobody to judge steps would go on from the first. Raises ``QuestionError``."""
    judges = any(getattr(verifier, "judges_steps", False) for verifier in agent.verifiers)
    if getattr(strategy, "needs_step_scores", False) and not judges:
        raise QuestionError(
            f"{strategy.name} needs a process reward model: `ponder train prm` makes one, the setting process_reward "
            "names its folder, and `ponder model serve MODEL --process-reward` serves it."
        )


async def drive(agent: Agent, run: Run, effort: Effort, approver: Approver | None) -> AsyncGenerator[Event, None]:
    """Run the graph and pass its events on; whatever happens, the log says how the run stands.

    Raises ``RunUnderWay`` where another process does this already.
    """
    with agent.store.claim(run.run_id):
        async with aclosing(driven(agent, as_logged(agent.store, run), effort, approver)) as events:
            async for event in events:
                yield event


def as_logged(store: Store, run: Run) -> Run:
    """With what another process may have added since the run was read; a new one is not there yet."""
    try:
        return store.run(run.run_id)
    except NotInLog:
        return run


async def driven(agent: Agent, run: Run, effort: Effort, approver: Approver | None) -> AsyncGenerator[Event, None]:
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    context = replace(context_of(agent, run, effort, queue.put_nowait), approver=approver)
    agent.store.begin(context.run)
    task = asyncio.create_task(work(context, queue))
    left = False
    try:
        while (event := await queue.get()) is not None:
            yield event
        await task
    except asyncio.CancelledError as error:
        left = LEFT in error.args
        raise
    finally:
        if not task.done():
            (context.left if left else context.cancelled).set()
            task.cancel()
            await asyncio.wait([task])
    yield Finished(agent.store.run(run.run_id))


async def work(context: RunContext, queue: asyncio.Queue[Event | None]) -> None:
    """Emit all of a run's events, and None after the last."""
    try:
        context.emit(RunStarted(context.run))
        await conclude(context)
        remember_read(context)
        await forget_checkpoints(context)
    finally:
        queue.put_nowait(None)


async def conclude(context: RunContext) -> None:
    """The rollout border: what becomes of the run is logged here, and only here is everything caught.

    Raises:
        StoreError: the log cannot be written; it still says that the run is under way, so that it can be resumed.
    """
    try:
        context = await with_room(context)
        finish(context, await invoke(context))
    except asyncio.CancelledError:
        if not context.left.is_set():
            end(context, "cancelled", "The run was cancelled.")
    except NotInLog as error:  # deleted, while it was under way
        with suppress(NotInLog):
            end(context, "failed", str(error))
    except StoreError:
        raise
    except PonderError as error:
        end(context, "failed", str(error))
    except Exception as error:  # a defect must not leave the run open or the listener waiting
        _log.exception("run %s failed", context.run.run_id)
        end(context, "failed", f"Something went wrong inside ({type(error).__name__}: {error}); please report it.")


async def invoke(context: RunContext) -> RunState:
    """Start the graph, or go on where its last checkpoint stands."""
    saver, run_id = checkpointer_of(context), context.run.run_id
    config: Any = {"configurable": {"thread_id": run_id}, "recursion_limit": SUPERSTEPS}
    fresh = RunState(ended=[], failures=[], limits={}, wave=[], chosen=None)
    try:
        begun = saver is not None and await saver.aget_tuple(config) is not None
        return await compiled_graph(saver).ainvoke(None if begun else fresh, config, context=context)
    except sqlite3.Error as error:
        sentence = f"The checkpoints cannot be written ({error}); free some space, then `ponder resume {run_id}`."
        raise StoreError(sentence) from error


def checkpointer_of(context: RunContext) -> BaseCheckpointSaver | None:
    """Where the graph keeps its place. With one attempt it has none: a graph that starts again finds the steps that are
    in the log, and keeping the place takes milliseconds before the first token.
    """
    return context.agent.checkpointer if breadth(context.effort.strategy) > 1 else None


@lru_cache(maxsize=4)
def compiled_graph(saver: Any) -> Any:
    return graph.build().compile(checkpointer=saver)


async def forget_checkpoints(context: RunContext) -> None:
    """A run that has ended needs none. After a cancel this waits for the saves that are still under way."""
    if (saver := checkpointer_of(context)) is not None:
        try:
            await saver.adelete_thread(context.run.run_id)
        except sqlite3.Error as error:  # they take room and do no harm
            _log.warning("the checkpoints of run %s stay: %s", context.run.run_id, error)


# --- a thread that is too long ----------------------------------------------------------------------------------------


async def with_room(context: RunContext) -> RunContext:
    """Where the thread is too long, its beginning is summed up; where nothing comes of that, it stays left out."""
    opening, agent, run = context.opening, context.agent, context.run
    while agent.summaries and opening.left_out and (wanted := wanted_summary(agent, run, opening.kept)):
        try:
            summary = await summary_of(agent, run, wanted)
        except NotInLog:  # it was deleted, with a run that it covers
            opening = opening_of(agent, run)
            continue
        if not summary.answer:
            break
        context.emit(ThreadSummarised(summary.run_id, len(wanted.covers)))
        opening = opening_of(agent, run)
    return replace(context, opening=opening)


async def summary_of(agent: Agent, run: Run, wanted: Wanted) -> Run:
    """A run of the same thread. One that a killed process left is gone on with."""
    agent = replace(agent, toolbox=Toolbox([]))
    for begun in agent.store.summaries(run, status="running"):
        if begun.metadata[SUMMARY] == wanted.covers and not agent.store.is_claimed(begun.run_id):
            return await last_run(resume(agent, begun.run_id))
    kept = {name: run.metadata[name] for name in ("key", "train") if name in run.metadata}
    effort = replace(EFFORTS["low"], budget=effort_of(run).budget)
    supplied = Supplied(wanted.messages)
    how = Ask(effort, run.thread_id, run.root_seed, kept | {SUMMARY: wanted.covers}, supplied=supplied)
    return await ask(agent, wanted.question, how)


# --- how a run begins -------------------------------------------------------------------------------------------------


def context_of(agent: Agent, run: Run, effort: Effort, emit: Any) -> RunContext:
    """For a new run, or for one that is resumed: what its nodes cost is spent, and it goes on from their prompt."""
    so_far = usage_of(run.nodes)
    meter = Meter(
        effort.budget, so_far.total_tokens, so_far.prompt_tokens, so_far.tool_calls, seconds_before=seconds_spent(run)
    )
    if run.metadata.get(MEMORY):
        own = remembering(agent.store.memories, str(run.metadata.get("key", "")), run.run_id)
        agent = replace(agent, toolbox=agent.toolbox.with_own([own]))
    if run.supplied.tools:
        agent = replace(agent, toolbox=agent.toolbox.with_callers(run.supplied.tools))
    tree = {node.path: node for node in run.nodes}
    begun = agent.store.unfinished_tools(run.run_id) if tree else []
    interrupted = {(call.path, call.index) for call in begun}
    opening, read = opening_of(agent, run), frozenset(read_in_thread(agent, run))
    return RunContext(agent, replace(run, nodes=()), effort, opening, meter, emit, tree, interrupted, read)


def seconds_spent(run: Run) -> float:
    """Of the longest attempt: they grew side by side, and so did the calls of a step."""
    return max((sum(map(seconds_of, attempt)) for attempt in run.trajectories()), default=0.0)


def seconds_of(node: Node) -> float:
    return node.sample.total_seconds + max((result.seconds for result in node.tool_results), default=0.0)


# --- effort in the log ------------------------------------------------------------------------------------------------


def carried_out(agent: Agent, effort: Effort) -> Effort:
    """As this agent carries it out: within its model's context, by its verifiers, with thresholds fitted to both."""
    effort = replace(effort, budget=effort.budget.within(agent.policy.context_length, breadth(effort.strategy)))
    return fitted(chosen_by(effort, agent.weights), agent.policy.version, agent.thresholds, agent.weights)


def settings_of(effort: Effort, agent: Agent) -> dict[str, Any]:
    """What a resume needs to go on as the run began, under which prompt that was, and who judged."""
    strategy: Any = effort.strategy  # a dataclass, which a protocol cannot say
    return {
        "strategy": asdict(strategy),
        "temperature": effort.temperature,
        "budget": asdict(effort.budget),
        "prompt": str(agent.system_prompt),
        "verifiers": agent.panel,
    }


def effort_of(run: Run) -> Effort:
    settings = run.settings
    return Effort(
        run.effort, strategy_from(settings["strategy"]), settings["temperature"], Budget(**settings["budget"])
    )
