"""An outcome reward model learns from pairs of attempts which of two is better (Bradley & Terry 1952).

A causal model's body with one linear layer over one number, read at the token that ends an attempt. It reads what the
verifier ``outcome_reward`` will show it, a question and the text of an attempt; token ids of a log belong to prompts
that the verifier never sees. ``ponder train reward`` calls it; TRL's RewardTrainer trains.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from agent.graph import case_of
from agent.policy.attempts import AttemptEncoder
from agent.records import Path as Place
from agent.records import Run
from agent.store import Store
from rl.checkpoints import TrainingError
from rl.engine import EngineSettings, Quiet, run
from rl.optimise import Progress
from rl.preference import Pairs, Side
from rl.tasks.task import digest
from rl.winners import because, shape_of
from verifiers.verdict import Case

CENTER = "reward_center"  # in config.json: the mean reward of what it was trained on


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question, the better attempt at it and the worse one, as ids."""

    question: str
    winner: tuple[int, ...]
    loser: tuple[int, ...]

    @property
    def held_out(self) -> bool:
        """One question in ten, by the hash of its text, says how good the model is; the rest train it."""
        return digest(f"calibration/{self.question}") % 10 == 0


@dataclass(frozen=True, slots=True)
class Comparisons:
    """What there is to learn from, and what is not, by reason."""

    made: tuple[Comparison, ...]
    left_out: Counter[str]


@dataclass(frozen=True, slots=True)
class Judged:
    """How good the model is."""

    pairs: int  # that it learned from
    steps: int
    held_out: int  # pairs of questions that it did not learn from
    accuracy: float | None  # of those, the share in which the winner has the higher reward; None where there is none
    center: float  # the mean reward of the attempts that it learned from


class LoggedReward(Quiet, RewardTrainer):
    """On rows that are ready."""


def comparisons(log: Store, pairs: Pairs, encode: AttemptEncoder, longest: int) -> Comparisons:
    """The pairs of whole attempts with an answer that a model can read which reads ``longest`` tokens, each once."""
    left_out = Counter(pairs.left_out)
    made: dict[Comparison, None] = {}
    runs: dict[str, Run] = {}
    for pair in pairs.pairs:
        cases = [case_at(log, runs, side) for side in (pair.winner, pair.loser)]
        read = [tuple(encode(case.question, case.steps)) for case in cases if case is not None and case.finished]
        if len(read) < 2:
            left_out["one of them is no whole attempt with an answer"] += 1
        elif max(map(len, read)) > longest:
            left_out["it is longer than the model reads"] += 1
        elif read[0] == read[1]:
            left_out["they read the same"] += 1
        else:
            made[Comparison(runs[pair.winner.run_id].question, *read)] = None
    return Comparisons(tuple(made), left_out)


def case_at(log: Store, runs: dict[str, Run], side: Side) -> Case | None:
    """The attempt that goes through the beginning of a side; None where several do."""
    if side.run_id not in runs:
        runs[side.run_id] = log.run(side.run_id)
    found = runs[side.run_id]
    leaf: Place = side.path
    while below := [node.path for node in found.nodes if node.parent == leaf]:
        if len(below) > 1:
            return None
        [leaf] = below
    return case_of(found.question, found.trajectory(leaf), "\n\n")


def new_model(base: str) -> Any:
    """The body of ``base`` with a new layer over one number; float32, on the GPU where there is one."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32)
    torch.nn.init.zeros_(model.score.weight)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def learn(
    model: Any,
    encode: AttemptEncoder,
    found: Comparisons,
    how: EngineSettings,
    folder: Path,
    report: Callable[[int, Progress], None] = lambda steps, progress: None,
) -> Judged:
    """Train on the comparisons and write the model, centred, to ``folder``/model. A second call resumes.

    Raises ``TrainingError`` where there is none, with the reasons.
    """
    learned = [each for each in found.made if not each.held_out]
    if not learned:
        raise TrainingError(
            f"The log has no pair to learn from ({because(found.left_out)}); ask for less with --margin."
        )
    rows = [{"chosen_ids": list(each.winner), "rejected_ids": list(each.loser)} for each in learned]
    trainer = LoggedReward(
        model=model,
        args=RewardConfig(**how.arguments(folder)),
        train_dataset=Dataset.from_list(rows),
        processing_class=encode.renderer.tokenizer,
    )
    steps = run(trainer, folder, shape_of(how, rows), report)
    judged = measured(model, found.made, steps)
    model.config.reward_center = judged.center
    if trainer.is_world_process_zero():
        export(model, encode, folder / "model")
        (folder / "judged.json").write_text(json.dumps(asdict(judged), indent=1) + "\n")
    return judged


def measured(model: Any, made: Sequence[Comparison], steps: int) -> Judged:
    known = rewards(model, {ids for each in made for ids in (each.winner, each.loser)})
    learned, held_out = ([each for each in made if each.held_out == held] for held in (False, True))
    right = sum(known[each.winner] > known[each.loser] for each in held_out)
    attempts = {ids for each in learned for ids in (each.winner, each.loser)}
    center = sum(known[ids] for ids in sorted(attempts)) / len(attempts)
    return Judged(len(learned), steps, len(held_out), right / len(held_out) if held_out else None, center)


@torch.no_grad()
def rewards(model: Any, attempts: set[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
    """One at a time, so that no padding is near."""
    model.eval()
    return {ids: float(model(input_ids=torch.tensor([ids], device=model.device)).logits) for ids in attempts}


def export(model: Any, encode: AttemptEncoder, folder: Path) -> None:
    """Write the model as Transformers loads it: bfloat16 weights, tokenizer, chat template."""
    copy.deepcopy(model).bfloat16().save_pretrained(folder)
    encode.renderer.tokenizer.save_pretrained(folder)
