"""What stopping early does to the gradient: high effort draws on until the attempts agree, and what it drew is a group.

    python tests/evidence/stopping_bias.py OUT [--suite strings/3,strings/4,arithmetic/8,lookup/3] [--questions 60]

Training questions are drawn whole, as one run in ten is: fixed N, nothing stopped. Attempt i is the same whether more
are drawn or not, so the rule can be replayed exactly on any order of them. For each question three gradients of GRPO
are taken at the shipped miniature: of all its attempts; of those at which the rule would have stopped; of as
many, whatever they say (the numbers are those of other questions). The latter two are means over orders. Prints the
cosine of their sums over questions with that of the whole groups, with intervals from resampled questions, and what a
right attempt weighs in them, as a share of what it weighs in the whole group.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agent.assemble import MINI, open_log
from agent.effort import EFFORTS
from agent.search.attempts import AdaptiveBestOfN
from agent.search.strategy import Candidate
from agent.settings import Settings
from rl.advantage import advantages
from rl.collect import asking, collect
from rl.groups import Group, groups_of
from rl.grpo import Compared, GRPOSettings, accumulate
from rl.pools import pool_of, seen
from rl.tasks.suite import task_of
from rl.tasks.task import Task
from rl.trainee import whole
from tui.evaluation import suites_asked

ORDERS, DRAWS = 200, 2_000  # of attempts a question; of resampled sets of questions
Floats = NDArray[np.float64]
Rule = AdaptiveBestOfN


@dataclass(frozen=True, slots=True)
class Question:
    """A whole group: who was right, and what the rule looks at."""

    group: Group
    candidates: Sequence[Candidate]

    @property
    def rewards(self) -> Floats:
        return np.array([member.reward for member in self.group.members])


async def drawn(settings: Settings, tasks: Sequence[Task]) -> list[Question]:
    """The groups of runs that nothing stopped; a run one of whose attempts cannot be learned from is left out."""
    async with asking(settings, reference_share=1.0) as harness:
        runs = await collect(harness, tasks, EFFORTS["high"], lambda: None)
        found = []
        with open_log(settings) as log:
            for task, run_id in zip(tasks, runs, strict=True):
                run = log.run(run_id)
                assert run.reference
                pool = await pool_of(task_of(task.task_id), run, (), "\n", 0.0)
                golds = {attempt[-1].path: float(r) for attempt, r in zip(pool.attempts, pool.right, strict=True)}
                groups = [g for g in groups_of(run, golds).groups if len(g.members) == len(pool.attempts)]
                found += [Question(group, await seen(pool, len(pool.attempts), {})) for group in groups]
        return found


def stops_at(rule: Rule, candidates: Sequence[Candidate]) -> int:
    """How many of them the rule would have drawn in this order."""
    made = 0
    while wanted := sum(each.count for each in rule.grow(candidates[:made])):
        made += wanted
    return made


def weights(question: Question, sizes: Sequence[int], orders: Sequence[Sequence[int]]) -> Floats:
    """Of each attempt [G]: the mean over orders of its advantage among the first ``size``, as a share of these."""
    total_G, rewards_G = np.zeros(len(question.rewards)), question.rewards
    for size, order in zip(sizes, orders, strict=True):
        kept = list(order[:size])
        total_G[kept] += advantages(rewards_G[kept]) / size
    return total_G / len(orders)


def gradient(model: torch.nn.Module, question: Question, weights_G: Floats) -> NDArray[np.float32]:
    """Of the policy's objective, at the policy itself, as one vector."""
    members = question.group.members
    own = tuple(np.array(member.logprobs, np.float32) for member in members)
    better = [np.full(len(m.token_ids), w * len(members), np.float32) for m, w in zip(members, weights_G, strict=True)]
    model.zero_grad()
    accumulate(model, [Compared(question.group, tuple(better), own, own)], GRPOSettings())  # type: ignore[arg-type]
    return np.concatenate([p.grad.flatten().numpy() for p in model.parameters() if p.grad is not None])


def cosines(gram: Floats, ways: int, seed: int) -> Floats:
    """[DRAWS + 1, ways] of sums over questions with that of the first way; the first row is of all questions as drawn.

    ``gram`` are the products of gradients [ways, Q, ways, Q].
    """
    generator, count = np.random.default_rng(seed), gram.shape[1]
    found = []
    for draw in range(DRAWS + 1):
        times_Q = np.ones(count) if draw == 0 else generator.multinomial(count, np.full(count, 1 / count)).astype(float)
        products = np.einsum("q,aqbr,r->ab", times_Q, gram, times_Q)
        found.append([products[0, i] / np.sqrt(products[0, 0] * products[i, i]) for i in range(ways)])
    return np.array(found)


def weighted(questions: Sequence[Question], rule: Rule, seed: int) -> tuple[dict[str, list[Floats]], float]:
    """The weights of every question's attempts, each way; and how many attempts the rule draws, on average."""
    shuffled = random.Random(seed)
    orders = [[shuffled.sample(range(len(q.candidates)), len(q.candidates)) for _ in range(ORDERS)] for q in questions]
    sizes = [
        [stops_at(rule, [q.candidates[i] for i in order]) for order in own]
        for q, own in zip(questions, orders, strict=True)
    ]
    every = [size for own in sizes for size in own]
    ways = {
        "all attempts": [advantages(q.rewards) / len(q.rewards) for q in questions],
        "as the rule stops": [weights(q, s, o) for q, s, o in zip(questions, sizes, orders, strict=True)],
        "as many, unseen": [
            weights(q, shuffled.choices(every, k=ORDERS), o) for q, o in zip(questions, orders, strict=True)
        ],
    }
    return ways, float(np.mean(every))


def report(questions: Sequence[Question], rule: Rule, seed: int) -> str:
    """Two tables: of the gradients, and of what a right attempt weighs by how many are right."""
    ways, drawn_of = weighted(questions, rule, seed)
    telling = [i for i, q in enumerate(questions) if np.ptp(q.rewards) > 0]
    model = whole(str(MINI)).model
    vectors = np.stack([gradient(model, questions[i], own[i]) for own in ways.values() for i in telling])
    gram = (vectors @ vectors.T).astype(float).reshape(len(ways), len(telling), len(ways), len(telling))
    found, norms = cosines(gram, len(ways), seed), np.sqrt([gram[i, :, i, :].sum() for i in range(len(ways))])
    whole_size = len(questions[0].candidates)
    lines = [
        f"{len(questions)} questions, {len(telling)} of them with right and wrong attempts; the rule draws "
        f"{drawn_of:.2f} attempts of {whole_size}.",
        "",
        "| gradient | cosine with that of all attempts (95 %) | its length, as a share |",
        "|---|---|---|",
    ]
    for i, name in enumerate(ways):
        low, high = np.percentile(found[1:, i], [2.5, 97.5])
        lines.append(f"| {name} | {found[0, i]:.4f} ({low:.4f} to {high:.4f}) | {norms[i] / norms[0]:.3f} |")
    lines += ["", f"| right of {whole_size} | questions | {' | '.join(list(ways)[1:])} |", "|---|---|---|---|"]
    for count in range(1, whole_size):
        if own := [i for i in telling if round(questions[i].rewards.sum()) == count]:
            of = [sum(way[i][questions[i].rewards > 0].sum() for i in own) for way in ways.values()]
            lines.append(f"| {count} | {len(own)} | {' | '.join(f'{each / of[0]:.2f}' for each in of[1:])} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--suite", default="strings/3,strings/4,arithmetic/8,lookup/3")
    parser.add_argument("--questions", type=int, default=60, help="of each tier")
    parser.add_argument("--seed", type=int, default=300)
    how = parser.parse_args(arguments)
    os.environ["PONDER_HOME"] = str(how.out / "home")
    torch.set_num_threads(1)
    settings, rule = Settings(), EFFORTS["high"].strategy
    assert isinstance(rule, Rule)
    tasks = [task for suite in suites_asked(how.suite, how.questions, how.seed, "train") for task in suite.tasks]
    questions = asyncio.run(drawn(settings, tasks))
    said = report(questions, rule, how.seed)
    (how.out / "table.md").write_text(f"{said}\n")
    print(said)


if __name__ == "__main__":
    main()
