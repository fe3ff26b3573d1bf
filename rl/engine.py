"""TRL's trainers as the engine of a training on the log: what they share here, and what they do besides is left out.

Data, settings and checkpoints' place are this project's; the loop, the loss, the optimiser and how to resume are TRL's
and Transformers'. ``winners``, ``dpo`` and ``reward_model`` call ``run``. GRPO and distillation have ``optimise``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback

from rl.checkpoints import TrainingError, trained
from rl.optimise import Progress, forget_after, held
from rl.processes import launched

WEIGHTS, SETTINGS = "trained.pt", "training.json"
CHECKPOINTS = "checkpoints"  # the folder of them


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How to train. AdamW, a linear warm-up and fall."""

    epochs: float = 1.0
    batch: int = 16  # rows a step, of all processes
    at_once: int = 4  # of those, how many go through the model together, in each process
    learning_rate: float = 1e-5  # at its peak
    warmup: float = 0.1  # the share of the steps
    seed: int = 0
    checkpoint_every: int = 50  # steps

    def __post_init__(self) -> None:
        if self.batch % (self.at_once * launched().count):
            raise TrainingError(
                f"{self.batch} rows a step are not so many times {self.at_once} at once in {launched().count} "
                f"process{'es' * (launched().count > 1)}; change one of them."
            )

    def arguments(self, folder: Path) -> dict[str, Any]:
        """As TRL calls them; the configurations of all its trainers take these."""
        gpu = torch.cuda.is_available()
        return {
            "output_dir": str(folder / CHECKPOINTS),
            "num_train_epochs": self.epochs,
            "per_device_train_batch_size": self.at_once,
            "gradient_accumulation_steps": self.batch // (self.at_once * launched().count),
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": "linear",
            "warmup_steps": self.warmup,
            "seed": self.seed,
            "save_steps": self.checkpoint_every,
            "save_total_limit": 2,  # a killed process may leave the last one unfinished
            "logging_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
            "remove_unused_columns": False,
            "max_length": None,  # what is too long was left out and counted before
            "bf16": gpu,
            "gradient_checkpointing": gpu,
            "dataloader_pin_memory": gpu,
            "use_cpu": not gpu,
        }


class Quiet:
    """Before a trainer of TRL among a class's bases: it reports to nobody, writes no model card, and its checkpoints
    have the weights that are trained.
    """

    model: Any

    def _send_telemetry(self) -> None:
        """TRL would tell its maintainers' server which trainer runs on what."""

    def create_model_card(self, *_: Any, **__: Any) -> None: ...

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        assert output_dir is not None
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        torch.save(trained(self.model), Path(output_dir, WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        weights = torch.load(Path(resume_from_checkpoint, WEIGHTS), map_location="cpu", weights_only=True)
        self.model.load_state_dict(weights, strict=False)


class Watching(TrainerCallback):
    """Writes metrics, tells the progress, and ends a training with a checkpoint where somebody asks for it."""

    def __init__(self, metrics: TextIO, report: Callable[[Progress], None], asked: Callable[[], bool]) -> None:
        self._metrics, self._report, self._asked = metrics, report, asked
        self._began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._asked():
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        if not state.is_world_process_zero or logs is None or "loss" not in logs:
            return  # the last one sums up
        line = {name: float(value) for name, value in logs.items() if name not in ("step", "num_tokens")}
        self._metrics.write(json.dumps({"step": state.global_step - 1} | line) + "\n")
        self._metrics.flush()
        tokens, seconds = int(logs.get("num_tokens", 0)), time.monotonic() - self._began
        norm = float(logs.get("grad_norm", 0.0))
        self._report(Progress(state.global_step - 1, line["loss"], tokens, tokens, seconds, norm, line))


def run(
    trainer: Trainer,
    folder: Path,
    shape: Mapping[str, Any],
    report: Callable[[int, Progress], None],
) -> int:
    """Train to the end, from the last checkpoint in ``folder``; returns how many steps that makes.

    ``shape`` is what may not change on the way. Ctrl-C ends it after the step under way, with a checkpoint. Raises
    ``TrainingError`` where ``folder`` holds another training.
    """
    writes = trainer.is_world_process_zero()
    go_on_with(folder, json.loads(json.dumps(shape)), writes)
    last = last_checkpoint(folder)
    forget_after(0 if last is None else step_of(last), folder / "metrics.jsonl", writes)
    with (folder / "metrics.jsonl" if writes else Path(os.devnull)).open("a") as metrics, held() as asked:
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Watching(metrics, lambda progress: report(trainer.state.max_steps, progress), asked))
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if trainer.state.global_step < trainer.state.max_steps:
        raise KeyboardInterrupt
    return trainer.state.max_steps


def go_on_with(folder: Path, shape: Mapping[str, Any], writes: bool) -> None:
    """Note what is trained in ``folder``, if this process ``writes``.

    Raises ``TrainingError`` where it holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SETTINGS
    if last_checkpoint(folder) is not None and file.exists():
        then = json.loads(file.read_text())
        changed = [f"{name} {then.get(name)}, not {now}" for name, now in shape.items() if then.get(name) != now]
        if changed:
            sentence = f"{folder} holds a training with {'; '.join(changed)}; use those, or name another folder."
            raise TrainingError(sentence)
    if writes:
        file.write_text(json.dumps(dict(shape), indent=1) + "\n")


def last_checkpoint(folder: Path) -> Path | None:
    """The last whole one; what Transformers writes last is the trainer's state."""
    found = [each.parent for each in (folder / CHECKPOINTS).glob("checkpoint-*/trainer_state.json")]
    return max(found, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
