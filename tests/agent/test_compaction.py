"""A thread that is too long goes on from a summary: made once, in the log, and gone with what it sums up."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent import events
from agent.context import Agent
from agent.policy.renderer import Renderer
from agent.records import Run
from agent.run import ask, stream
from agent.store import RunFilter
from tests.agent.scripted import Say, ScriptedPolicy, forever, heard, how, spelled

LONG = "There are a great many of them in the river Orla. " * 4
ASKED = "Sum up our conversation"


@pytest.fixture
def talking(agent_with: Callable[..., Agent], renderer: Renderer) -> Callable[..., Agent]:
    """An agent that answers at length, and sums up with ``summary``."""

    def make(summary: Say | str = "They spoke of the Orla.", context_length: int = 2048) -> Agent:
        def said(prompt: Any, _: Any) -> Say | str:
            text = str(renderer.tokenizer.decode(list(prompt)))
            return summary if ASKED in text.rpartition("<|im_start|>user")[2] else LONG

        return replace(agent_with(ScriptedPolicy(renderer, said, context_length)), summaries=True)

    return make


async def talk(agent: Agent, questions: int, thread: str | None = None, first: int = 0) -> list[Run]:
    runs = []
    for i in range(first, first + questions):
        runs.append(await ask(agent, f"Question {i}?", replace(how(), thread_id=thread)))
        thread = runs[-1].thread_id
    return runs


def summaries(agent: Agent) -> list[Run]:
    return agent.store.runs(RunFilter(summaries=True))


def read(agent: Agent, run: Run) -> str:
    return spelled(agent, agent.store.run(run.run_id).nodes[0].sample.prompt_token_ids)


async def test_the_beginning_of_a_long_thread_is_there_as_its_summary(talking: Callable[..., Agent]) -> None:
    agent = talking()
    runs = await talk(agent, 12)
    made = summaries(agent)
    prompt = read(agent, runs[-1])
    covered = made[0].metadata["summary_of"]
    assert covered == [run.run_id for run in runs[: len(covered)]]
    assert "They spoke of the Orla." in prompt
    assert [i for i in range(12) if f"Question {i}?" in prompt] == [*range(len(covered), 12)]
    count, note = len(covered), runs[-1].nodes[0].note
    assert note == f"compacted: the first {count} questions of the thread summed up in run {made[0].run_id}"
    assert all(len(run.nodes[0].sample.prompt_token_ids) <= 1024 for run in runs)


async def test_a_summary_is_made_once_and_then_summed_up_itself(talking: Callable[..., Agent]) -> None:
    agent = talking()
    runs = await talk(agent, 20)
    made = summaries(agent)[::-1]
    assert 1 < len(made) < 7
    covers = [made_of.metadata["summary_of"] for made_of in made]
    assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(covers))
    assert "They spoke of the Orla." in read(agent, made[-1])
    assert [run.run_id for run in agent.store.before(runs[-1])] == [run.run_id for run in runs[-2::-1]]


async def test_whoever_listens_hears_that_it_was_made(talking: Callable[..., Agent]) -> None:
    agent = talking()
    thread, told = "ours", []
    while not summaries(agent):
        told += await heard(stream(agent, "Question?", replace(how(), thread_id=thread)))
    told += await heard(stream(agent, "Question?", replace(how(), thread_id=thread)))
    [made] = [event for event in told if isinstance(event, events.ThreadSummarised)]
    [summary] = summaries(agent)
    assert (made.run_id, made.questions) == (summary.run_id, len(summary.metadata["summary_of"]))


async def test_where_nothing_comes_of_it_the_beginning_is_left_out(talking: Callable[..., Agent]) -> None:
    agent = talking(Say(fails="No."))
    runs = await talk(agent, 10)
    assert runs[-1].status == "finished"
    assert runs[-1].nodes[0].note.endswith("questions of the thread left out")


async def test_it_is_made_without_tools_at_the_cost_of_whoever_asked(talking: Callable[..., Agent]) -> None:
    agent = talking()
    asked = replace(how(), metadata={"key": "shop", "train": "no", "task_id": "t"})
    thread = None
    for i in range(12):
        thread = (await ask(agent, f"Question {i}?", replace(asked, thread_id=thread))).thread_id
    made = summaries(agent)[0]
    assert {name: made.metadata.get(name) for name in ("key", "train", "task_id")} == {
        "key": "shop", "train": "no", "task_id": None
    }  # fmt: skip
    assert "calculator" not in read(agent, made)
    [used] = agent.store.spending.since("2000-01-01")
    assert used.runs == 12 + len(summaries(agent))


async def test_what_is_deleted_is_gone_from_summaries_too(talking: Callable[..., Agent]) -> None:
    agent = talking()
    runs = await talk(agent, 12)
    fork = agent.store.threads.fork(runs[0].thread_id)
    await talk(agent, 8, fork.thread_id, first=12)
    assert any(made.thread_id == fork.thread_id for made in summaries(agent))
    first = summaries(agent)[-1].metadata["summary_of"][0]
    agent.store.delete(RunFilter(run_id=first))
    assert summaries(agent) == []
    assert agent.store.runs(RunFilter(thread_id=fork.thread_id))


async def test_a_fork_goes_on_from_the_summary_of_what_it_has(talking: Callable[..., Agent]) -> None:
    agent = talking()
    runs = await talk(agent, 10)
    early = agent.store.threads.fork(runs[0].thread_id, runs[0].started_at)
    late = agent.store.threads.fork(runs[0].thread_id)
    before = summaries(agent)
    assert "They spoke" not in read(agent, (await talk(agent, 1, early.thread_id))[0])
    assert "They spoke" in read(agent, (await talk(agent, 1, late.thread_id))[0])
    assert summaries(agent) == before


async def test_a_question_that_is_cancelled_while_the_thread_is_summed_up_leaves_nothing_behind(
    talking: Callable[..., Agent],
) -> None:
    agent = talking(Say("They spoke", after=2, wait=forever))
    thread = (await talk(agent, 8))[-1].thread_id

    async def given_up() -> None:
        await ask(agent, "Question?", replace(how(), thread_id=thread))

    task = asyncio.create_task(given_up())
    async with asyncio.timeout(20):
        while not agent.store.runs(RunFilter(status="running", summaries=True)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert agent.store.runs(RunFilter(status="running")) == []
    assert [run.status for run in agent.store.runs(limit=2)] == ["cancelled", "cancelled"]


async def test_a_thread_with_a_turn_that_is_longer_than_what_is_read_at_once_goes_on(
    talking: Callable[..., Agent],
) -> None:
    agent = talking()
    thread = (await ask(agent, "What? " * 60, how())).thread_id
    runs = await talk(agent, 6, thread)
    assert [run.status for run in runs] == ["finished"] * 6


async def test_deleting_what_is_being_summed_up_leaves_the_question_to_be_answered(
    talking: Callable[..., Agent],
) -> None:
    go = asyncio.Event()
    agent = talking(Say("They spoke", after=2, wait=go.wait))
    runs = await talk(agent, 8)
    asking = asyncio.create_task(ask(agent, "Question?", replace(how(), thread_id=runs[0].thread_id)))
    async with asyncio.timeout(20):
        while not agent.store.runs(RunFilter(status="running", summaries=True)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    agent.store.delete(RunFilter(run_id=runs[0].run_id))
    go.set()
    run = await asking
    assert (run.status, run.error) == ("finished", None)
    assert agent.store.runs(RunFilter(status="running")) == []
    assert all(runs[0].run_id not in made.metadata["summary_of"] for made in summaries(agent))
