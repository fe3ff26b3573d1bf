"""The miniature in a size that every test run can make: its own tokenizer from few texts, two narrow layers."""

from pathlib import Path
from typing import TYPE_CHECKING

from rl.mini import build_config, build_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM


def tiny_tokenizer() -> "PreTrainedTokenizerFast":
    """The miniature's own, learned from 40 demonstrations."""
    return build_tokenizer(seed=0, vocabulary=600, texts=40)


def tiny_model(vocabulary: int, context: int = 4096, spread: float = 0.02) -> "Qwen3ForCausalLM":
    """30,000 random weights in the miniature's architecture; a larger ``spread`` makes its choices less even."""
    import torch
    from transformers import Qwen3ForCausalLM

    config = build_config(vocabulary)
    config.update(
        {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "layer_types": ["full_attention"] * 2,
            "head_dim": 16,
            "max_position_embeddings": context,
            "initializer_range": spread,
        }
    )
    torch.manual_seed(0)
    return Qwen3ForCausalLM(config)


def save_tiny_model(folder: Path, context: int) -> Path:
    """A folder as ``agent/policy/mini`` is one, with a model that answers nonsense."""
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder)
    tiny_model(len(tokenizer), context, spread=0.3).save_pretrained(folder)
    return folder
