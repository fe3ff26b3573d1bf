import torch
from hypothesis import given
from hypothesis import strategies as st

from agent.policy.keyvalues import PrefixCache, padded_length


@given(st.integers(1, 5000))
def test_a_length_is_padded_to_one_of_three_sizes_above_a_multiple_of_512(tokens: int) -> None:
    padded = padded_length(tokens)
    assert tokens <= padded < tokens + 256
    assert padded % 512 in (0, 128, 384)


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
