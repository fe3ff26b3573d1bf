"""Direct preference optimisation (Rafailov et al. 2023) on pairs of the log, with the tokens that were sampled.

TRL's DPOTrainer tokenises whatever it is given, but its collator and loss know token ids only: rows go past its
preparation, and a completion's mask leaves out what tools wrote between two samples, which TRL's own collator counts as
the model's. The reference is the model that the training begins with; TRL asks it once, before the first step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from rl.checkpoints import TrainingError
from rl.engine import EngineSettings, Quiet, run
from rl.optimise import Progress
from rl.preference import Pair, Pairs, Side, short
from rl.trainee import Trainee
from rl.winners import because, shape_of


class LoggedDPO(Quiet, DPOTrainer):
    """On rows that are ready."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset


@dataclass
class SampledOnly(DataCollatorForPreference):
    """TRL's collator, with a mask of the tokens that were sampled."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().torch_call(examples)
        batch["completion_mask"] = torch.zeros_like(batch["attention_mask"])
        masks = [each[name] for name in ("chosen_mask", "rejected_mask") for each in examples]
        starts = [len(each["prompt_ids"]) for each in examples] * 2
        for row_T, start, mask in zip(batch["completion_mask"], starts, masks, strict=True):
            row_T[start : start + len(mask)] = torch.tensor(mask)
        return batch


def row(pair: Pair) -> dict[str, list[int]]:
    """As ``SampledOnly`` takes it."""
    sides: Mapping[str, Side] = {"chosen": pair.winner, "rejected": pair.loser}
    ids = {f"{name}_ids": list(side.token_ids) for name, side in sides.items()}
    masks = {f"{name}_mask": [int(own) for own in side.learn] for name, side in sides.items()}
    return {"prompt_ids": list(pair.prompt), **ids, **masks}


def trainer_of(trainee: Trainee, pairs: Pairs, how: EngineSettings, beta: float, folder: Path) -> LoggedDPO:
    """Ready to train; the reference's log-probabilities are known."""
    arguments = how.arguments(folder) | {"beta": beta, "precompute_ref_log_probs": True}
    tokenizer: Any = trainee.renderer.tokenizer
    with no_bars():
        return LoggedDPO(
            model=trainee.model,
            args=DPOConfig(**arguments),
            data_collator=SampledOnly(pad_token_id=tokenizer.pad_token_id),
            train_dataset=Dataset.from_list([row(pair) for pair in pairs.pairs]),
            processing_class=tokenizer,
        )


def learn(
    trainee: Trainee,
    found: Pairs,
    how: EngineSettings,
    beta: float,
    folder: Path,
    report: Callable[[int, Progress], None] = lambda steps, progress: None,
) -> tuple[Pairs, int]:
    """Train on the pairs and write the model to ``folder``/model; which they were, and the steps.

    A second call resumes. ``beta`` is how much the model is held to what it was. Raises ``TrainingError`` where there
    is no pair, with the reasons.
    """
    pairs = short(found, trainee.model.config.max_position_embeddings)
    if not pairs.pairs:
        sentence = f"The log has no pair to learn from ({because(pairs.left_out)}); ask for less with --margin."
        raise TrainingError(sentence)
    shape = shape_of(how, [row(pair) for pair in pairs.pairs]) | {"beta": beta}
    trainer = trainer_of(trainee, pairs, how, beta, folder)
    steps = run(trainer, folder, shape, report)
    if trainer.is_world_process_zero():
        trainee.save(folder / "model")
    return pairs, steps


@contextmanager
def no_bars() -> Iterator[None]:
    """TRL and datasets draw bars of their own while a trainer is made."""
    shown, before = is_progress_bar_enabled(), os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    disable_progress_bar()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before
        if shown:
            enable_progress_bar()
