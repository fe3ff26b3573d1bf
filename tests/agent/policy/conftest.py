"""A model of the miniature's shape with random weights, small enough to be made for every test run."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.policy.embedded import EmbeddedPolicy
from agent.policy.renderer import Renderer

TEMPLATE = Path(__file__).parents[3] / "agent" / "policy" / "mini" / "chat_template.jinja"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
ADDED = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
SENTENCES = [
    "Tom has 12 boxes with 7 pens in each and gives away 9 pens. How many pens does Tom have now?",
    'system user assistant # Tools You may call one or more functions to assist with the query. {"name": "search"}',
    "The river Orla is 348 km long and rises in the hills north of Vesk. Answer: the river Orla. Nothing was found.",
]


def save_tokenizer(folder: Path, template: str | None = None) -> Path:
    """A byte-level BPE of 600 tokens with the miniature's control tokens, and a chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=591, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in ADDED])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE.read_text() if template is None else template,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``agent/policy/mini`` is one."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    folder = save_tokenizer(tmp_path_factory.mktemp("tiny"))
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(AutoTokenizer.from_pretrained(folder)),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.5,  # wide enough that the next token is neither certain nor any
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def renderer(model_folder: Path) -> Renderer:
    return Renderer.load(model_folder)


@pytest.fixture
async def policy(model_folder: Path) -> AsyncIterator[EmbeddedPolicy]:
    policy = EmbeddedPolicy.load(model_folder)
    yield policy
    await policy.close()
