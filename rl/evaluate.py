"""How well an agent answers held-out questions, and what that costs. ``ponder eval`` calls it.

Two ways to look: ``evaluate_live`` asks as a user would, with an effort or a strategy; ``evaluate_pool`` draws N
independent attempts a question once and reports every way of choosing among them. A run that the log has already, of
the same question, seed, settings, tools and weights, is not made again: what was interrupted goes on where it was.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.budget import Budget, Meter
from agent.context import Agent
from agent.effort import EFFORTS, Effort
from agent.errors import PonderError, QuestionError
from agent.records import Ending, Run
from agent.run import Ask, ask, carried_out, settings_of
from agent.search.attempts import AdaptiveBestOfN, BestOfN
from agent.store import RunFilter
from retrieval.encoder import Encoder
from retrieval.retriever import Retriever
from rl import perturb, pools
from rl.grade import graded
from rl.pools import Pool, Way, pool_of
from rl.results import Outcome, Result
from rl.tasks import handwritten
from rl.tasks.lookup import PASSAGES
from rl.tasks.redraw import Change
from rl.tasks.suite import FAMILIES, generate
from rl.tasks.task import Split, Task, digest
from tools.search import search_tool
from tools.toolbox import Toolbox

SEARCHED = 20  # times the questions that are wanted are looked through for those that can be perturbed
Report = Callable[[], None]  # called after each question


class EvaluationError(PonderError):
    """The model could not be asked: a share of right answers would say nothing of it."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Questions of one family and tier."""

    family: str
    tier: int
    tasks: Sequence[Task]


@dataclass(frozen=True, slots=True)
class Harness:
    """Who is asked, and how many questions at a time."""

    agent: Agent
    encoder: Encoder | None  # for the documents of lookup questions; None: BM25 alone
    concurrent: int = 16
    reference_share: float = 0.0  # of adaptive runs, drawn with fixed N; an evaluation measures the strategy as it is


def suite_of(family: str, tier: int, questions: int, seed: int, split: Split = "held_out") -> Suite:
    """Generated questions of a family and tier; of ``handwritten``, all that there are."""
    if family == "handwritten":
        return Suite(family, tier, handwritten.tasks())
    return Suite(family, tier, [generate(family, tier, split, seed, index) for index in range(questions)])


def versions_of(suite: Suite, questions: int, seed: int, split: Split, ways: Sequence[Change]) -> dict[str, Suite]:
    """The suite as it is and perturbed in each way, of questions that can be. Raises ``CannotPerturb``.

    Of a generated one, as many more questions are looked through as that takes.
    """
    family, tier, tasks = suite.family, suite.tier, suite.tasks
    if all(task.family in FAMILIES for task in tasks):
        tasks = (generate(family, tier, split, seed, index) for index in range(SEARCHED * questions))
    found = perturb.versions(f"{family}/{tier}", tasks, ways, questions)
    return {version: Suite(family, tier, made) for version, made in found.items()}


async def evaluate_live(
    harness: Harness, suite: Suite, effort: Effort, report: Report, grading: Report = lambda: None
) -> Result:
    """Every question once, with ``effort``. ``grading`` is called after each answer that a checker has looked at."""
    runs, at_once = await ask_all(harness, suite.tasks, effort, report), min(harness.concurrent, len(suite.tasks))
    rights = await graded(suite.tasks, [run.answer for run in runs], grading)
    outcomes = [
        Outcome(task.task_id, float(right), run.usage.total_tokens, run.usage.seconds / at_once)
        for task, run, right in zip(suite.tasks, runs, rights, strict=True)
    ]
    named = effort.name in EFFORTS  # else it is a strategy that was written out
    names = (effort.name, effort.strategy.name) if named else ("", effort.name)
    return Result(suite.family, suite.tier, *names, tuple(outcomes))


async def evaluate_pool(
    harness: Harness,
    suite: Suite,
    effort: Effort,
    n: int,
    report: Report,
    ways: Sequence[Way] = (),
    grading: Report = lambda: None,
) -> list[Result]:
    """``n`` attempts a question, and what each way of choosing would have given: ``pools.ways``, and those given.

    ``grading`` is called after each question whose attempts have been judged. Raises ``EvaluationError``.
    """
    if any(verifier.name == "judge" for verifier in harness.agent.verifiers):
        raise EvaluationError(
            "The verifier judge compares attempts with one another, so that it cannot say what it would have said of "
            "fewer; leave --pool out, or take judge_pointwise."
        )
    drawn = replace(effort, strategy=BestOfN(n))
    agent, found = harness.agent, await draw_pools(harness, suite.tasks, drawn, report, grading)

    def result(name: str, outcomes: Sequence[Outcome], attempts: int = 1) -> Result:
        return Result(suite.family, suite.tier, effort.name, name, tuple(outcomes), attempts)

    process_reward = any(verifier.name == "process_reward" for verifier in agent.verifiers)
    every = [*pools.ways(n, agent.weights, process_reward), *ways]
    sizes = [1, *pools.sizes_up_to(n)] if process_reward else []
    return [
        result("pass@1", [pools.any_right(pool, 1) for pool in found], n),
        *[result(way.name, [await pools.chosen(way, pool) for pool in found]) for way in every],
        *[result(f"prm_best_of_{k}", [pools.liked_best(p, k, "process_reward") for p in found], n) for k in sizes],
        result(f"pass@{n}", [pools.any_right(pool, n) for pool in found]),
    ]


async def draw_pools(
    harness: Harness, tasks: Sequence[Task], effort: Effort, report: Report, grading: Report = lambda: None
) -> list[Pool]:
    """The attempts that the effort's strategy makes at each task, judged by the agent's verifiers.

    Where the log has a larger pool, its first attempts are these.
    """
    agent, at_once = harness.agent, min(harness.concurrent, len(tasks))
    drawing = replace(harness, agent=replace(agent, verifiers=(), panel=""))  # they look at the pool, once
    runs = await ask_all(drawing, tasks, effort, report, larger=True)
    if limit := next(filter(None, map(limit_reached, runs)), None):
        raise EvaluationError(
            f"A pool ran into its limit of {limit}, so that some attempts are not what they would have been; "
            "ask fewer questions at once (--concurrent), or for a smaller pool."
        )
    runs = [first_attempts(run, getattr(effort.strategy, "n", 1)) for run in runs]
    found: list[Pool] = []
    for task, run in zip(tasks, runs, strict=True):
        found.append(await pool_of(task, run, agent.verifiers, agent.step_delimiter, run.usage.seconds / at_once))
        grading()
    return found


def first_attempts(run: Run, n: int) -> Run:
    """The run as it would have been with ``n`` attempts, in its share of the time."""
    kept = tuple(node for node in run.nodes if node.path[0] < n)
    sampled, before = (sum(len(node.sample.token_ids) for node in nodes) for nodes in (kept, run.nodes))
    return replace(run, nodes=kept, usage=replace(run.usage, seconds=run.usage.seconds * sampled / max(1, before)))


async def ask_all(
    harness: Harness, tasks: Sequence[Task], effort: Effort, report: Report, larger: bool = False
) -> list[Run]:
    """All questions; the runs in order. With ``larger``, a larger pool that is in the log will do.

    Raises ``EvaluationError``.
    """
    agent = replace(harness.agent, policy=harness.agent.policy.at(None))
    effort = carried_out(agent, effort)
    gate, known = asyncio.Semaphore(harness.concurrent), made_before(agent, effort, larger)
    if harness.reference_share and isinstance(effort.strategy, AdaptiveBestOfN):
        known |= made_before(agent, replace(effort, strategy=effort.strategy.whole()), larger)

    async def one(index: int, task: Task) -> Run:
        async with gate:
            seed = seed_of(task, index)
            run_id = known.get((task.task_id, seed, task.tools))
            if run_id is not None:
                run = agent.store.run(run_id)
            else:
                try:
                    run = await ask_one(harness, task, seed, effort)
                except QuestionError as error:
                    raise EvaluationError(f"The question {task.question[:60]!r} cannot be asked: {error}") from error
            report()
            return run

    runs = await asyncio.gather(*(one(index, task) for index, task in enumerate(tasks)))
    if failed := next((run for run in runs if not run.nodes or any(n.ending is Ending.ERROR for n in run.nodes)), None):
        raise EvaluationError(f"An attempt could not be made, so nothing was measured: {failed.error}")
    return runs


def seed_of(task: Task, index: int) -> int:
    """Of a file's question by its id, which stays when others come and go; of a generated one, its place."""
    return digest(task.task_id) >> 33 if task.checker else index


async def ask_one(harness: Harness, task: Task, seed: int, effort: Effort) -> Run:
    metadata = {"task_id": task.task_id, "tools": task.tools}
    return await ask(
        await equipped(harness, task), task.question, Ask(effort, None, seed, metadata, harness.reference_share)
    )


def made_before(agent: Agent, effort: Effort, larger: bool) -> dict[tuple[str, int, tuple[str, ...]], str]:
    """Ids of runs of tasks with these settings, this prompt and these weights, by (task, seed, tools)."""
    wanted = json.loads(json.dumps(settings_of(effort, agent)))
    version, found = agent.policy.version, {}
    for run in agent.store.runs(RunFilter(tasks=True, version=version.version)):
        fits = run.policy == version and serves(run.settings, wanted, larger) and not (larger and limit_reached(run))
        if fits and ended(agent, run):
            key = (str(run.metadata["task_id"]), run.root_seed, tuple(run.metadata.get("tools", ())))
            found[key] = run.run_id
    return found


def serves(settings: Mapping[str, Any], wanted: Mapping[str, Any], larger: bool) -> bool:
    """Whether a run with these settings is one with those; with ``larger``, a best-of-N of more attempts is, too."""
    strategy, wish = settings["strategy"], wanted["strategy"]
    settings = {**settings, "verifiers": wanted["verifiers"]} if larger else settings  # they look at it again
    if larger and strategy["name"] == wish["name"] == "best_of_n" and strategy["n"] >= wish["n"]:
        of_run = {name: wanted["budget"][name] for name in ("tokens", "tool_calls")}  # which grow with the attempts
        settings = {**settings, "strategy": wish, "budget": settings["budget"] | of_run}
    return settings == wanted


def limit_reached(run: Run) -> str | None:
    """The limit of the run as a whole, in words, that some of its attempts may have missed."""
    usage, budget = run.usage, Budget(**run.settings["budget"])
    return Meter(budget, usage.total_tokens, usage.prompt_tokens, usage.tool_calls, usage.seconds).exhausted()


def ended(agent: Agent, run: Run) -> bool:
    """Whether it came to its end: also one without an answer, but not where the model could not be asked."""
    if run.status != "failed":
        return run.status == "finished"
    leaves = [trajectory[-1] for trajectory in agent.store.run(run.run_id).trajectories()]
    return bool(leaves) and all(leaf.ending not in (Ending.ERROR, Ending.CANCELLED) for leaf in leaves)


async def equipped(harness: Harness, task: Task) -> Agent:
    """The agent with the tools that the task grants; its search looks into the task's own documents."""
    tools = [tool for name in task.tools if name != "search" and (tool := harness.agent.toolbox.find(name)) is not None]
    if "search" in task.tools:
        retriever = await asyncio.to_thread(Retriever.over, task.documents, harness.encoder)
        tools.append(search_tool(retriever, PASSAGES))
    return replace(harness.agent, toolbox=Toolbox(tools))
