"""What does the gate do with real candidates: how many useless, harmful and better ones does it promote?

    python tests/evidence/gate.py noise MODEL FOLDER COUNT SCALE     # candidates: MODEL with noise in its weights
    python tests/evidence/gate.py record INCUMBENT FOLDER OUT [QUESTIONS] [GUARDED] [PROCESSES]
    python tests/evidence/gate.py report OUT [GATES] [EFFECT]

``record`` asks the incumbent and every model in FOLDER the same held-out questions and keeps the outcomes in OUT, a
file of JSON lines each; what is there already is not asked again. INCUMBENT is a folder, or NAME@BASE_URL; so is each
line of FOLDER/served.txt, where there is one. A candidate's kind is its name up to the first dash (null-3, harmful-1).
GUARDED is how many questions of each guard, 0 for none: the primary suite alone promotes at least as many as the gate.

``report`` decides once on the questions as they were asked, the gate of each candidate, and prints how many passed of
each kind. Then it draws questions again (with replacement), GATES gates of each, and prints the share promoted
with the exact 95 % interval of all gates of its kind. Gates of one candidate share its questions, so that an interval
over few candidates is too narrow. Then the same with fair coins deciding whose answers are whose (a null that
is exact), and with coins that lean so far that the mean difference is EFFECT. No gate has more questions than were
asked.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from agent.assemble import assemble, open_encoder
from agent.settings import Settings
from rl.evaluate import Harness
from rl.gate import decided
from rl.gate_records import Answers, Contest, Decision, GateSettings, Pair, Wanted
from rl.gating import answers_of, effort_of, task_at, without_verifiers
from rl.significance import exact_interval

RULES = GateSettings()
SAMPLE = Contest("evidence", "evidence", 0)  # whose questions are recorded
PART = 100
Outcomes = dict[str, Answers]  # by suite


def noise(model: str, folder: Path, count: int, scale: float) -> None:
    """``count`` copies of the model whose weights are moved by ``scale`` times their own standard deviation."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for index in range(count):
        loaded = AutoModelForCausalLM.from_pretrained(model)
        generator = torch.Generator().manual_seed(index)
        with torch.no_grad():
            for weights in (each for each in loaded.parameters() if each.numel() > 1):
                weights += scale * weights.std() * torch.randn(weights.shape, generator=generator, dtype=weights.dtype)
        loaded.save_pretrained(folder / f"null-{index}")
        AutoTokenizer.from_pretrained(model).save_pretrained(folder / f"null-{index}")


async def record(model: str, out: Path, questions: int, guarded: int) -> None:
    """The model's outcomes at the first questions of each suite, part by part."""
    name, _, base_url = model.partition("@")
    settings = Settings(home=out / "home", model=name, base_url=base_url or None)
    file = out / f"{Path(name).name}.jsonl"
    done = {(row["suite"], row["start"]) for row in rows_of(file)}
    async with assemble(settings) as agent:
        harness = without_verifiers(Harness(replace(agent, checkpointer=None), open_encoder(settings)))
        for suite in RULES.suites:
            primary = suite == RULES.primary
            attempts = RULES.attempts if primary else 1
            for start in range(0, questions if primary else guarded, PART):
                if (suite.name, start) in done:
                    continue
                wanted = Wanted(suite, start, start + PART, attempts)
                tasks = [task_at(suite, SAMPLE.seed(suite.name), index) for index in range(start, wanted.stop)]
                found = await answers_of(harness, tasks, effort_of(RULES, wanted), attempts, lambda: None)
                row = {"suite": suite.name, "start": start, "right": found.right_N_S.tolist()}
                row |= {"formed": found.formed_N_S.tolist(), "tokens": found.tokens_N_S.tolist()}
                with file.open("a") as lines:
                    lines.write(json.dumps(row) + "\n")
                print(f"{file.stem} {suite.name} {wanted.stop}: {found.right_N_S.mean():.3f}", flush=True)


def recorded(model: str, out: Path, questions: int, guarded: int) -> None:
    asyncio.run(record(model, out, questions, guarded))


def rows_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def outcomes_of(file: Path) -> Outcomes:
    found: Outcomes = {}
    for row in sorted(rows_of(file), key=lambda row: int(str(row["start"]))):
        part = Answers(*(np.array(row[name], dtype=np.float64) for name in ("right", "formed", "tokens")))
        suite = str(row["suite"])
        found[suite] = found[suite].and_then(part) if suite in found else part
    return found


def rows(answers: Answers, places: np.ndarray) -> Answers:
    return Answers(answers.right_N_S[places], answers.formed_N_S[places], answers.tokens_N_S[places])


def asked(rules: GateSettings, outcomes: Outcomes) -> GateSettings:
    """The rules, with no more questions and guards than were asked."""
    guards = tuple(guard for guard in rules.guards if guard.name in outcomes)
    return replace(rules, most=min(rules.most, len(outcomes[rules.primary.name].right_N_S)), guards=guards)


def gate_once(one: Outcomes, other: Outcomes, rules: GateSettings) -> Decision:
    """On the questions as they were asked, those of guards again where they do not suffice."""

    def answer(wanted: Wanted) -> Pair:
        mine, theirs = one[wanted.suite.name], other[wanted.suite.name]
        places = np.arange(wanted.start, wanted.stop) % len(mine.right_N_S)
        return Pair(rows(mine, places), rows(theirs, places))

    return decided(rules, Contest("candidate", "incumbent", 0), answer)


def gate_of(one: Outcomes, other: Outcomes, seed: int, lean: float | None, rules: GateSettings) -> Decision:
    """With questions that are drawn again; with ``lean``, a coin decides whose answers are whose: heads, with that
    chance, the better ones are the candidate's."""
    generator = np.random.default_rng(seed)

    def answer(wanted: Wanted) -> Pair:
        mine, theirs = one[wanted.suite.name], other[wanted.suite.name]
        places = generator.integers(len(mine.right_N_S), size=wanted.stop - wanted.start)
        pair = Pair(rows(mine, places), rows(theirs, places))
        if lean is None:
            return pair
        heads = generator.random(len(places)) < (lean if wanted.suite == rules.primary else 0.5)
        turn = np.where(pair.differences() >= 0, ~heads, heads)[:, None]
        names = ("right_N_S", "formed_N_S", "tokens_N_S")
        both = [(getattr(pair.candidate, name), getattr(pair.incumbent, name)) for name in names]
        return Pair(
            Answers(*(np.where(turn, b, a) for a, b in both)), Answers(*(np.where(turn, a, b) for a, b in both))
        )

    return decided(rules, Contest("candidate", "incumbent", seed), answer)


def told(label: str, decisions: list[Decision]) -> None:
    promoted = sum(d.promote for d in decisions)
    better = sum(d.looks[-1].verdict == "passed" for d in decisions)
    low, high = exact_interval(promoted, len(decisions))
    tokens = np.mean([d.tokens for d in decisions])
    print(
        f"{label}: {promoted} of {len(decisions)} promoted, {promoted / len(decisions):.1%} ({low:.1%} to {high:.1%}); "
        f"{better} better on the primary suite; {np.mean([d.items for d in decisions]):,.0f} questions, "
        f"{tokens:,.0f} tokens a gate"
    )


def report(out: Path, gates: int, effect: float) -> None:
    incumbent = outcomes_of(out / "incumbent.jsonl")
    kinds: dict[str, list[Decision]] = defaultdict(list)
    for file in sorted(out.glob("*-*.jsonl")):
        one = outcomes_of(file)
        rules = asked(RULES, one)
        alone = replace(rules, guards=())
        pair = Pair(one[RULES.primary.name], incumbent[RULES.primary.name])
        differences = pair.differences()
        print(
            f"{file.stem}: {differences.mean():+.3f} on {pair.items} questions, "
            f"mean square {(differences**2).mean():.3f}; {pair.candidate.tokens_N_S.mean():.0f} tokens an attempt, not "
            f"{pair.incumbent.tokens_N_S.mean():.0f}; form {pair.candidate.formed_N_S.mean():.3f}, not "
            f"{pair.incumbent.formed_N_S.mean():.3f}"
        )
        once = gate_once(one, incumbent, rules)
        kinds[f"{file.stem.partition('-')[0]}, really"].append(once)
        print(f"  as asked: {'promoted' if once.promote else 'refused'}; {' '.join(once.reasons)}")
        made = [gate_of(one, incumbent, seed, None, rules) for seed in range(gates)]
        told(f"  {file.stem}", made)
        kinds[file.stem.partition("-")[0]] += made
        told("  fair coins", [gate_of(one, incumbent, seed, 0.5, alone) for seed in range(gates)])
        size = float(np.abs(differences).mean())
        if effect <= size:
            lean = (1 + effect / size) / 2
            told(f"  {effect:+.1%} by coins", [gate_of(one, incumbent, seed, lean, alone) for seed in range(gates)])
    for kind, decisions in kinds.items():
        told(f"all {kind}", decisions)


def main(command: str, *given: str) -> None:
    if command == "noise":
        noise(given[0], Path(given[1]), int(given[2]), float(given[3]))
    elif command == "record":
        incumbent, folder, out, *sizes = given
        place = Path(out)
        place.mkdir(parents=True, exist_ok=True)
        served = folder_lines(Path(folder) / "served.txt")
        models = [incumbent, *map(str, sorted(p for p in Path(folder).iterdir() if p.is_dir())), *served]
        questions, guarded, processes = [*map(int, sizes), *(1200, 600, 1)[len(sizes) :]]
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            list(pool.map(partial(recorded, out=place, questions=questions, guarded=guarded), models))
        incumbent_file = place / f"{Path(incumbent.partition('@')[0]).name}.jsonl"
        (place / "incumbent.jsonl").write_text(incumbent_file.read_text())
    else:
        report(Path(given[0]), int(given[1]) if len(given) > 1 else 200, float(given[2]) if len(given) > 2 else 0.04)


def folder_lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


if __name__ == "__main__":
    main(*sys.argv[1:])
