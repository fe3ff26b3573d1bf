"""The untrained miniature: its size, its control tokens, its digits."""

import pytest
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from rl.mini import ADDED, SPECIAL, build_config, build_tokenizer
from tests.rl.tiny import tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


def test_it_has_fewer_than_ten_million_weights() -> None:
    model = Qwen3ForCausalLM(build_config(4096))
    assert 1_000_000 < model.num_parameters() < 10_000_000


def test_the_tokenizer_has_the_vocabulary_that_was_asked_for(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer) == 600


def test_only_the_turn_tokens_are_special(tokenizer: PreTrainedTokenizerFast) -> None:
    added = {token.content: token.special for token in tokenizer.added_tokens_decoder.values()}
    assert added == dict.fromkeys(SPECIAL, True) | dict.fromkeys(ADDED, False)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")


@pytest.mark.parametrize("text", ["12 * 7 = 84", "naïve Straße 東京 🙂", "  two\n\n lines\t", "a\x00b", ""])
def test_any_text_comes_back_byte_for_byte(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_every_digit_is_a_token_of_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    tokens = tokenizer.convert_ids_to_tokens(tokenizer.encode("In 1984 there were 20,480"))
    assert [token for token in tokens if any(c.isdigit() for c in token)] == list("198420480")


def test_the_same_seed_builds_the_same_tokenizer() -> None:
    first, again = (build_tokenizer(seed=3, vocabulary=400, texts=20) for _ in range(2))
    assert first.get_vocab() == again.get_vocab()
    assert first.backend_tokenizer.to_str() == again.backend_tokenizer.to_str()
