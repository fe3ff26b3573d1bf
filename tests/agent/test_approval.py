"""A person's word on a call: before it is made, without haste, and never assumed."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent import approval, events
from agent.approval import Approval, Approver
from agent.context import Agent
from agent.records import Run
from agent.run import ask, stream
from tests.agent.scripted import call, forever, heard, how
from tools.tool import Tool, tool

Saying = Callable[..., Agent]
TURNS = {(0,): call("post", letter="Dear Ann")}


def letterbox() -> tuple[Tool, list[str]]:
    """A tool that asks first, and what was posted with it."""
    posted: list[str] = []

    @tool(asks=True)
    async def post(letter: str) -> str:
        """Post a letter."""
        posted.append(letter)
        return "posted"

    return post, posted


def says(*words: Approval) -> Approver:
    left = iter(words)

    async def answer(_: Run, __: events.ApprovalNeeded) -> Approval:
        return next(left)

    return answer


async def test_a_call_is_made_when_the_person_agrees(agent_saying: Saying) -> None:
    post, posted = letterbox()
    told = await heard(
        stream(agent_saying(TURNS, post), "Write to Ann.", replace(how(), approver=says(Approval(True))))
    )
    assert posted == ["Dear Ann"]
    kinds = [type(event).__name__ for event in told]
    assert kinds[kinds.index("ApprovalNeeded") :][:4] == [
        "ApprovalNeeded", "ApprovalGiven", "ToolStarted", "ToolFinished"
    ]  # fmt: skip
    [needed] = [event for event in told if isinstance(event, events.ApprovalNeeded)]
    assert (needed.name, needed.arguments, needed.why) == ("post", {"letter": "Dear Ann"}, approval.ASKS)


@pytest.mark.parametrize(
    ("approver", "reason"),
    [
        (says(Approval(False)), "the person who was asked declined it"),
        (says(Approval(False, "write to\x1b[2J Bo instead")), "write to\ufffd[2J Bo instead"),
        (None, approval.NOBODY),
    ],
)
async def test_a_call_that_nobody_agrees_to_is_not_made_and_the_model_reads_why(
    agent_saying: Saying, approver: Approver | None, reason: str
) -> None:
    post, posted = letterbox()
    run = await ask(agent_saying(TURNS, post), "Write to Ann.", replace(how(), approver=approver))
    assert posted == []
    [result] = run.nodes[0].tool_results
    assert result.error == f"{approval.ASKS} It was not made: {reason}."
    assert (run.status, run.answer) == ("finished", "Answer: 75")


async def test_nobody_answers_in_time(agent_saying: Saying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "PATIENCE", 0.05)
    post, posted = letterbox()
    run = await ask(agent_saying(TURNS, post), "Write.", replace(how(), approver=lambda *_: forever()))  # type: ignore[arg-type]
    assert posted == []
    assert approval.LATE in str(run.nodes[0].tool_results[0].error)


async def test_the_time_of_a_run_stands_still_while_a_person_thinks(agent_saying: Saying) -> None:
    post, posted = letterbox()

    async def slowly(_: Run, __: events.ApprovalNeeded) -> Approval:
        await asyncio.sleep(1.2)
        return Approval(True)

    began = time.monotonic()
    run = await ask(agent_saying(TURNS, post), "Write.", replace(how(seconds=1.0), approver=slowly))
    assert time.monotonic() - began > 1.2
    assert (posted, run.answer, run.error) == (["Dear Ann"], "Answer: 75", None)
    assert run.usage.seconds < 1


async def test_a_run_that_is_cancelled_while_it_waits_makes_no_call(agent_saying: Saying) -> None:
    post, posted = letterbox()
    agent = agent_saying(TURNS, post)
    asked = replace(how(), approver=lambda *_: forever())  # type: ignore[arg-type]
    told = stream(agent, "Write.", asked)
    async for event in told:
        if isinstance(event, events.ApprovalNeeded):
            break
    await told.aclose()
    [run] = agent.store.runs()
    assert (run.status, posted, agent.store.unfinished_tools(run.run_id)) == ("cancelled", [], [])


async def test_calls_that_wait_side_by_side_are_asked_about_one_by_one(agent_saying: Saying) -> None:
    post, posted = letterbox()
    turns = {(0,): "\n".join(call("post", letter=name) for name in ("Ann", "Bo", "Cy"))}

    async def not_bo(_: Run, needed: events.ApprovalNeeded) -> Approval:
        return Approval("Bo" not in str(needed.arguments))

    run = await ask(agent_saying(turns, post), "Write.", replace(how(), approver=not_bo))
    assert posted == ["Ann", "Cy"]
    assert [result.error is None for result in run.nodes[0].tool_results] == [True, False, True]


async def test_the_limit_on_calls_holds_for_those_that_waited_together(agent_saying: Saying) -> None:
    post, posted = letterbox()
    turns = {(0,): "\n".join(call("post", letter=str(i)) for i in range(4))}

    async def slowly(_: Run, __: events.ApprovalNeeded) -> Approval:
        await asyncio.sleep(0.1)
        return Approval(True)

    run = await ask(agent_saying(turns, post), "Write.", replace(how(tool_calls=2), approver=slowly))
    assert len(posted) == 2
    assert [result.error is None for result in run.nodes[0].tool_results].count(True) == 2
