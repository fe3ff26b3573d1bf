"""A tiny process reward model with a random head, made on the spot: the shipped miniature's body, or Qwen2.5-Math-PRM's
two layers on a small one. ``python -m tests.process_reward_model FOLDER`` makes the first and serves it with vLLM.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from agent.assemble import MINI

TAG = "<|endoftext|>"  # a control token that no conversation has
Kind = Literal["qwen3", "qwen2"]


def make(folder: Path, kind: Kind = "qwen3") -> Path:
    import torch
    from transformers import AutoConfig, AutoTokenizer, Qwen2Config, Qwen3ForSequenceClassification

    from verifiers.prm_local import qwen2_class

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(MINI)
    config = AutoConfig.from_pretrained(MINI)
    if kind == "qwen3":
        config.num_labels = 2
        model = Qwen3ForSequenceClassification.from_pretrained(MINI, config=config, dtype=torch.float32)
        torch.nn.init.normal_(model.score.weight, std=0.5)
    else:
        sizes = {
            name: getattr(config, name)
            for name in ("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "rope_parameters")
        }
        small = Qwen2Config(**sizes, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1)
        small.num_labels = 2
        model = qwen2_class()(small)
        for parameter in model.parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=0.1)  # at 0.15 float32 itself is 1.5e-5 from float64
    model.config.step_tag = TAG
    model.config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    model, *arguments = sys.argv[1:]
    serve = "from tui.cli import main; main()"
    line = [sys.executable, "-c", serve, "model", "serve", str(make(Path(model))), "--process-reward", *arguments]
    os.execv(line[0], line)
