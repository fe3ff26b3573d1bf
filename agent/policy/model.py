"""A Transformers causal LM made ready for ``batch``: loaded, made lean, checked, named; and its one forward pass."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AttentionInterface, AutoModelForCausalLM
from transformers.utils import logging

from agent.policy.keyvalues import ATTENTION, KeyValues, attend
from agent.policy.policy import PolicyError
from agent.policy.sampling import Draw, draw_rows
from agent.policy.weights import version_in
from agent.records import PolicyVersion, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from agent.policy.constraint import Constraint

OTHER_ARCHITECTURE = "This model's architecture does not run in this process; serve it with vLLM."
SMALL_PARAMETERS = 50_000_000  # below this a second thread waits longer than it computes


def load_model(folder: str | PathLike[str], device: str | None = None) -> PreTrainedModel:
    """A model's folder (or hub name) in float32 on ``device``, by default the GPU where there is one."""
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    except Exception as error:  # a damaged file makes the libraries under it raise many things
        sentence = f"No model could be loaded from {folder}; give a folder with config.json and model.safetensors."
        raise PolicyError(sentence) from error
    finally:
        if bar:
            logging.enable_progress_bar()
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def merged(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """The model with a LoRA adapter's weights added to its own. Raises ``PolicyError``."""
    try:
        from peft import PeftModel
    except ImportError as error:
        sentence = "The package peft, which adds an adapter to a model, is missing: `make test` installs all."
        raise PolicyError(sentence) from error
    try:
        return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(safe_merge=True)
    except Exception as error:  # what does not fit, or is damaged, makes the libraries raise many things
        raise PolicyError(f"The adapter {adapter} does not go on this model ({error}); promote another.") from error


def version_of(model: PreTrainedModel) -> PolicyVersion:
    """The version in its folder, or the hub's name and commit."""
    name = model.name_or_path or type(model).__name__
    if Path(name).is_dir():
        return version_in(Path(name))
    return PolicyVersion(name, version=(getattr(model.config, "_commit_hash", None) or "unknown")[:12])


def use_threads(model: PreTrainedModel) -> None:
    """One thread for a small model on a CPU; else what torch chose. It holds for the process, so far as MKL goes."""
    if model.device.type == "cpu" and model.num_parameters() < SMALL_PARAMETERS:
        torch.set_num_threads(1)


def prepare(model: PreTrainedModel) -> None:
    """Exchange attention and norms for leaner ones, and check that the model computes what it did.

    Raises ``PolicyError`` where it does not.
    """
    config = model.config
    layers = set(getattr(config, "layer_types", None) or ["sliding" if getattr(config, "sliding_window", None) else ""])
    if layers - {"full_attention", ""}:
        raise PolicyError("Only models with full attention run in this process; serve this one with vLLM.")
    try:
        same = _exchange(model.requires_grad_(False).eval())
    except Exception as error:  # an architecture that this was not written for may fail anywhere
        raise PolicyError(OTHER_ARCHITECTURE) from error
    if not same:
        raise PolicyError(OTHER_ARCHITECTURE)


@torch.inference_mode()
def _exchange(model: PreTrainedModel) -> bool:
    """Make the exchange; whether the logits after eight tokens stayed the same."""
    ids = torch.arange(8, device=model.device)[None]
    model.set_attn_implementation("eager")  # the one that leaves out nothing of a model's attention
    expected_V = model(input_ids=ids, use_cache=False).logits[0, -1].float().cpu()
    _exchange_norms(model)
    AttentionInterface.register(ATTENTION, attend)
    model.set_attn_implementation(ATTENTION)
    return torch.allclose(expected_V, _logits_in_two_passes(model, ids), rtol=1e-3, atol=1e-3)


def _exchange_norms(model: torch.nn.Module) -> None:
    """torch's RMSNorm is one call where Transformers' is six: a third of a decoding step of a small model."""
    for module in list(model.modules()):
        for name, norm in module.named_children():
            if type(norm).__name__.endswith("RMSNorm") and (lean := _lean_norm(norm)):
                setattr(module, name, lean)


def _lean_norm(norm: Any) -> torch.nn.RMSNorm | None:
    """torch's own with the same weight, where it gives the same numbers: some models scale by 1 + weight."""
    if not hasattr(norm, "variance_epsilon"):
        return None
    lean = torch.nn.RMSNorm(len(norm.weight), norm.variance_epsilon, device="meta")
    lean.weight = norm.weight
    probe = torch.linspace(-2, 3, len(norm.weight)).to(norm.weight)
    return lean if torch.allclose(norm(probe), lean(probe), rtol=1e-4, atol=1e-5) else None


def _logits_in_two_passes(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Logits [V] after ``ids`` [1, T], the last of them in a decoding step."""
    keys = KeyValues(model.config, next(model.parameters()))
    last = ids.shape[1] - 1
    positions = torch.arange(last + 1, device=ids.device)
    logits_of(model, ids[:, :last], positions[None, :last], keys.extend(0, last), keys)
    mask = keys.step(positions[last:], last + 1)
    return torch.from_numpy(logits_of(model, ids[:, last:], positions[None, last:], mask, keys)[0])


def logits_of(
    model: PreTrainedModel, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, keys: KeyValues
) -> NDArray[np.float32]:
    """One forward pass of ids [R, Q]; the logits [R, V] of each row's last token."""
    return _forward(model, ids, positions, mask, keys, 1)[:, -1]


@torch.inference_mode()
def redraw(
    model: PreTrainedModel, sample: Sample, constraint: Constraint | None = None, chunk: int = 128
) -> list[Draw]:
    """How each token of a sample is drawn again after those that it was drawn after.

    One pass over the whole sample, not step by step: the logits are those of sampling up to rounding.
    """
    keys = KeyValues(model.config, next(model.parameters()))
    ids = [*sample.prompt_token_ids, *sample.token_ids[:-1]]
    unused = len(sample.prompt_token_ids) - 1  # tokens before the first whose logits something was drawn from
    draws: list[Draw] = []
    for start in range(0, len(ids), chunk):
        part = torch.tensor([ids[start : start + chunk]])
        end = start + part.shape[1]
        positions, mask = torch.arange(start, end, device=model.device)[None], keys.extend(start, end)
        logits_Q_V = _forward(model, part, positions, mask, keys, end - start)[0, max(unused - start, 0) :]
        rows = len(logits_Q_V)
        indices = range(end - unused - rows, end - unused)
        if constraint is not None and rows:
            pairs = zip(indices, logits_Q_V, strict=True)
            logits_Q_V = np.stack([taken(constraint, own, sample.token_ids[i]) for i, own in pairs])
        draws += draw_rows(logits_Q_V, [sample.params] * rows, [sample.params.seed] * rows, indices)
    return draws


def taken(constraint: Constraint, logits_V: NDArray[np.float32], token: int) -> NDArray[np.floating]:
    """The logits within the constraint, which goes on after the token that was sampled from them."""
    allowed_V = constraint.within(logits_V)
    constraint.take(token)
    return allowed_V


def _forward(
    model: PreTrainedModel, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, keys: KeyValues, last: int
) -> NDArray[np.float32]:
    logits_R_Q_V = model(
        input_ids=ids.to(model.device),
        position_ids=positions,
        attention_mask=mask,
        past_key_values=keys,
        use_cache=True,
        logits_to_keep=last,
    ).logits
    return logits_R_Q_V[:, -last:].float().cpu().numpy()
