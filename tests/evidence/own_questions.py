"""The walk-through of docs/training.md: a person's own questions, five commands, and the learning curve that they make.

    python tests/evidence/own_questions.py OUT [--learn 600] [--held-out 300] [--rounds 6] [--questions 100]

Writes mine.jsonl and held_out.jsonl: word problems of two steps in wordings that the miniature never saw, no question
in both. Then it runs the commands that the walk-through shows, and asks the held-out questions, one attempt each, of
the model after each round as well. Goes on where it stopped. Prints a table, and writes it to OUT with a picture.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.assemble import MINI
from rl.intervals import wilson
from rl.results import Outcome, compare
from tests.evidence.served_groups import points, ponder

LEARNING = ("--learning-rate", "3e-4")


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the experiment is."""

    out: Path
    learn: int  # questions in mine.jsonl
    held_out: int  # questions in held_out.jsonl
    rounds: int
    questions: int  # that a round asks
    seed: int

    def file(self, name: str) -> str:
        return str(self.out / f"{name}.jsonl")


def story(draw: random.Random) -> tuple[str, int]:
    """A question and its answer."""
    a, b, c, d = draw.randint(3, 19), draw.randint(12, 88), draw.randint(2, 40), draw.randint(2, 9)
    return draw.choice(
        [
            (f"A train has {a} carriages with {b} seats each, and {c} seats are broken. How many seats can be used?",
             a * b - c),
            (f"A baker fills {a} trays with {d} rolls each and drops {c} rolls. How many rolls are left, if {b} more "
             "are baked?", a * d - c + b),
            (f"{a} children each plant {d} trees in spring and {c} trees together in autumn. How many trees do they "
             "plant?", a * d + c),
            (f"A school orders {b} books at {a} euros each and gets {c} euros back. How many euros does it pay?",
             a * b - c),
            (f"Anna reads {d} pages an hour for {a} hours, and has {b + a * d} pages to read. How many pages remain?",
             b),
            (f"A tank holds {b + a * d} litres. {a} buckets of {d} litres are taken out, and {c} litres are poured in. "
             "How many litres are in the tank?", b + c),
        ]
    )  # fmt: skip


def write_questions(plan: Plan) -> None:
    draw, seen = random.Random(plan.seed), dict[str, int]()
    while len(seen) < plan.learn + plan.held_out:
        question, answer = story(draw)
        if answer > 0:
            seen[question] = answer
    rows = [json.dumps({"question": question, "answer": str(answer)}) + "\n" for question, answer in seen.items()]
    plan.out.mkdir(parents=True, exist_ok=True)
    Path(plan.file("mine")).write_text("".join(rows[: plan.learn]))
    Path(plan.file("held_out")).write_text("".join(rows[plan.learn :]))


def asked(plan: Plan, name: str, model: Path) -> list[Outcome]:
    """One attempt at each held-out question."""
    place = plan.out / "judged" / name
    if not (place / "results.json").exists():
        how = ("--questions", str(plan.held_out), "--model", str(model), "--out", str(place))
        ponder(place / "home", "eval", plan.file("held_out"), *how)
    [row] = json.loads((place / "results.json").read_text())
    return [Outcome(**each) for each in row["outcomes"]]


def learned(plan: Plan) -> dict[str, Path]:
    """The five commands, less the two that evaluate: the models in the order in which they were made."""
    home, first, grown = plan.out / "home", plan.out / "first", plan.out / "grown"
    if not (first / "model").is_dir():
        ponder(home, "collect", plan.file("mine"), "--questions", str(plan.learn), "--effort", "high")
        ponder(home, "train", "grpo", str(first), "--tasks", plan.file("mine"), "--epochs", "4", *LEARNING)
    if not (grown / "model").is_dir():
        sizes = ("--rounds", str(plan.rounds), "--questions", str(plan.questions), "--epochs", "2")
        ponder(home, "train", "grpo", str(grown), "--collect", plan.file("mine"), *sizes, *LEARNING)
    rounds = {f"round {i + 1}": grown / f"round-{i}" / "model" for i in range(plan.rounds)}
    return {"the miniature": MINI, "first": first / "model"} | rounds


def table(judged: dict[str, list[Outcome]]) -> str:
    base = judged["the miniature"]
    lines = [
        "| model | right (95 %) | points above the miniature, paired (95 %) | tokens an attempt |",
        "|---|---|---|---|",
    ]
    for name, found in judged.items():
        low, high = wilson(sum(each.right for each in found), len(found))
        share, tokens = (sum(of) / len(found) for of in ([e.right for e in found], [e.tokens for e in found]))
        gain = "-" if found is base else "{} ({} to {})".format(*points(compare(found, base)).split())
        lines.append(f"| {name} | {share:.3f} ({low:.3f} to {high:.3f}) | {gain} | {tokens:.0f} |")
    return "\n".join(lines)


def picture(judged: dict[str, list[Outcome]], path: Path) -> None:
    """The learning curve, and what the log alone made."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    curve = [found for name, found in judged.items() if name != "first"]
    for label, places, models in (
        ("collect and learn, in rounds", range(len(curve)), curve),
        ("from the log alone", [1], [judged["first"]]),
    ):
        shares = [sum(each.right for each in found) / len(found) for found in models]
        bounds = [wilson(sum(each.right for each in found), len(found)) for found in models]
        below = [share - low for share, (low, _) in zip(shares, bounds, strict=True)]
        above = [high - share for share, (_, high) in zip(shares, bounds, strict=True)]
        axes.errorbar(list(places), shares, yerr=[below, above], fmt="o-", capsize=3, label=label)
    axes.set(xlabel="rounds", ylabel="held-out questions right (95 %)", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--learn", type=int, default=600)
    parser.add_argument("--held-out", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    plan = Plan(**vars(parser.parse_args(arguments)))
    write_questions(plan)
    judged = {name: asked(plan, name, model) for name, model in learned(plan).items()}
    said = table(judged)
    (plan.out / "table.md").write_text(said + "\n")
    picture(judged, plan.out / "learning_curve.png")
    print(said)


if __name__ == "__main__":
    main()
