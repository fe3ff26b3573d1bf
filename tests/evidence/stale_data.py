"""What old samples teach: the gradient of logged data under later policies, and learning curves by the data's age.

    python tests/evidence/stale_data.py OUT gradients --home HOME --policy VERSION [--aside 96] [--batch 8]
    python tests/evidence/stale_data.py OUT curves [--seeds 3] [--rounds 8] [--questions 24] [--held-out 50]

``gradients``: HOME has a log of training questions asked of the miniature (`ponder collect`), VERSION is the policy
that answered. Some questions are put aside; GRPO learns from the others, and the policies after 0, 1, 4, 16 and 64
updates are kept. At each, the gradient of the logged attempts at the questions put aside, corrected as `ponder train
grpo` does and with the weight taken to be 1, is compared with that of attempts at the same questions drawn anew from
that policy through `run`, twice: how alike two fresh draws are is the most that can be had. Intervals: bootstrap over
questions (95 %). Beside them, what ``staleness.Limits`` says of the logged groups. Takes 12 MB a gradient.

``curves``: rounds of 16 updates; what a round learns from was drawn, through `run`, by the policy of 0, 1 or 4 rounds
before it: 0, 16 or 64 updates old at its first use (a first round, and whatever reaches back further, learns from what
the miniature drew). All arms of a seed get the same questions. Held-out pass@1 half-way and at the end.

Goes on where it stopped. Prints a table, and writes it to OUT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agent.assemble import MINI, open_log
from agent.effort import EFFORTS
from agent.settings import Settings
from agent.store import RunFilter
from rl.checkpoints import TrainingError
from rl.collect import asking, collect
from rl.groups import Group
from rl.grpo import Compared, GRPOSettings, compared, part_loss, train
from rl.loss import LossSettings, Step
from rl.optimise import Progress
from rl.results import Outcome, compare, mean
from rl.selection import Wanted
from rl.staleness import Limits, mismatch, remembered
from rl.tasks.suite import generate, task_of
from rl.tasks.task import Task
from rl.teach import refuse_nothing
from rl.trainee import whole
from tests.evidence.served_groups import SUITES, judge, points
from tests.evidence.served_groups import Plan as Judging
from tui.choosing import Lesson, collected, prepared
from tui.evaluation import suites_named

AGES, LAGS, ROUND = (0, 1, 4, 16, 64), (0, 1, 4), 16  # updates; rounds; updates of a round
RESAMPLES, ANY = 2_000, Limits(mismatch=float("inf"), least_ess=0.0)
Groups = dict[str, Group]  # by the id of the task


def quiet(*_: object, **__: object) -> None:
    """No bar."""


def groups_in(home: Path, wanted: Wanted) -> Groups:
    """As `ponder train grpo` reads them: the attempts at each question."""
    found = collected(Settings(home=home), Lesson(wanted, "with_gold"), quiet)
    with open_log(Settings(home=home)) as log:
        task_ids = {run.run_id: str(run.metadata.get("task_id")) for run in log.runs()}
    return {task_ids[group.run_id]: group for group in found.groups if not group.parent}


def drawn(model: Path, home: Path, tasks: Sequence[Task]) -> Groups:
    """What `ponder collect` draws of these tasks at effort high; a question's place in the list seeds its attempts."""

    async def ask() -> list[str]:
        async with asking(Settings(home=home, model=str(model), encoder="none")) as harness:
            return await collect(harness, tasks, EFFORTS["high"], lambda: None)

    return groups_in(home, Wanted(run_ids=asyncio.run(ask())))


def update(start: Path, groups: Groups, how: GRPOSettings, folder: Path, kept: Mapping[int, Path]) -> None:
    """Learn from the groups as often as the last of ``kept`` says, at one rate, and write the policy in float32 after
    so many updates. Raises ``TrainingError``.
    """
    if all(place.is_dir() for place in kept.values()):
        return
    trainee = whole(str(start), torch.float32)
    rows, constant = compared([*groups.values()], how)
    refuse_nothing(len(rows), constant)
    rows, _, _ = remembered(trainee.model, rows, Limits())

    def keep(progress: Progress) -> None:
        place = kept.get(progress.step + 1)
        if place is not None and not place.is_dir():
            trainee.save(place.with_suffix(".part"))
            place.with_suffix(".part").rename(place)
        print(f"{folder}: update {progress.step + 1} of {max(kept)}, {progress.seconds:.0f} s", flush=True)

    epochs = max(kept) * how.batch / len(rows)
    train(trainee.model, rows, replace(how, epochs=epochs, warmup=1, decay=0.0, checkpoint_every=4), folder, keep)


# --- gradients --------------------------------------------------------------------------------------------------------


def rotations(tasks: Sequence[Task], home: Path, groups: Groups) -> list[int]:
    """Two places to begin the list of tasks with, so that none has a seed twice, or the one that it has in the log."""
    with open_log(Settings(home=home)) as log:
        known = {run.run_id: run.root_seed for run in log.runs()}
    seeds = [known[groups[task.task_id].run_id] for task in tasks]
    able = [s for s in range(len(tasks)) if all((i - s) % len(tasks) != seed for i, seed in enumerate(seeds))]
    return able[:2]


def gradient(model: Any, row: Compared) -> torch.Tensor:
    """Of one question's share of a step's loss [P]."""
    model.zero_grad(set_to_none=False)
    part_loss(model, [row], Step(1, 1), LossSettings())[0].backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def measured(model: Any, logged: Groups, fresh: Sequence[Groups]) -> dict[str, Any]:
    """Inner products [4, Q, 4, Q] of the questions' gradients, of the logged groups corrected and not, and of two fresh
    draws; and what the gates say.
    """
    rows, _ = compared([*logged.values()], GRPOSettings())
    every, _, found = remembered(model, rows, ANY)
    said = {"groups": len(rows), "k3": found.kl, "ess": found.ess, "refused": ""}
    kept = every
    try:
        kept, _, _ = remembered(model, rows, Limits())
    except TrainingError as error:
        said["refused"] = str(error)
    said["dropped"] = sum(mismatch([row]).kl > Limits().mismatch for row in every)
    sets = [kept, [silent(row) for row in every]]
    for each in fresh:
        told_apart, _ = compared([*each.values()], GRPOSettings())
        sets.append(remembered(model, told_apart, ANY)[0] if told_apart else [])
    place = {logged[task_id].run_id: q for q, task_id in enumerate(logged)}
    for each in fresh:
        place |= {group.run_id: [*logged].index(task_id) for task_id, group in each.items()}
    gradients = torch.stack([gradient(model, row) for rows in sets for row in rows])
    at = [s * len(logged) + place[row.group.run_id] for s, rows in enumerate(sets) for row in rows]
    inner = np.zeros((4 * len(logged), 4 * len(logged)))
    inner[np.ix_(at, at)] = (gradients @ gradients.T).double().numpy()
    return said | {"inner": inner.tolist()}


def silent(row: Compared) -> Compared:
    """As if the policy that the training begins with had drawn it."""
    members = tuple(replace(m, logprobs=tuple(own.tolist())) for m, own in zip(row.group.members, row.old, strict=True))
    return replace(row, group=replace(row.group, members=members))


def cosines(inner: np.ndarray, counts_Q: np.ndarray) -> tuple[float, float, float, float]:
    """With fresh draws: of logged data corrected, not corrected, the first less the second, and of fresh ones."""
    questions = len(counts_Q)
    weighted = inner.reshape(4, questions, 4, questions) * counts_Q[:, None, None] * counts_Q
    total = weighted.sum(axis=(1, 3))
    norms = np.sqrt(np.diag(total)).clip(1e-30)
    cosine = total / norms / norms[:, None]
    one, other = cosine[0, 2:].mean(), cosine[1, 2:].mean()
    return float(one), float(other), float(one - other), float(cosine[2, 3])


def gradient_row(age: int, found: Mapping[str, Any]) -> str:
    inner = np.array(found["inner"])
    questions, generator = len(inner) // 4, np.random.default_rng(0)
    drawn_again = [
        np.bincount(generator.integers(questions, size=questions), minlength=questions) for _ in range(RESAMPLES)
    ]
    middle = cosines(inner, np.ones(questions))
    low, high = np.quantile([cosines(inner, counts) for counts in drawn_again], (0.025, 0.975), axis=0)
    cells = [f"{age}", f"{found['groups']}", f"{found['dropped']}", f"{found['k3']:.2g}", f"{found['ess']:.3f}"]
    cells += ["yes" if found["refused"] else "no"]
    cells += [f"{m:.3f} ({a:.3f} to {b:.3f})" for m, a, b in zip(middle, low, high, strict=True)]
    return f"| {' | '.join(cells)} |"


def compare_gradients(given: argparse.Namespace) -> str:
    everything = groups_in(given.home, Wanted(RunFilter(version=given.policy)))
    order = [[*everything][i] for i in np.random.default_rng(0).permutation(len(everything))]
    logged, others = (
        {name: everything[name] for name in part} for part in (order[: given.aside], order[given.aside :])
    )
    kept = {age: given.out / f"policy-{age}" for age in AGES if age}
    update(MINI, others, GRPOSettings(batch=given.batch, learning_rate=given.rate), given.out / "training", kept)
    tasks, lines = [task_of(task_id) for task_id in logged], []
    for age in AGES:
        model, file = kept.get(age, MINI), given.out / f"gradients-{age}.json"
        if not file.exists():
            starts = rotations(tasks, given.home, logged)
            homes = [given.out / "fresh" / f"{age}-{s}" for s in starts]
            fresh = [drawn(model, home, [*tasks[s:], *tasks[:s]]) for home, s in zip(homes, starts, strict=True)]
            file.write_text(json.dumps(measured(whole(str(model)).model, logged, fresh)))
        lines.append(gradient_row(age, json.loads(file.read_text())))
        print(lines[-1], flush=True)
    head = ["updates old", "groups", "dropped", "k3", "ESS", "training refused", "cosine, corrected", "not corrected"]
    head += ["difference", "two fresh draws"]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


# --- curves -----------------------------------------------------------------------------------------------------------


def learned(given: argparse.Namespace, lag: int, seed: int) -> tuple[list[Path], str]:
    """The policy after each round of an arm, and where the gates stopped it, why."""
    arm, policies = given.out / "curves" / f"{ROUND * lag}-old-{seed}", [MINI]
    for number in range(given.rounds):
        source = max(0, number - lag)
        home = arm / f"drawn-{number}" if source else given.out / "curves" / f"drawn-{seed}-{number}"
        kinds = suites_named(SUITES)
        tasks = [
            generate(*kind, "train", 1000 * (seed + 1) + number, i) for kind in kinds for i in range(given.questions)
        ]
        how = GRPOSettings(batch=given.batch, learning_rate=given.rate, seed=seed)
        folder, made = arm / f"round-{number}", arm / f"policy-{number + 1}"
        try:
            update(policies[-1], drawn(policies[source], home, tasks), how, folder, {ROUND: made})
        except TrainingError as error:
            return policies, f"round {number}: {error}"
        policies.append(made)
    return policies, ""


def over_seeds(outcomes: Sequence[Sequence[Outcome]]) -> list[Outcome]:
    """Question by question, the means."""
    return [
        Outcome(each[0].task_id, mean([o.right for o in each]), mean([o.tokens for o in each]), 0.0)
        for each in zip(*outcomes, strict=True)
    ]


def curves(given: argparse.Namespace) -> str:
    judging = Judging(given.out, given.seeds, given.questions, given.held_out, 0.0, given.rate)
    base, stops = judge(judging, "the miniature", MINI)["pass@1"], sorted({given.rounds // 2, given.rounds} - {0})
    head = ["data", "updates", "pass@1", "points above the miniature (95 %)", "of each seed", "tokens", "stopped"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for lag in LAGS:
        arms = [learned(given, lag, seed) for seed in range(given.seeds)]
        for stop in stops:
            models = [policies[min(stop, len(policies) - 1)] for policies, _ in arms]
            names = [f"{ROUND * lag} updates old, seed {i}, {stop} rounds" for i in range(len(arms))]
            found = [judge(judging, name, model)["pass@1"] for name, model in zip(names, models, strict=True)]
            together, each = over_seeds(found), [compare(one, base) for one in found]
            gain = "{} ({} to {})".format(*points(compare(together, base)).split())
            cells = [f"{ROUND * lag} updates old", f"{ROUND * stop}", f"{mean([o.right for o in together]):.3f}", gain]
            cells += [
                ", ".join(f"{100 * one.difference:+.1f}" for one in each),
                f"{mean([o.tokens for o in together]):.0f}",
            ]
            cells.append("; ".join(f"seed {i}, {why}" for i, (_, why) in enumerate(arms) if why) or "-")
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    shown = f"The miniature: {mean([o.right for o in base]):.3f}, {mean([o.tokens for o in base]):.0f} tokens."
    return "\n".join([*lines, "", shown])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("part", choices=["gradients", "curves"])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--policy", help="Version of the policy that drew HOME's log.")
    parser.add_argument("--aside", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--questions", type=int, default=24, help="Of each tier that a round collects.")
    parser.add_argument("--held-out", type=int, default=50, help="Of each tier.")
    given = parser.parse_args(arguments)
    if given.part == "gradients" and not (given.home and given.policy):
        parser.error("gradients needs --home and --policy")
    given.out.mkdir(parents=True, exist_ok=True)
    prepared(1)
    said = {"gradients": compare_gradients, "curves": curves}[given.part](given)
    (given.out / f"{given.part}.md").write_text(said + "\n")
    print(said)


if __name__ == "__main__":
    main()
