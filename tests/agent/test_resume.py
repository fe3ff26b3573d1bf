"""Resume: whatever moment a process is killed at, what it had logged stays, once, and the run comes to its end."""

import multiprocessing
import random
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from agent import events
from agent.approval import INTERRUPTED, NOBODY
from agent.assemble import assemble
from agent.context import Agent
from agent.errors import NotInLog, QuestionError
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.policy import Delta, OtherVersion
from agent.records import PolicyVersion, Run, Sample, SamplingParams
from agent.run import ask, resume, seconds_spent
from agent.search.attempts import AdaptiveBestOfN, BestOfN
from agent.settings import Settings
from agent.store import RunFilter, Store
from agent.system_prompt import SystemPrompt
from tests.agent.killed import ASKED, QUESTION, go_on
from tests.agent.logs import RUN, node, sample
from tests.agent.scripted import Say, ScriptedPolicy, assert_chained, by_place, call, heard, how, model_of
from tools.tool import ToolResult, tool

Saying = Callable[..., Agent]
Photograph = Callable[[], AbstractContextManager[Store]]


async def resumed(agent: Agent, run_id: str) -> Run:
    end = (await heard(resume(agent, run_id)))[-1]
    assert isinstance(end, events.Finished)
    return end.run


def left_behind(store: Store) -> str:
    """The run that is under way."""
    (run,) = store.runs(RunFilter(status="running"))
    return run.run_id


def copy(database: Path, to: Path) -> Path:
    """The file as a process that was killed now would leave it."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


def lasting(run: Run) -> Run:
    """Without what differs between a run that was resumed and one that was not: its name and its times."""
    nodes = tuple(
        replace(
            node,
            sample=replace(node.sample, total_seconds=0.0),
            tool_results=tuple(replace(result, seconds=0.0) for result in node.tool_results),
        )
        for node in run.nodes
    )
    return replace(run, run_id="", thread_id="", started_at="", nodes=nodes, usage=replace(run.usage, seconds=0.0))


# --- refused ----------------------------------------------------------------------------------------------------------


async def test_a_run_that_is_over_is_not_resumed(agent_saying: Saying) -> None:
    agent = agent_saying({})
    run = await ask(agent, QUESTION, how())
    with pytest.raises(QuestionError, match=f"Run {run.run_id} is finished, .*`ponder log show {run.run_id}` shows"):
        await resumed(agent, run.run_id)


async def test_a_run_that_nobody_knows_is_not_resumed(agent_saying: Saying) -> None:
    with pytest.raises(NotInLog, match="no run nobody in the log"):
        await resumed(agent_saying({}), "nobody")


async def test_a_run_is_not_resumed_by_another_model(agent_saying: Saying, log: Store) -> None:
    log.begin(replace(RUN, policy=PolicyVersion("Qwen3-8B")))
    with pytest.raises(OtherVersion, match="was begun by Qwen3-8B@base and this is scripted@1; start that model"):
        await resumed(agent_saying({}), RUN.run_id)


# --- from every moment ------------------------------------------------------------------------------------------------

TURNS = {
    **{(i,): call("calculator", expression=f"{i}+70") for i in range(6)},
    (0, 0): "<think>\nunclosed",
    (1, 0): "Answer: 71",
    (2, 0): "",
    (3, 0): "Answer: 75",
}
STRATEGIES = [BestOfN(4), AdaptiveBestOfN(n=6, wave=2)]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("with_checkpoints", [True, False])
@pytest.mark.parametrize("moment", range(0, 10, 3))
async def test_a_run_comes_to_the_same_end_from_any_moment_without_sampling_anything_again(
    agent_saying: Saying, tmp_path: Path, log_path: Path, strategy: BestOfN, with_checkpoints: bool, moment: int
) -> None:
    """The model's ``moment``-th call photographs the disk; a fresh process with that disk goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    agent = agent_saying(TURNS)
    script = model_of(agent).script

    def photographing(prompt: Sequence[int], params: SamplingParams) -> Say | str:
        if len(model_of(agent).prompts) == moment + 1:
            copy(log_path, disk / "log")
            copy(tmp_path / "checkpoints.sqlite", disk / "checkpoints")
        return script(prompt, params)

    model_of(agent).script = photographing
    whole = await ask(agent, QUESTION, how(strategy))
    if not with_checkpoints:
        (disk / "checkpoints").unlink()
    model = ScriptedPolicy(agent.policy.renderer, by_place(TURNS))
    with Store.open(disk / "log") as store:
        async with AsyncSqliteSaver.from_conn_string(str(disk / "checkpoints")) as saver:
            known = store.run(left_behind(store)).nodes
            run = await resumed(replace(agent, policy=model, store=store, checkpointer=saver), left_behind(store))
    assert lasting(run) == lasting(whole)
    assert {node.path: node.sample for node in run.nodes}.items() >= {node.path: node.sample for node in known}.items()
    assert len(model.prompts) == len(run.nodes) - len(known)
    assert_chained(run)


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_tool_that_was_interrupted_is_called_again_only_where_that_does_no_harm(
    agent_saying: Saying, tmp_path: Path, log_path: Path, idempotent: bool
) -> None:
    sent = []

    @tool(idempotent=idempotent)
    async def send(to: str) -> str:
        """Send a letter."""
        sent.append(to)
        if len(sent) == 1:
            copy(log_path, tmp_path / "killed")
        return f"sent to {to}"

    agent = agent_saying({(0,): call("send", to="Tom")}, send)
    await ask(agent, QUESTION, how())
    with Store.open(tmp_path / "killed") as store:
        run = await resumed(replace(agent, store=store, checkpointer=None), left_behind(store))
    (result,) = run.nodes[0].tool_results
    if idempotent:
        assert (sent, result.output) == (["Tom", "Tom"], "sent to Tom")
    else:
        assert sent == ["Tom"]
        assert result.error == f"{INTERRUPTED} It was not made: {NOBODY}."
    assert run.answer == "Answer: 75"


# --- what is spent is spent -------------------------------------------------------------------------------------------


def test_the_seconds_of_a_resumed_run_are_those_of_its_longest_attempt() -> None:
    def step(path: tuple[int, ...], sampling: float, *calling: float) -> object:
        results = tuple(ToolResult("t", {}, "", seconds=seconds) for seconds in calling)
        return replace(node(path), sample=replace(sample(), total_seconds=sampling), tool_results=results)

    run = replace(RUN, nodes=(step((0,), 2.0, 1.0, 3.0), step((0, 0), 2.0), step((1,), 6.0)))  # type: ignore[arg-type]
    assert seconds_spent(run) == 7.0
    assert seconds_spent(RUN) == 0.0


async def test_a_resumed_run_has_no_more_tokens_than_it_had(agent_saying: Saying, log: Store) -> None:
    agent = agent_saying({})
    effort = how(BestOfN(3), tokens=10)
    started = replace(RUN, policy=agent.policy.version, settings=(await ask(agent, QUESTION, effort)).settings)
    log.begin(started)
    log.add_node(RUN.run_id, node((0,), replace(sample(tokens=tuple(range(1, 11))), policy=agent.policy.version)))
    before = len(model_of(agent).prompts)
    run = await resumed(agent, RUN.run_id)
    assert len(model_of(agent).prompts) == before
    assert (run.status, run.answer) == ("finished", "Answer: 75")
    assert run.error == "The budget of 10 tokens ran out; this is the best answer so far."


async def test_an_attempt_that_begins_after_a_resume_reads_what_its_siblings_read(
    agent_saying: Saying, log: Store
) -> None:
    """Whatever has become of the thread and of the tools in the meantime: the attempts are one group."""
    agent = agent_saying({})
    first = await ask(agent, QUESTION, how(BestOfN(2)))
    log.begin(replace(first, run_id="killed", nodes=(), status="running"))
    log.add_node("killed", first.nodes[0])
    changed = replace(agent, system_prompt=SystemPrompt("other", "You are somebody else."))
    run = await resumed(changed, "killed")
    assert run.nodes[1].sample == first.nodes[1].sample


async def test_a_run_of_which_nothing_was_sampled_goes_on_under_its_own_prompt_only(
    agent_saying: Saying, log: Store
) -> None:
    agent = agent_saying({})
    first = await ask(agent, QUESTION, how(BestOfN(1)))
    log.begin(replace(first, run_id="killed", nodes=(), status="running"))
    changed = replace(agent, system_prompt=SystemPrompt("other", "You are somebody else."))
    with pytest.raises(QuestionError, match=rf"began under the prompt {agent.system_prompt}; set PONDER_PROMPT"):
        await resumed(changed, "killed")
    assert (await resumed(agent, "killed")).nodes[0].sample.prompt_token_ids == first.nodes[0].sample.prompt_token_ids


# --- kill -9 ----------------------------------------------------------------------------------------------------------


class Counting(EmbeddedPolicy):
    """Counts what it is asked for."""

    asked = 0

    def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        self.asked += 1
        return super().stream(prompt_token_ids, params, n)


def rows_of(home: Path) -> dict[str, tuple[object, ...]]:
    """What is logged of each node, by its path; nothing where there is no log yet."""
    try:
        with closing(sqlite3.connect(f"file:{home / 'log.sqlite'}?mode=ro", uri=True, timeout=10)) as db:
            rows = db.execute(
                "SELECT path, id, token_ids, logprobs, params, total_seconds, ending FROM nodes"
            ).fetchall()
    except sqlite3.OperationalError:
        return {}
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}


def kill_somewhere(home: Path, model_folder: Path, moments: random.Random) -> None:
    """Let a process go on until it has logged up to two more nodes, and a little further, and kill it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.agent.killed"])
    process = context.Process(target=go_on, args=(home, model_folder))
    process.start()
    enough = len(rows_of(home)) + moments.randrange(3)
    while len(rows_of(home)) < enough and process.is_alive():
        time.sleep(0.002)
    process.join(moments.random() / 10)
    process.kill()
    process.join()


@pytest.mark.timeout(300)
async def test_a_best_of_8_that_is_killed_again_and_again_is_finished_with_nothing_lost_or_doubled(
    tmp_path: Path, model_folder: Path
) -> None:
    home, moments = tmp_path / "home", random.Random(5)
    known: dict[str, tuple[object, ...]] = {}
    for _ in range(5):
        kill_somewhere(home, model_folder, moments)
        rows = rows_of(home)
        assert rows.items() >= known.items()
        known = rows
    counting = Counting.load(model_folder)
    assert isinstance(counting, Counting)
    async with assemble(Settings(home=home, model=str(model_folder))) as agent:
        (left,) = agent.store.runs()
        finished = left.status == "finished"  # where the last process was quicker than the axe
        run = agent.store.run(left.run_id) if finished else await resumed(replace(agent, policy=counting), left.run_id)
        whole = await ask(agent, QUESTION, ASKED)
    await counting.close()
    assert run.status == "finished"
    assert_chained(run)
    assert counting.asked == len(run.nodes) - len(known)
    assert {node.path: node.sample.token_ids for node in run.nodes} == {
        node.path: node.sample.token_ids for node in whole.nodes
    }
    assert (run.chosen, run.answer) == (whole.chosen, whole.answer)
    with closing(sqlite3.connect(home / "log.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
