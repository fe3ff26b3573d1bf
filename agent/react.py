"""One attempt: reason -> act -> reason ... until an answer, or until the budget ends (ReAct, Yao et al. 2022).

A LangGraph of two nodes. Each step is in the log before the state names it, and growing is get-or-sample: a step that a
crashed process had already logged is read, not drawn again. A failed tool is a result that the model reads; an empty
answer, an unclosed thought and a call that does not parse get one repair each attempt. A model that cannot be asked is
asked again for as long as the run has time; what it had said before it broke off stays in the log, as a step that the
next one repeats. Called by ``graph``.
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
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay, wait_random_exponential

from agent import events
from agent.context import RunContext, seed_of
from agent.policy.policy import ContextTooLong, Delta, PolicyError
from agent.policy.reading import Reading
from agent.records import Ending, Node, Path, Sample, SamplingParams
from agent.search.bridges import bridged
from agent.state import AGAIN, OVER, REPAIRABLE, AttemptState, path_of
from tools.search import numbered
from tools.tool import ToolResult
from tools.toolbox import clean

PROMPTS = FilePath(__file__).parent / "prompts"
ROOM = 64  # fewest tokens worth sampling; a prompt that leaves less is compacted
CUT = "[cut to make room: {count} more characters]"
INTERRUPTED = "this call was interrupted and may have happened; it was not made again"
RETRIES = 3  # steps of an attempt that may break off half way
PAUSE = (0.5, 15.0)  # seconds before a model is asked again: at most the first, doubling up to the second, at random
NO_CALLS_LEFT = "the budget of {limit} is spent; give the answer without another call"


def build() -> CompiledStateGraph[Any, Any, Any, Any]:
    graph = StateGraph(AttemptState, context_schema=RunContext)
    graph.add_node("reason", reason)
    graph.add_node("act", act)
    graph.add_edge(START, "reason")
    graph.add_conditional_edges("reason", after_reasoning, ["act", "reason", END])
    graph.add_conditional_edges("act", after_acting, ["reason", END])
    return graph.compile(checkpointer=False)  # an attempt that is resumed starts again, and finds its steps in the log


async def reason(state: AttemptState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Sample the next node of the growth, or read it where it is already logged."""
    context, steps = runtime.context, state["steps"]
    path = path_of(state["start"], steps + 1)
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
    if node.ending is not Ending.STEP or state["to"] != "step":
        return False
    turn = [*turn_before(context, node.path, node.sample.prompt_token_ids), *node.sample.token_ids]
    return not node.thought or not context.agent.policy.renderer.thinking(turn)


def cut_by(context: RunContext, node: Node) -> str:
    """The limit that a node ran into."""
    most, budget = node.sample.params.max_tokens, context.meter.budget
    left = f"{most} tokens a step" if most >= budget.sample_tokens else f"{most} tokens left in the model's context"
    return context.meter.sampling_over() or left


def after_reasoning(state: AttemptState) -> str:
    if state["ending"] == Ending.TOOL_CALL:
        return "act"
    if state["ending"] in REPAIRABLE and state["repairs"] <= 1:
        return "reason"
    return "reason" if state["ending"] == AGAIN else END


def after_acting(state: AttemptState) -> str:
    return END if state["to"] == "step" else "reason"


def broke_off(node: Node) -> bool:
    """Whether the model had begun to answer and failed: the next step asks it the same again."""
    return node.ending is Ending.ERROR and bool(node.sample.token_ids)


async def act(state: AttemptState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Make the calls of the last step, all at once."""
    context, path = runtime.context, path_of(state["start"], state["steps"])
    node, before = context.tree[path], passages_before(context, path)
    results, limit = node.tool_results, state["limit"]
    if len(results) < len(node.calls):
        limit = context.meter.calling_over(len(node.calls)) or limit
        calls = [call_tool(context, path, i, call) for i, call in enumerate(node.calls)]
        results = renumbered(await asyncio.gather(*calls), before)
        context.update(node, tool_results=tuple(results))
        tell(context, path, results, before)
    return {"limit": limit}


def passages_before(context: RunContext, path: Path) -> int:
    """How many passages the attempt has found before ``path``: citations number on from there."""
    return sum(len(result.passages) for node in context.trajectory(path[:-1]) for result in node.tool_results)


async def call_tool(context: RunContext, path: Path, index: int, call: Mapping[str, Any]) -> ToolResult:
    """One call, logged before it is made."""
    name, arguments = call["name"], call["arguments"]
    tool = context.agent.toolbox.find(name)
    if (path, index) in context.interrupted and tool is not None and not tool.idempotent:
        return ToolResult(name, arguments, error=INTERRUPTED)
    if limit := context.meter.calling_over():
        return ToolResult(name, arguments, error=NO_CALLS_LEFT.format(limit=limit))
    context.meter.tool_calls += 1
    context.agent.store.started_tool(context.run.run_id, path, index, name, arguments)
    context.emit(events.ToolStarted(path, index, name, arguments))
    return await context.agent.toolbox.call(name, arguments, deadline_seconds=context.meter.seconds_left)


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


# --- sampling one step ------------------------------------------------------------------------------------------------


async def sample_node(context: RunContext, path: Path, state: AttemptState) -> Node:
    """Draw one step and log it. Whatever stops it half way, what had arrived is logged.

    Except where a sibling's failure ends the process's part of the run: a resume draws the step again. A model that
    fails before its first token, in a way that may pass, is asked again until the run's time is over.

    Raises:
        ContextTooLong: even the shortest form of the prompt leaves no room for an answer.
    """
    bridge = state["bridge"] if state["steps"] == 0 else ""
    prompt, note = prompt_for(context, path, bridge)
    drawing, ending = Drawing(context, path, prompt, state), None
    sample: Sample | None = None

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, PolicyError) and error.passing and not drawing.token_ids

    def tell(call: RetryCallState) -> None:
        assert call.outcome is not None
        assert call.next_action is not None
        context.emit(events.Retrying(path, str(call.outcome.exception()), call.next_action.sleep))

    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(may_pass),
            wait=wait_random_exponential(PAUSE[0], PAUSE[1]),
            stop=stop_before_delay(context.meter.seconds_left),
            before_sleep=tell,
            reraise=True,
        ):
            with attempt:
                sample = await drawing.finish()
        if sample is None:
            sample = drawing.partial("cancelled")
            ending = Ending.CANCELLED if context.wave.settled else Ending.BUDGET
        elif sample.finish_reason == "error":
            note = f"The model broke off ({sample.not_trainable}); ask again."
    except PolicyError as error:
        sample, ending, note = drawing.partial("error"), Ending.ERROR, str(error)
    except asyncio.CancelledError:
        if drawing.token_ids and context.cancelled.is_set():
            context.add(drawing.node(drawing.partial("cancelled"), note, bridge))
        raise
    except Exception as error:  # a defect, which ends the run
        if drawing.token_ids:
            note = f"Something went wrong inside ({type(error).__name__}: {error}); please report it."
            context.add(drawing.node(drawing.partial("error"), note, bridge, Ending.ERROR))
        raise
    return context.add(drawing.node(sample, note, bridge, ending))


class Drawing:
    """One draw as it streams: it passes the text on, and keeps the ids for the case that the stream stops short."""

    def __init__(self, context: RunContext, path: Path, prompt: Sequence[int], state: AttemptState) -> None:
        self.context, self.path, self.prompt = context, path, prompt
        self.turn = turn_before(context, path, prompt)
        self.most = state["most"] if state["steps"] == 0 else None  # tokens after which the search looks
        room = min(
            context.agent.policy.context_length - len(prompt), context.meter.budget.sample_tokens - len(self.turn)
        )
        self.params = sampling_params(
            context, path, min(room, self.most or room), stops(context, self.turn, state["to"])
        )
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.splitter = context.agent.policy.renderer.splitter(self.turn)
        self.began = time.monotonic()

    async def finish(self) -> Sample | None:
        """The whole sample; None where the tokens or the seconds of the run are spent before its end."""
        try:
            async with asyncio.timeout(self.context.meter.seconds_left):
                return await self.follow()
        except TimeoutError:
            return None

    async def follow(self) -> Sample | None:
        sample: Sample | None = None
        stream = self.context.agent.policy.stream(self.prompt, self.params)
        async with aclosing(stream) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                if not isinstance(piece, Delta):
                    sample = piece
                    continue
                over = self.context.wave.settled or self.context.meter.sampling_over()  # an end may still follow
                self.take(piece)
                if over:
                    return None
        if sample is None:
            raise PolicyError("The model's stream ended without a result; ask again.")
        self.tell(self.splitter.finish())
        why = None if sample.finish_reason in ("stop", "length") else stopped_from_outside(sample.finish_reason)
        why = sample.not_trainable or why
        return replace(sample, template_hash=self.context.opening.template_hash, not_trainable=why)

    def take(self, delta: Delta) -> None:
        self.token_ids += delta.token_ids
        self.logprobs += delta.logprobs
        self.context.meter.tokens += len(delta.token_ids)
        self.tell(self.splitter.feed(delta.token_ids))

    def tell(self, pieces: Sequence[tuple[str, str]]) -> None:
        for kind, text in pieces:
            if kind != "call":
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
            template_hash=self.context.opening.template_hash,
            not_trainable=stopped_from_outside(finish_reason),
        )

    def node(self, sample: Sample, note: str, bridge: str, ending: Ending | None = None) -> Node:
        """What was drawn, read after what the turn had before it."""
        read = self.context.agent.policy.renderer.read
        before, whole = read(self.turn), read([*self.turn, *sample.token_ids])
        return Node(
            path=self.path,
            sample=sample,
            ending=ending or ending_of(sample, whole, self),
            thought=whole.thought.removeprefix(before.thought).strip(),
            text=whole.text,
            calls=whole.calls,
            note=note,
            bridge=bridge,
        )


def stopped_from_outside(finish_reason: str) -> str:
    return f"{finish_reason}: the sample was stopped from outside"


def turn_before(context: RunContext, path: Path, prompt: Sequence[int]) -> list[int]:
    """What the turn of a node has before it: where its parent is a step, all that was put after the turn's prompt."""
    first = len(path)
    while first > 1 and context.tree[path[: first - 1]].ending is Ending.STEP:
        first -= 1
    if first == len(path):
        return []
    return list(prompt[len(context.tree[path[:first]].sample.prompt_token_ids) :])


def sampling_params(context: RunContext, path: Path, most: int, stops: tuple[int, ...]) -> SamplingParams:
    """Nothing in it depends on what the other attempts have spent by now: their samples form a group."""
    return SamplingParams(
        temperature=context.effort.temperature,
        max_tokens=max(1, min(most, context.meter.budget.tokens)),
        seed=seed_of(context.run.root_seed, path[:-1]) + path[-1],
        stop_token_ids=stops,
    )


def stops(context: RunContext, turn: Sequence[int], to: str) -> tuple[int, ...]:
    """The tokens after which a search looks, while the turn is in its thought."""
    renderer = context.agent.policy.renderer
    if to == "end" or not renderer.thinking(turn):
        return ()
    if to == "step":
        return renderer.ending_with(context.agent.step_delimiter)
    return () if renderer.marks.end_think is None else (renderer.marks.end_think,)


STOPPED = {"length": Ending.BUDGET, "cancelled": Ending.CANCELLED, "error": Ending.ERROR}


def ending_of(sample: Sample, reading: Reading, drawing: Drawing) -> Ending:
    cut = sample.finish_reason == "length" and drawing.most == len(sample.token_ids)
    if cut or (sample.token_ids and sample.token_ids[-1] in drawing.params.stop_token_ids):
        return Ending.STEP
    if sample.finish_reason in STOPPED:
        return STOPPED[sample.finish_reason]
    if reading.unclosed_thought:
        return Ending.UNCLOSED_THOUGHT
    if reading.bad_calls:
        return Ending.BAD_CALL
    if reading.calls:
        return Ending.TOOL_CALL
    return Ending.ANSWER if reading.text else Ending.EMPTY


# --- prompts ----------------------------------------------------------------------------------------------------------


def prompt_for(context: RunContext, path: Path, bridge: str = "") -> tuple[list[int], str]:
    """The prompt of the node at ``path``, and a note where it is more than the last one with what followed.

    Raises:
        ContextTooLong: even the shortest form leaves no room for an answer.
    """
    if len(path) == 1:
        return list(context.opening.prompt_token_ids), context.opening.note
    parent = context.tree[path[:-1]]
    carried_on = bridged(context.agent.policy.renderer, parent.sample, bridge) if bridge else carried(context, parent)
    prompt = [*parent.sample.prompt_token_ids, *carried_on]
    note = f"repair: {parent.ending.value}" if parent.ending in REPAIRABLE else ""
    note = f"retry: {parent.note}" if parent.ending is Ending.ERROR else note
    if fits(context, prompt):
        return prompt, note
    prompt, compaction = compacted(context, path[:-1])
    return prompt, f"{note}; {compaction}" if note else compaction


def fits(context: RunContext, prompt: Sequence[int]) -> bool:
    return context.agent.policy.context_length - len(prompt) >= ROOM


def compacted(context: RunContext, path: Path) -> tuple[list[int], str]:
    """The attempt up to ``path`` with less of what its tools said, and how much less in words.

    Results of earlier steps are left out, and of the last step as much as does not fit, by halves.
    """
    *earlier, last = [context.tree[path[: i + 1]] for i in range(len(path))]
    before = list(context.opening.prompt_token_ids)
    for node in earlier:
        before += carried(context, node, keep=0)
    keep = longest = max((len(result.text) for result in last.tool_results), default=0)
    while not fits(context, prompt := [*before, *carried(context, last, keep)]):
        if keep == 0:
            raise ContextTooLong(
                f"The attempt has come to {len(prompt)} tokens and the model reads "
                f"{context.agent.policy.context_length}; ask a narrower question, or start a new thread."
            )
        keep //= 2
    done = [f"tool results of the first {len(earlier)} steps left out"] if earlier else []
    done += [f"those of the last cut to {keep} characters"] if keep < longest else []
    return prompt, f"compacted: {', '.join(done)}"


def carried(context: RunContext, node: Node, keep: int | None = None) -> list[int]:
    """What the next prompt has beyond the node's own: its tokens and what follows; of one that broke off, nothing."""
    return [] if broke_off(node) else [*node.sample.token_ids, *appended(context, node, keep)]


def appended(context: RunContext, node: Node, keep: int | None = None) -> list[int]:
    """What follows a node's sampled tokens in the next prompt: a repair, or tool results of ``keep`` characters."""
    renderer = context.agent.policy.renderer
    if node.ending in REPAIRABLE:
        return renderer.user_turn(repair_text(node.ending), after=node.sample.token_ids)
    if node.ending is Ending.STEP:
        return []
    texts = [result.text if keep is None else cut(result.text, keep) for result in node.tool_results]
    return renderer.tool_results(texts, after=node.sample.token_ids)


def cut(text: str, keep: int) -> str:
    """At most ``keep`` characters and a line that says how many more there were; the text where that is no longer."""
    shorter = f"{text[:keep]}\n{CUT.format(count=len(text) - keep)}".lstrip("\n")
    return min(text, shorter, key=len)


def repair_text(ending: Ending) -> str:
    return (PROMPTS / f"repair_{ending.value}.txt").read_text().strip()
