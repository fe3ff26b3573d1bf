"""The door: what is asked is answered or refused by name, a thread goes on, and a cancel keeps what there was."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from agent import events
from agent.context import Agent
from agent.effort import EFFORTS
from agent.ending import whole_part
from agent.errors import QuestionError, StoreFull
from agent.policy.embedded import EmbeddedPolicy
from agent.records import Ending, Node, Run
from agent.run import Ask, ask, resume, stream
from agent.search.attempts import BestOfN
from agent.store import RunFilter, Store
from tests.agent.scripted import ROOT_SEED, Say, call, forever, heard, how, model_of, spelled
from tools.tool import tool

Saying = Callable[..., Agent]
QUESTION = "How many pens?"


def read_by_model(agent: Agent) -> str:
    """Its last prompt."""
    return spelled(agent, model_of(agent).prompts[-1])


def tokens_by_place(run: Run) -> dict[tuple[int, ...], tuple[int, ...]]:
    return {node.path: node.sample.token_ids for node in run.nodes}


async def checkpoints(saver: AsyncSqliteSaver) -> int:
    async with saver.conn.execute("SELECT (SELECT count(*) FROM checkpoints) + (SELECT count(*) FROM writes)") as rows:
        return (await rows.fetchall())[0][0]  # type: ignore[index]


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("", "The question is empty; write what you want to know."),
        (" \n\t", "The question is empty; write what you want to know."),
        ("a" * 2**20, "The question takes 1048576 characters and the model reads 4096 tokens; ask a shorter one."),
        ("how many pens " * 1000, r"The question takes \d+ tokens and the model reads 4096 tokens; ask a shorter one."),
    ],
    ids=["empty", "blank", "1 MB", "longer than the context"],
)
async def test_a_question_that_cannot_be_asked_is_refused_before_anything_is_logged(
    agent_saying: Saying, log: Store, question: str, sentence: str
) -> None:
    with pytest.raises(QuestionError, match=f"^{sentence}$"):
        await ask(agent_saying({}), question, how())
    assert log.runs() == []


async def test_a_run_says_how_it_was_asked(agent_saying: Saying, log: Store) -> None:
    run = await ask(agent_saying({}), QUESTION, Ask(EFFORTS["medium"], seed=5, metadata={"task_id": "pens/1"}))
    assert (run.question, run.effort, run.root_seed) == (QUESTION, "medium", 5)
    assert run.metadata == {"task_id": "pens/1"}
    assert run.settings["budget"]["tokens"] == 10 * agent_saying({}).policy.context_length
    assert run == log.run(run.run_id)


async def test_nothing_of_a_finished_run_is_left_among_the_checkpoints(
    agent_saying: Saying, saver: AsyncSqliteSaver
) -> None:
    await ask(agent_saying({}), QUESTION, how(BestOfN(2)))
    await ask(agent_saying({(0,): Say(fails="No.")}), QUESTION, how())
    assert await checkpoints(saver) == 0


# --- chance -----------------------------------------------------------------------------------------------------------


async def test_the_same_seed_gives_the_same_run(agent_with: Saying, policy: EmbeddedPolicy) -> None:
    asked = how(BestOfN(3), sample_tokens=40)
    agent = agent_with(policy)
    first, again = [await ask(agent, QUESTION, asked) for _ in range(2)]
    assert tokens_by_place(first) == tokens_by_place(again)
    assert (first.chosen, first.answer) == (again.chosen, again.answer)
    other = await ask(agent, QUESTION, replace(asked, seed=ROOT_SEED + 1))
    assert tokens_by_place(other).keys() & {(0,)}
    assert tokens_by_place(other)[(0,)] != tokens_by_place(first)[(0,)]


async def test_attempt_three_is_the_same_whether_4_or_16_are_made(agent_with: Saying, policy: EmbeddedPolicy) -> None:
    agent = agent_with(policy)
    four, sixteen = [await ask(agent, QUESTION, how(BestOfN(n), sample_tokens=40)) for n in (4, 16)]
    drawn = tokens_by_place(sixteen)
    assert tokens_by_place(four).items() <= drawn.items()
    assert len({drawn[(i,)] for i in range(16)}) == 16


# --- threads ----------------------------------------------------------------------------------------------------------


async def test_what_a_thread_has_said_stands_before_the_next_question(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): "<think>\nHm.\n</think>\n\nAnswer: 12"})
    first = await ask(agent, "How many boxes?", how())
    await ask(agent, "Something else?", how())
    await ask(agent, "And pens?", replace(how(), thread_id=first.thread_id))
    assert read_by_model(agent).endswith(
        "<|im_start|>user\nHow many boxes?<|im_end|>\n<|im_start|>assistant\nAnswer: 12<|im_end|>\n"
        "<|im_start|>user\nAnd pens?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert "Something else?" not in read_by_model(agent)


async def test_a_question_that_failed_is_not_in_the_thread(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): Say(fails="No.")})
    failed = await ask(agent, "How many boxes?", how())
    await ask(agent, "And pens?", replace(how(), thread_id=failed.thread_id))
    assert "boxes" not in read_by_model(agent)


async def test_a_thread_that_is_too_long_loses_its_beginning_and_the_run_says_so(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): "There are a great many of them in the river Orla. " * 4}, context_length=1024)
    thread = (await ask(agent, "Question 0?", how())).thread_id
    runs = [await ask(agent, f"Question {i}?", replace(how(), thread_id=thread)) for i in range(1, 8)]
    assert runs[0].nodes[0].note == ""
    assert runs[-1].nodes[0].note == "compacted: the first 5 questions of the thread left out"
    prompt = read_by_model(agent)
    assert [i for i in range(8) if f"Question {i}?" in prompt] == [5, 6, 7]
    assert all(len(run.nodes[0].sample.prompt_token_ids) <= 512 for run in runs)


# --- cancelling -------------------------------------------------------------------------------------------------------


async def until(kind: type[events.Event], agent: Agent, asked: Ask) -> None:
    """Ask, listen until the first event of that kind, and go away."""
    async with aclosing(stream(agent, QUESTION, asked)) as told:
        async for event in told:
            if isinstance(event, kind):
                return


async def test_going_away_in_the_middle_of_an_answer_keeps_what_was_said(
    agent_saying: Saying, log: Store, saver: AsyncSqliteSaver
) -> None:
    agent = agent_saying({(i,): Say("There are, I would say, 75", after=9, wait=forever) for i in range(2)})
    await until(events.AnswerDelta, agent, how(BestOfN(2)))
    (logged,) = log.runs()
    run = log.run(logged.run_id)
    assert (run.status, run.error, run.answer) == ("cancelled", "The run was cancelled.", None)
    assert [node.ending for node in run.nodes] == [Ending.CANCELLED] * len(run.nodes)
    for node in run.nodes:
        assert "There are, I would say, 75".startswith(node.text)
        assert len(node.sample.logprobs) == len(node.sample.token_ids) > 0
        assert node.sample.not_trainable is not None
    assert run.usage.sampled_tokens == sum(len(node.sample.token_ids) for node in run.nodes)
    assert model_of(agent).broken_off == len(model_of(agent).prompts)
    assert await checkpoints(saver) == 0


async def test_a_thread_can_be_asked_again_after_a_cancel(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): Say("Hm", wait=forever)})
    await until(events.RunStarted, agent, replace(how(), thread_id="ours"))
    model_of(agent).script = lambda prompt, params: "Answer: 75"
    run = await ask(agent, "And now?", replace(how(), thread_id="ours"))
    assert run.answer == "Answer: 75"
    assert QUESTION not in read_by_model(agent)


async def test_going_away_stops_the_embedded_model(agent_with: Saying, policy: EmbeddedPolicy, log: Store) -> None:
    agent = agent_with(policy)
    await until(events.AnswerDelta, agent, how(sample_tokens=600))
    run = log.run(log.runs()[0].run_id)
    assert [node.ending for node in run.nodes] == [Ending.CANCELLED]
    assert 0 < len(run.nodes[0].sample.token_ids) < 600
    assert (await ask(agent, QUESTION, how(sample_tokens=5))).usage.sampled_tokens == 5


async def test_going_away_stops_the_tools(agent_saying: Saying, log: Store) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> str:
        """Wait."""
        started.set()
        try:
            await forever()
        finally:
            stopped.set()
        return ""

    async with aclosing(stream(agent_saying({(0,): call("wait")}, wait), QUESTION, how())) as told:
        async for event in told:
            if isinstance(event, events.ToolStarted):
                await started.wait()
                break
    assert stopped.is_set()
    (run,) = log.runs()
    assert run.status == "cancelled"
    assert [call.name for call in log.unfinished_tools(run.run_id)] == ["wait"]


async def test_cancelling_who_asks_cancels_the_run(agent_saying: Saying, log: Store) -> None:
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await forever()

    asking = asyncio.create_task(ask(agent_saying({(0,): Say("Answer: 75", after=3, wait=hang)}), QUESTION, how()))
    await reached.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert log.runs()[0].status == "cancelled"


# --- what goes wrong --------------------------------------------------------------------------------------------------


async def test_a_model_that_is_cut_off_in_the_middle_keeps_what_had_arrived(
    agent_with: Saying, policy: EmbeddedPolicy
) -> None:
    agent = agent_with(policy)
    told = stream(agent, QUESTION, how(sample_tokens=900))
    async for event in told:
        if isinstance(event, events.AnswerDelta):
            await policy.close()
            break
    end = (await heard(told))[-1]
    assert isinstance(end, events.Finished)
    assert [node.ending for node in end.run.nodes] == [Ending.CANCELLED]
    assert end.run.status == "failed"


async def test_a_defect_ends_the_run_and_says_what_it_was(agent_saying: Saying, log: Store) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError("a wheel came off")

    agent = agent_saying({})
    model_of(agent).script = broken
    run = await ask(agent, QUESTION, how())
    assert run.status == log.runs()[0].status == "failed"
    assert run.error == "Something went wrong inside (ZeroDivisionError: a wheel came off); please report it."


async def test_what_a_failing_log_cut_short_is_drawn_again(agent_saying: Saying, log: Store) -> None:
    """One attempt's step cannot be logged; its siblings are cancelled in the middle of theirs."""
    agent = agent_saying({(i,): f"Answer: {i} " + "so it is " * 60 * i for i in range(3)})
    full, add_node = StoreFull("no room"), log.add_node

    def fails(run_id: str, node: Node) -> Node:
        raise full

    log.add_node = fails
    with pytest.raises(StoreFull):
        await ask(agent, QUESTION, how(BestOfN(3), sample_tokens=3000))
    log.add_node = add_node
    (left,) = log.runs(RunFilter(status="running"))
    end = (await heard(resume(agent, left.run_id)))[-1]
    assert isinstance(end, events.Finished)
    assert [node.ending for node in end.run.nodes] == [Ending.ANSWER] * 3


async def test_a_full_disk_leaves_a_run_that_can_be_resumed(agent_saying: Saying, log: Store) -> None:
    turns = {(0,): call("calculator", expression="12*7"), (0, 0): "Answer: 84 " + "so it is " * 2000}
    agent = agent_saying(turns, context_length=40_000)
    disk = log._database._connection
    disk.execute(f"PRAGMA max_page_count = {disk.execute('PRAGMA page_count').fetchone()[0] + 2}")
    with pytest.raises(StoreFull, match="free some space, then `ponder resume` the run"):
        await ask(agent, QUESTION, how(sample_tokens=30_000))
    disk.execute("PRAGMA max_page_count = 100000")
    (left,) = log.runs(RunFilter(status="running"))
    end = (await heard(resume(agent, left.run_id)))[-1]
    assert isinstance(end, events.Finished)
    assert end.run.status == "finished"


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        ("Answer: 7", ""),
        ("It is so.\n\nAnswer: 7", "It is so."),
        ("It is so.\nAnswer: 75\n", "It is so.\nAnswer: 75"),
        ("Tom had 84 pens, and th", "Tom had 84 pens, and"),
        ("8", ""),
        ("", ""),
    ],
)
def test_of_a_text_that_breaks_off_whole_words_are_given_and_no_half_result(cut: str, whole: str) -> None:
    assert whole_part(cut) == whole
