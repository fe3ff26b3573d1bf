"""Where a training stands, on disk: a killed one resumes from there and ends as if it had not been killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from agent.errors import PonderError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TrainingError(PonderError):
    """A training cannot go on."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a training stands, beside its weights."""

    step: int  # the next one
    tokens: int  # seen
    settings: dict[str, Any]  # that shape the result


def save_checkpoint(
    model: PreTrainedModel, optimizers: Sequence[torch.optim.Optimizer], folder: Path, standing: Standing
) -> None:
    """Replace the last checkpoint at once or not at all. Of the model it has the weights that are trained."""
    weights = {"model": trained(model), "optimizers": [o.state_dict() for o in optimizers]}
    torch.save(weights | asdict(standing), folder / "checkpoint.tmp")
    os.replace(folder / "checkpoint.tmp", folder / "checkpoint.pt")


def trained(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The weights that want gradients, by name."""
    return {name: value.detach() for name, value in model.state_dict(keep_vars=True).items() if value.requires_grad}


def resume(
    model: PreTrainedModel,
    optimizers: Sequence[torch.optim.Optimizer],
    folder: Path,
    shaping: Callable[[int, Mapping[str, Any]], Mapping[str, Any]],
) -> tuple[int, int]:
    """Where the last checkpoint of ``folder`` stands: (steps done, tokens seen).

    ``shaping`` gives the settings that shape the result, from the checkpoint's step and its own. Raises
    ``TrainingError`` where it was made with others, or of another model.
    """
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0, 0
    state = torch.load(path, map_location=model.device, weights_only=True)
    then = state.get("settings", {})
    now = shaping(state["step"], then)
    changed = [f"{name} {then.get(name)}, not {now[name]}" for name in now if then.get(name) != now[name]]
    if then and changed:
        raise TrainingError(f"{folder} holds a training with {'; '.join(changed)}; use those, or name another folder.")
    try:
        model.load_state_dict(state["model"], strict=False)
        if missing := trained(model).keys() - state["model"].keys():
            raise RuntimeError(f"without {min(missing)}")
    except RuntimeError as error:
        raise TrainingError(f"{folder} holds a training of another model; name another folder.") from error
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["step"], state["tokens"]
