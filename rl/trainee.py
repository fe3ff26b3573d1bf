"""The model that a training changes, and how it is written: all of its weights, or an adapter on top of them.

An adapter continues the one that drew the samples, so that a server that has the base model takes it while it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from agent.policy.adapters import CONFIG
from rl.checkpoints import TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from agent.policy.renderer import Renderer

ALPHA = 2  # an adapter's scale is alpha / rank (Hu et al. 2021): twice the rank, so that it does not depend on it


@dataclass(frozen=True, slots=True)
class Trainee:
    """A causal language model whose weights that want gradients are trained."""

    model: PreTrainedModel
    renderer: Renderer
    save: Callable[[Path], None]  # into a folder that others load


def whole(name: str, precision: torch.dtype = torch.bfloat16) -> Trainee:
    """All weights of a model, written in that precision. Raises ``PolicyError`` where it cannot be loaded."""
    from rl.sft import export, prepare

    model, renderer, _ = prepare(name, 0)
    return Trainee(model, renderer, lambda folder: export(model, renderer, folder, precision))


def adapted(name: str, rank: int, parent: Path | None = None) -> Trainee:
    """A LoRA of ``rank`` on every linear map inside the layers, or the one in the folder ``parent``, continued.

    Raises ``TrainingError`` where the parent is none of this model, and ``PolicyError``.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    from rl.sft import prepare

    model, renderer, _ = prepare(name, 0)
    if parent is None:
        how = LoraConfig(r=rank, lora_alpha=ALPHA * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        with torch.random.fork_rng():
            torch.manual_seed(0)  # what an adapter begins with is random, and its product nothing
            wrapped: Any = get_peft_model(model, how)
    else:
        if not (parent / CONFIG).is_file():
            raise TrainingError(f"{parent} is no adapter: {CONFIG} is missing; name a folder that has one.")
        try:
            wrapped = PeftModel.from_pretrained(model, str(parent), is_trainable=True)
        except Exception as error:  # a damaged file makes the libraries under it raise many things
            raise TrainingError(f"{parent} is no adapter of {name} ({error}); name one of this model.") from error
    return Trainee(wrapped.get_base_model(), renderer, wrapped.save_pretrained)
