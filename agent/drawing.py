"""One step is sampled, and logged: what stops it half way loses nothing that had arrived. ``react`` calls it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay, wait_random_exponential

from agent import events
from agent.context import RunContext, seed_of
from agent.policy.policy import Delta, PolicyError
from agent.policy.reading import Reading
from agent.prompting import prompt_for
from agent.records import FORM, Ending, Node, Path, Sample, SamplingParams
from agent.search.bridges import unthinking
from agent.state import AttemptState

PAUSE = (0.5, 15.0)  # seconds before a model is asked again: at most the first, doubling up to the second, at random


async def sample_node(context: RunContext, path: Path, state: AttemptState) -> Node:
    """Draw one step and log it. Whatever stops it half way, what had arrived is logged.

    Except where a sibling's failure ends the process's part of the run: a resume draws the step again. A model that
    fails before its first token, in a way that may pass, is asked again until the run's time is over.

    Raises:
        ContextTooLong: even the shortest form of the prompt leaves no room for an answer.
    """
    bridge = state["growth"]["bridge"] if state["steps"] == 0 else ""
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
        bridge = state["growth"]["bridge"] if state["steps"] == 0 else ""
        self.turn = turn_before(context, path, prompt, bridge)
        self.most = state["growth"]["most"] if state["steps"] == 0 else None  # tokens after which the search looks
        self.params = sampling_params(context, path, self.room(), stops(context, self.turn, state["growth"]["to"]))
        if bridge == FORM:
            self.params = replace(self.params, json_schema=context.run.supplied.json_schema)
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.splitter = context.agent.policy.renderer.splitter(self.turn)
        self.began = time.monotonic()

    def room(self) -> int:
        """Most tokens that it may have, by the model's context, the budget of the turn, and the search."""
        context = self.context.agent.policy.context_length - len(self.prompt)
        room = min(context, self.context.meter.budget.sample_tokens - len(self.turn))
        return room if self.most is None else min(room, self.most)

    async def finish(self) -> Sample | None:
        """The whole sample; None where the tokens or the seconds of the run are spent before its end."""
        try:
            async with asyncio.timeout(self.context.meter.seconds_left):
                return await self.follow()
        except TimeoutError:
            return None

    async def follow(self) -> Sample | None:
        sample: Sample | None = None
        self.context.meter.prompt_tokens += len(self.prompt)
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
        whole = read([*self.turn, *sample.token_ids])
        before = read(self.turn).thought if self.turn else ""
        return Node(
            path=self.path,
            sample=sample,
            ending=ending or ending_of(sample, whole, self),
            thought=whole.thought.removeprefix(before).strip(),
            text=whole.text,
            calls=whole.calls,
            note=note,
            bridge=bridge,
        )


def stopped_from_outside(finish_reason: str) -> str:
    return f"{finish_reason}: the sample was stopped from outside"


def turn_before(context: RunContext, path: Path, prompt: Sequence[int], bridge: str = "") -> list[int]:
    """What its turn has before it: a thought that was closed at once, or all since its prompt where it goes on."""
    if len(path) == 1:
        return list(prompt[len(context.opening.prompt_token_ids) :])
    if bridge == FORM:
        return unthinking(context.agent.policy.renderer)
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
        handed_over = any(drawing.context.agent.toolbox.is_callers(str(call["name"])) for call in reading.calls)
        return Ending.HANDED_OVER if handed_over else Ending.TOOL_CALL
    return Ending.ANSWER if reading.text else Ending.EMPTY
