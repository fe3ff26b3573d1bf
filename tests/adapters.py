"""LoRA adapters with random weights for the shipped miniature, and the model that they make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.assemble import MINI
from agent.policy.adapters import CONFIG, WEIGHTS

RANK, ALPHA = 8, 16
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


def random_adapter(folder: Path, seed: int, scale: float = 0.05) -> Path:
    """An adapter in PEFT's format that changes every attention matrix a little."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(MINI)
    drawn = torch.Generator().manual_seed(seed)
    wide, queries = config.hidden_size, config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    shapes = {"q_proj": (wide, queries), "k_proj": (wide, keys), "v_proj": (wide, keys), "o_proj": (queries, wide)}
    tensors = {}
    for layer in range(config.num_hidden_layers):
        for name, (inward, outward) in shapes.items():
            prefix = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{prefix}.lora_A.weight"] = torch.randn(RANK, inward, generator=drawn) * scale
            tensors[f"{prefix}.lora_B.weight"] = torch.randn(outward, RANK, generator=drawn) * scale
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS)
    described = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "bias": "none",
        "target_modules": list(TARGETS), "base_model_name_or_path": "mini",
    }  # fmt: skip
    (folder / CONFIG).write_text(json.dumps(described))
    return folder


def adapted(folder: Path, base: Path = MINI) -> Any:
    """A model in float32, by default the miniature, with an adapter added to its matrices."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tensors = load_file(folder / WEIGHTS)
    with torch.inference_mode():
        for name, down in tensors.items():
            if name.endswith("lora_A.weight"):
                module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                up = tensors[name.replace("lora_A", "lora_B")]
                model.get_parameter(f"{module}.weight").add_(up @ down, alpha=ALPHA / RANK)
    return model


def difference(model: Any, sample: Any) -> float:
    """The largest difference between a sample's log-probabilities and a plain forward pass of ``model``."""
    import torch

    ids = torch.tensor([[*sample.prompt_token_ids, *sample.token_ids]])
    with torch.inference_mode():
        logits_T_V = model(ids).logits[0, len(sample.prompt_token_ids) - 1 : -1].double()
    logprobs_T_V = torch.log_softmax(logits_T_V / sample.params.temperature, dim=-1)
    plain = logprobs_T_V.gather(1, torch.tensor(sample.token_ids)[:, None])[:, 0]
    return float((plain - torch.tensor(sample.logprobs, dtype=torch.float64)).abs().max())
