"""The untrained miniature: its tokenizer and its architecture. ``rl.sft`` trains what this builds.

Qwen3's architecture, control tokens and form of turns (Qwen3 Technical Report, 2025), so that the same code and the
same server flags serve this and Qwen3-8B; only the numbers are small.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rl.tasks.suite import mixture

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3Config

TEMPLATE = Path(__file__).parent.parent / "agent" / "policy" / "mini" / "chat_template.jinja"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
ADDED = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
# Qwen's pre-tokenisation (one digit a piece), so that numbers are copied and compared digit by digit.
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTEXT = 4096


def build_tokenizer(seed: int, vocabulary: int = 2048, texts: int = 20_000) -> PreTrainedTokenizerFast:
    """A byte-level BPE learned from ``texts`` demonstrations of the training mixture."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL) - len(ADDED),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts_of(seed, texts), trainer)
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in ADDED])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE.read_text(),
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def texts_of(seed: int, count: int) -> Iterator[str]:
    """What the tokenizer is learned from: the words of demonstrations, and the fixed text around them."""
    yield TEMPLATE.read_text()
    for index in range(count):
        task = mixture(seed, index)
        yield task.question
        for step in task.demonstration:
            yield from (step.thought, step.text, *step.results)
            yield from (json.dumps({"name": name, "arguments": arguments}) for name, arguments in step.calls)


def build_config(vocabulary: int) -> Qwen3Config:
    """About 3 million parameters."""
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=192,
        intermediate_size=576,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        use_sliding_window=False,
    )
