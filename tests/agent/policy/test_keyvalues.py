import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen3Config

from agent.policy.keyvalues import KeyValues, PrefixCache, padded_length


@given(st.integers(1, 5000))
def test_a_length_is_padded_to_one_of_three_sizes_above_a_multiple_of_512(tokens: int) -> None:
    padded = padded_length(tokens)
    assert tokens <= padded < tokens + 256
    assert padded % 512 in (0, 128, 384)


def test_room_grows_where_it_is_short_and_what_is_there_stays() -> None:
    config = Qwen3Config(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=4)
    keys = KeyValues(config, torch.zeros(1))
    keys.reserve(3, 10)
    keys.tensor[:, :, 2, :, 9] = 5.0
    assert keys.tensor.shape == (2, 2, 3, 1, 512, 4)
    keys.reserve(2, 600)
    assert keys.tensor.shape == (2, 2, 3, 1, 1024, 4)
    keys.reserve(4, 10)
    assert keys.tensor.shape == (2, 2, 6, 1, 1024, 4)
    assert keys.mask.shape == (6, 1024)
    assert (keys.tensor[:, :, 2, :, 9] == 5.0).all()


def block() -> torch.Tensor:
    return torch.zeros(100)  # 400 bytes


def test_a_prompt_finds_the_whole_chunks_it_begins_with() -> None:
    cache = PrefixCache(chunk=4, capacity_bytes=10_000)
    kept = [block() for _ in range(3)]
    for place, each in enumerate(kept):
        cache.add(range(4 * place + 4), each)
    assert [id(found) for found in cache.find(range(12))] == [id(each) for each in kept[:2]]
    assert len(cache.find(range(13))) == 3
    assert cache.find([9, *range(1, 13)]) == []
    assert len(cache.find([0, 1, 2, 3, 9, 9, 9, 9, 8, 9, 10, 11, 12])) == 1


def test_what_was_not_used_for_longest_makes_room_and_a_chain_keeps_its_beginning() -> None:
    cache = PrefixCache(chunk=2, capacity_bytes=1200)
    for end in (2, 4, 6):
        cache.add(range(end), block())
    assert len(cache.find(range(7))) == 3
    cache.add([8, 9], block())
    assert len(cache.find(range(7))) == 2
    assert len(cache.find([8, 9, 1])) == 1


def test_a_block_larger_than_the_cache_is_not_kept() -> None:
    cache = PrefixCache(chunk=2, capacity_bytes=399)
    cache.add([1, 2], block())
    assert cache.find([1, 2, 3]) == []
