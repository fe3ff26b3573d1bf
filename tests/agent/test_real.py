"""Whole runs of the shipped miniature: in this process, and behind a real vLLM."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from agent import events
from agent.context import Agent
from agent.policy.policy import Policy
from agent.records import Ending, group_key
from agent.replay import replay
from agent.run import Ask, ask, stream
from agent.search.attempts import BestOfN
from agent.store import RunFilter
from agent.system_prompt import open_prompt
from tests.agent.policy.real import embedded, real, served, waits_for_vllm
from tests.agent.scripted import assert_chained, heard, how

__all__ = ["embedded", "real", "served"]
pytestmark = waits_for_vllm
QUESTION = "Tom has 12 boxes with 7 pens in each and gives away 9 pens. How many pens does Tom have now?"
With = Callable[..., Agent]


def asked_well(agent: Agent) -> Agent:
    """With the system prompt that the miniature knows."""
    return replace(agent, system_prompt=open_prompt())


def few(n: int, **budget: float) -> Ask:
    """``n`` attempts at a temperature at which the miniature mostly knows what it says."""
    asking = how(BestOfN(n), **budget)
    return replace(asking, effort=replace(asking.effort, temperature=0.3))


async def test_a_question_is_answered_with_a_tool_and_every_token_is_logged(agent_with: With, real: Policy) -> None:
    agent = asked_well(agent_with(real))
    told = await heard(stream(agent, QUESTION, few(2)))
    last = told[-1]
    assert isinstance(last, events.Finished)
    run = last.run
    assert (run.status, run.policy) == ("finished", real.version)
    assert "75" in (run.answer or "")
    assert any(node.ending is Ending.TOOL_CALL and node.tool_results for node in run.nodes)
    assert_chained(run)
    for node in run.nodes:
        assert node.sample.not_trainable is None
        assert len(node.sample.logprobs) == len(node.sample.token_ids)
    assert run.usage.sampled_tokens == sum(len(node.sample.token_ids) for node in run.nodes)
    assert 0 < run.usage.thought_tokens < run.usage.sampled_tokens
    assert agent.store.run(run.run_id) == run


async def test_attempts_are_a_group_and_the_same_in_any_company(agent_with: With, real: Policy) -> None:
    agent = asked_well(agent_with(real))
    two, four = [await ask(agent, QUESTION, few(n)) for n in (2, 4)]
    drawn = {node.path: node.sample.token_ids for node in four.nodes}
    assert {node.path: drawn.get(node.path) for node in two.nodes} == {n.path: n.sample.token_ids for n in two.nodes}
    assert len({group_key(node) for node in four.nodes if len(node.path) == 1}) == 1


async def test_a_run_is_sampled_again_as_it_was(agent_with: With, real: Policy) -> None:
    run = await ask(asked_well(agent_with(real)), QUESTION, few(2))
    assert (await replay(real, run)).sentence == "identical"


async def test_a_run_that_is_left_keeps_what_had_come_and_none_of_it_is_trained_on(
    agent_with: With, real: Policy
) -> None:
    agent = asked_well(agent_with(real))
    async with aclosing(stream(agent, QUESTION, few(3))) as told:
        async for event in told:
            if isinstance(event, events.ThoughtDelta | events.AnswerDelta):
                break
    [run] = agent.store.runs(RunFilter())
    run = agent.store.run(run.run_id)
    assert run.status == "cancelled"
    assert any(node.sample.token_ids for node in run.nodes)
    for node in run.nodes:  # some may have ended before it was left
        cut = node.ending is Ending.CANCELLED
        assert (node.sample.finish_reason == "cancelled") == cut
        assert (node.sample.not_trainable is not None) == cut


async def test_runs_side_by_side_do_not_mix(agent_with: With, real: Policy) -> None:
    agent = asked_well(agent_with(real))
    questions = [f"What is {i} * 7?" for i in range(11, 19)]
    runs = await asyncio.gather(*(ask(agent, question, few(1)) for question in questions))
    assert [str(i * 7) in (run.answer or "") for i, run in zip(range(11, 19), runs, strict=True)] == [True] * 8
