"""TRL's own trainers on groups that are in the log: rollouts are rows of ``rl.export``, and nothing is sampled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trl.trainer.grpo_trainer import GRPOTrainer
    from trl.trainer.rloo_trainer import RLOOTrainer

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # it warns that rollout_func may change; the version is pinned

Rows = Sequence[dict[str, Any]]


def grpo_trainer(folder: Path, rows: Rows, **settings: Any) -> GRPOTrainer:
    """Of the model in ``folder``; its one step takes all rows, of groups of one size."""
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    config = GRPOConfig(**(configuration(folder, rows) | settings))
    return GRPOTrainer(args=config, rollout_func=lambda prompts, trainer: rollouts(rows), **common(folder, rows))


def rloo_trainer(folder: Path, rows: Rows, **settings: Any) -> RLOOTrainer:
    """The same; it has no ``rollout_func``, so that the method with which it would sample is replaced."""
    from trl.trainer.rloo_config import RLOOConfig
    from trl.trainer.rloo_trainer import RLOOTrainer

    config = RLOOConfig(**(configuration(folder, rows) | settings))
    trainer: Any = RLOOTrainer(args=config, **common(folder, rows))
    names = ("prompt_ids", "completion_ids", "path")
    trainer._generate = lambda prompts: tuple([row[name] for row in rows] for name in names)
    return trainer


def rollouts(rows: Rows) -> dict[str, list[Any]]:
    """What a ``rollout_func`` returns; TRL hands the rewards on to the reward function."""
    names = ("prompt_ids", "completion_ids", "logprobs", "env_mask", "reward")
    return {name: [row[name] for row in rows] for name in names}


def members(rows: Rows) -> int:
    """Of a group; all have as many."""
    return sum(row["group"] == rows[0]["group"] for row in rows)


def common(folder: Path, rows: Rows) -> dict[str, Any]:
    from datasets import Dataset

    data = Dataset.from_dict({"prompt": ["?"] * (len(rows) // members(rows))})
    return {"model": str(folder), "reward_funcs": lambda reward, **_: reward, "train_dataset": data}


def configuration(folder: Path, rows: Rows) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "trl"),
        "per_device_train_batch_size": len(rows),
        "num_generations": members(rows),
        "max_steps": 1,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "shuffle_dataset": False,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "bf16": False,
        "model_init_kwargs": {"dtype": "float32"},
    }
