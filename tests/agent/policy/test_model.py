import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from agent.policy.model import load_model, prepare, version_of
from agent.policy.policy import PolicyError

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


def test_the_version_names_the_weights_and_not_where_they_lie(model_folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(model_folder, copied)
    original, copy = (version_of(load_model(folder, "cpu")) for folder in (model_folder, copied))
    assert original.version == copy.version
    assert copy.model == "copy"
    model = load_model(copied, "cpu")
    next(model.parameters()).data[0, 0] += 1
    model.save_pretrained(copied)
    assert version_of(load_model(copied, "cpu")).version != original.version


def test_a_folder_without_a_model_or_with_a_damaged_one_is_refused(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="No model could be loaded"):
        load_model(tmp_path)
    damaged = tmp_path / "damaged"
    shutil.copytree(model_folder, damaged)
    (damaged / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(PolicyError, match="No model could be loaded"):
        load_model(damaged)


@pytest.mark.parametrize(
    "model", [Qwen3ForCausalLM(Qwen3Config(**SIZES)), LlamaForCausalLM(LlamaConfig(**SIZES))], ids=["qwen3", "llama"]
)
def test_models_with_full_attention_are_checked_to_compute_what_they_did(model: torch.nn.Module) -> None:
    prepare(model)  # type: ignore[arg-type]
    assert not [module for module in model.modules() if type(module).__name__ in ("Qwen3RMSNorm", "LlamaRMSNorm")]


def test_models_with_other_attention_are_refused() -> None:
    with pytest.raises(PolicyError, match="full attention"):
        prepare(Gemma2ForCausalLM(Gemma2Config(**SIZES)))


@torch.no_grad()
def test_a_model_that_computes_something_else_here_is_refused() -> None:
    model = Gemma2ForCausalLM(Gemma2Config(**SIZES, layer_types=["full_attention"] * 2, attn_logit_softcapping=0.01))
    for name, weight in model.named_parameters():
        if "q_proj" in name:  # an attention that looks at something: random ones look at all alike
            weight.mul_(1000)
    with pytest.raises(PolicyError, match="does not run in this process"):
        prepare(model)
