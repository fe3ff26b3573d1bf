"""How well an agent answers held-out questions, and what that costs. ``ponder eval`` calls it.

Two ways to look: ``evaluate_effort`` asks as a user would, with an effort; ``evaluate_pool`` draws N independent
attempts a question once and reports every way of choosing among them on the same pool.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.context import Agent, candidate_of
from agent.effort import Effort
from agent.errors import PonderError
from agent.records import Ending, Run
from agent.run import Ask, ask
from agent.search.attempts import BestOfN
from agent.search.strategy import Candidate, best, majority
from retrieval.encoder import Encoder
from retrieval.retriever import Retriever
from rl.grade import is_right
from rl.intervals import mean_interval, pass_at_k, wilson
from rl.tasks import handwritten
from rl.tasks.lookup import PASSAGES
from rl.tasks.suite import generate
from rl.tasks.task import Split, Task
from tools.search import search_tool
from tools.toolbox import Toolbox


class EvaluationError(PonderError):
    """The model could not be asked: a share of right answers would say nothing of it."""


@dataclass(frozen=True, slots=True)
class Result:
    """One row: a suite's tier, answered in one way."""

    suite: str
    tier: int
    effort: str
    strategy: str  # "pass@1", "majority@8", ... for a pool
    questions: int
    accuracy: float
    interval: tuple[float, float]  # 95 %
    tokens_per_question: float  # sampled, everything counted
    seconds_per_question: float  # wall time of the whole, divided by the questions
    seconds_per_solved: float | None
    tokens_per_solved: float | None


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


def suite_of(family: str, tier: int, questions: int, seed: int, split: Split = "held_out") -> Suite:
    """Generated questions of a family and tier; of ``handwritten``, all that there are."""
    if family == "handwritten":
        return Suite(family, tier, handwritten.tasks())
    return Suite(family, tier, [generate(family, tier, split, seed, index) for index in range(questions)])


async def evaluate_effort(harness: Harness, suite: Suite, effort: Effort, report: Callable[[], None]) -> Result:
    """Every question once, with ``effort``."""
    runs, seconds = await ask_all(harness, suite.tasks, effort, report)
    right = sum(is_right(task, run.answer) for task, run in zip(suite.tasks, runs, strict=True))
    tokens = sum(run.usage.total_tokens for run in runs)
    n = len(runs)
    return row(suite, effort.name, effort.strategy.name, right / n, wilson(right, n), tokens / n, seconds / n)


async def evaluate_pool(
    harness: Harness, suite: Suite, effort: Effort, n: int, report: Callable[[], None]
) -> list[Result]:
    """``n`` attempts a question, and what each way of choosing would have given."""
    drawn = replace(effort, strategy=BestOfN(n))
    runs, seconds = await ask_all(harness, suite.tasks, drawn, report)
    scored = [judged(harness.agent, task, run) for task, run in zip(suite.tasks, runs, strict=True)]
    tokens = sum(run.usage.total_tokens for run in runs) / len(runs)
    each = seconds / len(runs)
    shares = [sum(right.values()) / n for _, right in scored]
    rows = [
        row(suite, effort.name, "pass@1", sum(shares) / len(shares), mean_interval(shares, n), tokens / n, each / n)
    ]
    for name, choose in (("majority", majority), ("best_of", best)):
        hits = sum(right[choose(candidates).path] for candidates, right in scored if candidates)
        strategy = f"{name}@{n}" if name == "majority" else f"{name}_{n}"
        rows.append(row(suite, effort.name, strategy, hits / len(runs), wilson(hits, len(runs)), tokens, each))
    solved = sum(pass_at_k(sum(right.values()), n, n) for _, right in scored)
    any_right = row(suite, effort.name, f"pass@{n}", solved / len(runs), wilson(round(solved), len(runs)), tokens, each)
    return [*rows, any_right]


def judged(agent: Agent, task: Task, run: Run) -> tuple[list[Candidate], dict[tuple[int, ...], bool]]:
    """A run's candidates, and which of them are right."""
    trajectories = run.trajectories()
    candidates = [candidate_of(each, run.question, agent.weights) for each in trajectories]
    return candidates, {each[-1].path: is_right(task, each[-1].text) for each in trajectories}


async def ask_all(
    harness: Harness, tasks: Sequence[Task], effort: Effort, report: Callable[[], None]
) -> tuple[list[Run], float]:
    """All questions; the runs in order, and the wall time in seconds. Raises ``EvaluationError``."""
    gate = asyncio.Semaphore(harness.concurrent)

    async def one(index: int, task: Task) -> Run:
        async with gate:
            how = Ask(effort, seed=index, metadata={"task_id": task.task_id}, reference_share=0.0)
            run = await ask(await equipped(harness, task), task.question, how)
            report()
            return run

    began = time.monotonic()
    runs = await asyncio.gather(*(one(index, task) for index, task in enumerate(tasks)))
    if failed := next((run for run in runs if not run.nodes or any(n.ending is Ending.ERROR for n in run.nodes)), None):
        raise EvaluationError(f"An attempt could not be made, so nothing was measured: {failed.error}")
    return runs, time.monotonic() - began


async def equipped(harness: Harness, task: Task) -> Agent:
    """The agent with the tools that the task grants; its search looks into the task's own documents."""
    tools = [tool for name in task.tools if name != "search" and (tool := harness.agent.toolbox.find(name)) is not None]
    if "search" in task.tools:
        retriever = await asyncio.to_thread(Retriever.over, task.documents, harness.encoder)
        tools.append(search_tool(retriever, PASSAGES))
    return replace(harness.agent, toolbox=Toolbox(tools))


def row(
    suite: Suite,
    effort: str,
    strategy: str,
    accuracy: float,
    interval: tuple[float, float],
    tokens: float,
    seconds: float,
) -> Result:
    return Result(
        suite.family,
        suite.tier,
        effort,
        strategy,
        len(suite.tasks),
        accuracy,
        interval,
        tokens,
        seconds,
        seconds / accuracy if accuracy else None,
        tokens / accuracy if accuracy else None,
    )
