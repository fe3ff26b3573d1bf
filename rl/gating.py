"""A gate is run: the questions are made, candidate and incumbent answer them, ``rl.gate`` decides.

Every question is made for this gate and held out; both models get the same ones under the same sampling seeds. Each
answer is a run of the log, and what the log has is not asked again: an interrupted gate goes on where it was.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.effort import EFFORTS, Effort
from agent.graph import case_of
from agent.records import Run
from agent.search.attempts import BestOfN, Single
from rl.evaluate import Harness, ask_all
from rl.gate import deciding
from rl.gate_records import Answers, Contest, Decision, GateError, GateSettings, Mixture, Pair, Wanted
from rl.grade import graded
from rl.tasks.suite import FAMILIES, generate
from rl.tasks.task import Task, digest
from verifiers.format import faults

FINAL_SEED = 2_026  # of the frozen final set, which reports use and no gate, training or tuning ever sees
AT_ONCE = 500  # questions whose runs are held in memory


@dataclass(frozen=True, slots=True)
class Step:
    """How far a gate is: of which suite so many of so many answers are in, of those that are wanted now."""

    suite: str
    done: int
    total: int


Report = Callable[[Step], None]


async def gate(
    settings: GateSettings, contest: Contest, candidate: Harness, incumbent: Harness, report: Report
) -> Decision:
    """Ask both until it is decided. Raises ``GateError`` before anything is asked, and ``EvaluationError``."""
    refuse_unknown(settings)
    steps = deciding(settings, contest)
    wanted = next(steps)
    while True:
        answers = await answered(settings, contest, wanted, candidate, incumbent, report)
        try:
            wanted = steps.send(answers)
        except StopIteration as end:
            return end.value


def refuse_unknown(settings: GateSettings) -> None:
    """Suites have to be of families that make questions: a file's would be the same ones at every gate.

    Raises ``GateError``.
    """
    for mixture in settings.suites:
        for family, tier in mixture.kinds:
            if family not in FAMILIES or tier not in FAMILIES[family].TIERS:
                raise GateError(
                    f"There is no {family}/{tier} that questions can be made of; a gate takes families, and "
                    "`ponder eval` measures files."
                )


async def answered(
    settings: GateSettings, contest: Contest, wanted: Wanted, candidate: Harness, incumbent: Harness, report: Report
) -> Pair:
    """What is wanted, of one model after the other."""
    seed, mixture = contest.seed(wanted.suite.name), wanted.suite
    tasks = [task_at(mixture, seed, index) for index in range(wanted.start, wanted.stop)]
    effort, done = effort_of(settings, wanted), 0
    total = 2 * len(tasks) * wanted.attempts

    def tell() -> None:
        nonlocal done
        done += 1
        report(Step(mixture.name, done, total))

    found: list[Answers] = []
    for harness in (candidate, incumbent):
        bench = harness if wanted.best_of else without_verifiers(harness)
        parts = [tasks[start : start + AT_ONCE] for start in range(0, len(tasks), AT_ONCE)]
        answers = [await answers_of(bench, part, effort, wanted.attempts, tell) for part in parts]
        whole = answers[0]
        for more in answers[1:]:
            whole = whole.and_then(more)
        found.append(whole)
    return Pair(*found)


def task_at(mixture: Mixture, seed: int, index: int) -> Task:
    """A held-out question: a pure function. Which kind it is is drawn, so that questions are independent draws."""
    kind = random.Random(digest(f"{seed}/{index}")).randrange(len(mixture.kinds))
    family, tier = mixture.kinds[kind]
    return generate(family, tier, "held_out", seed, index)


def effort_of(settings: GateSettings, wanted: Wanted) -> Effort:
    """One attempt, or the best of several as high effort draws them."""
    if wanted.best_of:
        return replace(EFFORTS["high"], name="gate", strategy=BestOfN(wanted.best_of))
    return Effort("gate", Single(), settings.temperature)


def without_verifiers(harness: Harness) -> Harness:
    """There is nothing to choose: they would only cost tokens."""
    return replace(harness, agent=replace(harness.agent, verifiers=(), panel=""))


async def answers_of(
    harness: Harness, tasks: Sequence[Task], effort: Effort, attempts: int, tell: Callable[[], None]
) -> Answers:
    """A question's attempts differ in their seeds alone. Raises ``EvaluationError``."""
    asked = [task for task in tasks for _ in range(attempts)]
    runs = await ask_all(harness, asked, effort, tell)
    right = await graded(asked, [run.answer for run in runs], lambda: None)
    formed = [has_form(task, run, harness.agent.step_delimiter) for task, run in zip(asked, runs, strict=True)]
    shape = (len(tasks), attempts)
    rows = (right, formed, [run.usage.total_tokens for run in runs])
    return Answers(*(np.array(row, dtype=np.float64).reshape(shape) for row in rows))


def has_form(task: Task, run: Run, delimiter: str) -> bool:
    """Of what was chosen; where nothing was, of the first attempt. A sentence needs no answer line."""
    attempt = run.trajectory(run.chosen) if run.chosen else run.trajectories()[0]
    case = case_of(run.question, attempt, delimiter)
    return not faults(replace(case, metadata={"answer_line": "says" not in task.metadata}))
