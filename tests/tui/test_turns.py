"""A turn that grew event by event is the one that the log has."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent import events
from agent.context import Agent
from agent.run import stream
from agent.search.attempts import BestOfN, Single
from agent.search.strategy import Strategy
from tests.agent.conftest import agent_saying, agent_with, log, log_path, model_folder, renderer, saver
from tests.agent.scripted import call, heard, how
from tests.agent.test_approval import letterbox
from tui.turns import Turn

__all__ = ["agent_saying", "agent_with", "log", "log_path", "model_folder", "renderer", "saver"]

Saying = Callable[..., Agent]
THINKS = "<think>\nTwelve sevens.\n</think>\n\n"
TURNS = {(0,): THINKS + call("calculator", expression="12*7"), (1,): THINKS + "Answer: 85"}


@pytest.mark.parametrize("strategy", [Single(), BestOfN(n=3)])
async def test_events_grow_what_the_log_has(agent_saying: Saying, strategy: Strategy) -> None:
    turn = Turn("What is 12 * 7?")
    *growing, end = await heard(stream(agent_saying(TURNS), turn.question, how(strategy)))
    for event in growing:
        turn.take(event)
    assert isinstance(end, events.Finished)
    logged = Turn.of(end.run)
    assert [attempt.leaf for attempt in turn.attempts] == [attempt.leaf for attempt in logged.attempts]
    assert (turn.chosen, turn.question) == (logged.chosen, logged.question)
    for path, step in turn.steps.items():
        assert (step.thought.strip(), step.text.strip()) == (
            logged.steps[path].thought.strip(), logged.steps[path].text.strip()
        )  # fmt: skip
        assert step.cards == logged.steps[path].cards
    scores = {attempt.leaf: attempt.score for attempt in turn.attempts}
    turn.take(end)
    assert {attempt.leaf: attempt.score for attempt in turn.attempts} == scores
    assert turn.done


async def test_what_waits_for_a_word_waits_until_it_is_given(agent_saying: Saying) -> None:
    post, _ = letterbox()
    turn, waiting = Turn("Write."), list[int]()
    told = stream(agent_saying({(0,): call("post", letter="Dear Ann")}, post), turn.question, how())
    for event in await heard(told):
        turn.take(event)
        waiting.append(len(turn.waiting))
    assert sum(waiting) == 0  # there was nobody to ask
    needed = events.ApprovalNeeded((0,), 0, "post", {}, "Why.", id="a")
    turn.take(needed)
    turn.take(replace(needed, id="b"))
    turn.take(events.ApprovalGiven((0,), 0, True, "", "a"))
    assert list(turn.waiting) == ["b"]
