"""Attempts that were drawn once, chosen from in every way: what each strategy would have given, and for how much.

Attempt i of a question is the same in whatever company it is drawn, so a strategy that makes whole attempts and chooses
among them does on the first attempts of a pool exactly what it would have done alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.context import candidate_of
from agent.graph import case_of
from agent.records import Node, Run
from agent.search.attempts import AdaptiveBestOfN, BestOfN, FixedN, MajorityVote, Single, WeightedVote
from agent.search.auto import Auto
from agent.search.strategy import Candidate, Strategy
from rl.grade import grade
from rl.intervals import best_of_k, pass_at_k
from rl.results import Outcome
from rl.tasks.task import Task
from verifiers.consensus import Consensus
from verifiers.registry import judge
from verifiers.verdict import Case, Verifier

CHOOSING = (Single, FixedN, AdaptiveBestOfN, Auto)  # strategies that make whole attempts, and nothing else


def only_chooses(strategy: Strategy) -> bool:
    """Whether it makes attempts like those of a pool and nothing else: none that begins without a thought."""
    begins = getattr(strategy, "bridge", "") or getattr(strategy, "quick_weights", ())
    return isinstance(strategy, CHOOSING) and not begins


@dataclass(frozen=True, slots=True)
class Pool:
    """The independent attempts at one question, in the order in which they would have been made."""

    task: Task
    attempts: tuple[tuple[Node, ...], ...]
    cases: tuple[Case, ...]
    right: tuple[bool, ...]
    seconds: float  # wall time of all together

    @property
    def tokens(self) -> list[int]:
        """Sampled, of each attempt."""
        return [sum(len(node.sample.token_ids) for node in attempt) for attempt in self.attempts]


@dataclass(frozen=True, slots=True)
class Way:
    """A strategy, and the weights of the verifiers by which it scores."""

    name: str
    strategy: Strategy
    weights: Mapping[str, float]


async def pool_of(task: Task, run: Run, verifiers: Sequence[Verifier], delimiter: str, seconds: float) -> Pool:
    """The attempts of a run, judged by ``verifiers``: a log can be looked at by others than those that saw it first."""
    attempts = run.trajectories()
    cases = tuple(case_of(run.question, attempt, delimiter) for attempt in attempts)
    judges = [each for each in verifiers if each.name != Consensus.name]
    verdicts = await judge(judges, cases)
    right = await grade(task, [attempt[-1].text for attempt in attempts])
    return Pool(
        task,
        tuple((*attempt[:-1], replace(attempt[-1], verdicts=v)) for attempt, v in zip(attempts, verdicts, strict=True)),
        cases,
        tuple(right),
        seconds,
    )


def sizes_up_to(n: int) -> list[int]:
    """2, 4, 8, ... and ``n``."""
    return [2**i for i in range(1, n.bit_length()) if 2**i < n] + [n]


def ways(n: int, weights: Mapping[str, float], process_reward: bool) -> list[Way]:
    """Voting and best-of, for 2, 4, ... up to ``n`` attempts; votes weighted by process rewards where there are any."""
    sizes = sizes_up_to(n)
    found = [Way(f"majority@{size}", MajorityVote(size), weights) for size in sizes]
    found += [Way(f"best_of_{size}", BestOfN(size), weights) for size in sizes]
    if process_reward:
        alone = {"process_reward": 1.0}
        found += [Way(f"prm_weighted@{size}", WeightedVote(size), alone) for size in sizes]
    return found


async def chosen(way: Way, pool: Pool) -> Outcome:
    """What ``way`` would have given on this question. Raises ``ValueError`` where it wants more than the pool has."""
    made = 0
    while wanted := sum(grow.count for grow in way.strategy.grow(await seen(pool, made, way.weights))):
        made += wanted
        if made > len(pool.attempts):
            raise ValueError(f"{way.name} wants {made} attempts, and the pool has {len(pool.attempts)}")
    candidates = await seen(pool, made, way.weights)
    path = way.strategy.choose(candidates).path
    right = next(pool.right[i] for i, candidate in enumerate(candidates) if candidate.path == path)
    reads = [v.tokens for attempt in pool.attempts[:made] for v in attempt[-1].verdicts if way.weights.get(v.verifier)]
    sampled = pool.tokens
    tokens = sum(sampled[:made]) + sum(reads)
    return Outcome(pool.task.task_id, float(right), tokens, pool.seconds * sum(sampled[:made]) / max(1, sum(sampled)))


async def seen(pool: Pool, made: int, weights: Mapping[str, float]) -> list[Candidate]:
    """The first attempts as a strategy would have seen them: agreement is that of these alone."""
    agreement = await Consensus().verify(pool.cases[:made]) if weights.get(Consensus.name) else []
    found = []
    for i, attempt in enumerate(pool.attempts[:made]):
        leaf = replace(attempt[-1], verdicts=(*attempt[-1].verdicts, *agreement[i : i + 1]))
        found.append(candidate_of((*attempt[:-1], leaf), pool.task.question, weights))
    return found


def liked_best(pool: Pool, k: int, verifier: str) -> Outcome:
    """The unbiased estimate of what the best-scored of ``k`` attempts is: how often right, and with which score."""
    scores = [
        next((v.score for v in attempt[-1].verdicts if v.verifier == verifier and case.finished), None)
        for attempt, case in zip(pool.attempts, pool.cases, strict=True)
    ]
    gold, proxy = best_of_k(scores, pool.right, k)
    reads = sum(v.tokens for attempt in pool.attempts for v in attempt[-1].verdicts if v.verifier == verifier)
    share = k / len(pool.attempts)
    return Outcome(pool.task.task_id, gold, (sum(pool.tokens) + reads) * share, pool.seconds * share, proxy)


def any_right(pool: Pool, k: int) -> Outcome:
    """The unbiased estimate of the chance that one of ``k`` attempts is right: what no choice can pass."""
    n, tokens = len(pool.attempts), sum(pool.tokens)
    return Outcome(pool.task.task_id, pass_at_k(sum(pool.right), n, k), tokens * k / n, pool.seconds * k / n)
