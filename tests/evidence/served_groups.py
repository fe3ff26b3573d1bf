"""What the attempts that served people teach, without one more: learning curves from the log alone, judged on gold.

    python tests/evidence/served_groups.py OUT [--seeds 3] [--questions 250] [--held-out 60] [--epochs 8]

For each seed: 1,000 questions of the training split (four hard tiers) asked at effort high, as a person would, of the
shipped miniature; then two trainings from that log, one by the gold answers and one without any (agreement, form, and
the process rewards of --process-reward). Each trained model and the miniature answer the
same held-out questions eight times. Prints tables, and writes them with a picture to OUT. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agent.assemble import MINI
from rl.intervals import mean_interval
from rl.results import Outcome, Paired, compare
from tests.vllm_server import PONDER

SUITES = "strings/3,strings/4,arithmetic/8,lookup/3"
ARMS = {"gold": "with_gold", "label-free": "label_free"}
ATTEMPTS, JUDGED = 8, 900  # attempts at each held-out question; the seed that generates these
POOL = f"best_of_{ATTEMPTS}"
WAYS = {"pass@1": "pass@1", f"best of {ATTEMPTS}": POOL}  # what is reported, as ``ponder eval`` calls it
Judged = dict[str, list[Outcome]]  # by the way


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the experiment is."""

    out: Path
    seeds: int
    questions: int  # of each tier that are learned from
    held_out: int  # of each tier that are judged by
    epochs: float
    rate: float
    process_reward: str | None = None  # a model of steps, for the arm without labels


def ponder(home: Path, *arguments: str, **variables: str) -> None:
    """A command, with a home of its own."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PONDER_HOME": str(home), "OMP_NUM_THREADS": "1", **variables}
    with (home / "said.txt").open("a") as said:
        subprocess.run([sys.executable, "-c", PONDER, *arguments], env=environment, stdout=said, check=True)


def train(plan: Plan, seed: int, arm: str) -> Path:
    """The model that one arm makes of one seed's log."""
    made = plan.out / f"seed-{seed}" / arm
    if not (made / "model").is_dir():
        how = ("--reward", ARMS[arm], "--epochs", str(plan.epochs), "--seed", str(seed), "--threads", "1")
        steps = ("--learning-rate", str(plan.rate), "--clip-high", "0.28")
        home = plan.out / f"seed-{seed}" / "home"
        judged_by = {"PONDER_PROCESS_REWARD": plan.process_reward or ""} if arm == "label-free" else {}
        ponder(home, "train", "grpo", str(made), *how, *steps, **judged_by)
    return made / "model"


def collect(plan: Plan, seed: int) -> None:
    home = plan.out / f"seed-{seed}" / "home"
    ponder(home, "collect", SUITES, "--questions", str(plan.questions), "--effort", "high", "--seed", str(100 + seed))


def judge(plan: Plan, name: str, model: Path) -> Judged:
    """Outcomes of all held-out questions, by the way of answering."""
    place = plan.out / "judged" / name
    if not (place / "results.json").exists():
        how = ("--questions", str(plan.held_out), "--seed", str(JUDGED), "--pool", str(ATTEMPTS), "--out", str(place))
        ponder(place / "home", "eval", SUITES, "--model", str(model), *how)
    rows = [row for row in json.loads((place / "results.json").read_text()) if row["suite"] != "all"]
    return {
        way: [Outcome(**each) for row in rows if row["strategy"] == strategy for each in row["outcomes"]]
        for way, strategy in WAYS.items()
    }


def learn_and_judge(plan: Plan, seed: int, arm: str, log: Future[None]) -> Judged:
    """Once the seed's log is there."""
    log.result()
    return judge(plan, f"{arm}, seed {seed}", train(plan, seed, arm))


def points(found: Paired) -> str:
    return " ".join(f"{100 * value:+.1f}" for value in (found.difference, *found.interval))


def row(name: str, found: Judged, base: Judged) -> str:
    cells = [name]
    for way, outcomes in found.items():
        rights = [each.right for each in outcomes]
        low, high = mean_interval(rights, 1 if way.startswith("best") else ATTEMPTS)
        tokens = sum(each.tokens for each in outcomes) / len(outcomes)
        cells.append(f"{sum(rights) / len(rights):.3f} ({low:.3f} to {high:.3f})")
        gain = compare(outcomes, base[way])
        cells.append("-" if found is base else "{} ({} to {})".format(*points(gain).split()))
        cells.append(f"{tokens:.0f}")
    return f"| {' | '.join(cells)} |"


def table(judged: dict[str, Judged]) -> str:
    base = judged["the miniature"]
    head = ["model"]
    for way in WAYS:
        head += [f"{way} (95 %)", "points above the miniature (95 %)", "tokens"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(row(name, found, base) for name, found in judged.items())])


def by_tier(judged: dict[str, Judged], way: str) -> str:
    """Points above the miniature, tier by tier."""
    base = judged["the miniature"][way]
    tiers = list(dict.fromkeys(each.task_id.rsplit("/", 3)[0] for each in base))
    lines = [f"| {way} | {' | '.join(tiers)} |", "|---" * (len(tiers) + 1) + "|"]
    for name, found in judged.items():
        cells = []
        for tier in tiers:
            own, other = ([e for e in of if e.task_id.startswith(f"{tier}/")] for of in (found[way], base))
            share = sum(each.right for each in own) / len(own)
            gain = "" if own == other else " {} ({} to {})".format(*points(compare(own, other)).split())
            cells.append(f"{share:.3f}{gain}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(judged: dict[str, Judged], path: Path) -> None:
    """Points above the miniature with their intervals, each way."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    base, names = judged["the miniature"], [name for name in judged if name != "the miniature"]
    figure, axes = pyplot.subplots(figsize=(7, 0.6 * len(names) + 1.5), layout="constrained")
    for shift, way in zip((0.12, -0.12), WAYS, strict=True):
        gains = [compare(judged[name][way], base[way]) for name in names]
        middle = [100 * gain.difference for gain in gains]
        low = [100 * (gain.difference - gain.interval[0]) for gain in gains]
        high = [100 * (gain.interval[1] - gain.difference) for gain in gains]
        places = [-i + shift for i in range(len(names))]
        axes.errorbar(middle, places, xerr=[low, high], fmt="o", capsize=3, label=way)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks([-i for i in range(len(names))], names)
    axes.set(xlabel="points above the shipped miniature, held-out questions (95 %)")
    axes.grid(alpha=0.3, axis="x")
    axes.legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=250)
    parser.add_argument("--held-out", type=int, default=60)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--process-reward", help="A folder of `ponder train prm`, for the arm without labels.")
    plan = Plan(**vars(parser.parse_args(arguments)))
    jobs = [(seed, arm) for arm in ARMS for seed in range(plan.seeds)]
    with ThreadPoolExecutor(
        os.cpu_count()
    ) as workers:  # a small model keeps one processor busy; first come, first served
        logs = [workers.submit(collect, plan, seed) for seed in range(plan.seeds)]
        judging = {"the miniature": workers.submit(judge, plan, "the miniature", MINI)}
        for seed, arm in jobs:
            judging[f"{arm}, seed {seed}"] = workers.submit(learn_and_judge, plan, seed, arm, logs[seed])
        judged = {name: waiting.result() for name, waiting in judging.items()}
    said = "\n\n".join([table(judged), *(by_tier(judged, way) for way in WAYS)]) + "\n"
    (plan.out / "table.md").write_text(said)
    picture(judged, plan.out / "served_groups.png")
    print(said)


if __name__ == "__main__":
    main()
