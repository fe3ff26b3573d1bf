"""Draws: random, but a function of their key, and confined to their split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.tasks.task import Draw, Split, is_held_out_number

KEYS = st.text(max_size=10)


@given(KEYS, st.integers(0, 500), st.integers(0, 500), st.sampled_from(["train", "held_out"]))
def test_a_number_is_in_its_range_and_its_split(key: str, low: int, width: int, split: Split) -> None:
    number = Draw(split, key).number(low, low + width)
    assert is_held_out_number(number) == (split == "held_out")
    assert low <= number <= max(low + width, low + 3), "a range too narrow for its split reaches a little further"


@given(st.lists(st.integers(), unique=True, min_size=4))
def test_the_splits_share_a_bank_out_between_them(items: list[int]) -> None:
    train, held_out = (set(Draw(split, "").part(items)) for split in ("train", "held_out"))
    assert not train & held_out
    assert train | held_out == set(items)
    assert len(held_out) == len(items) // 4


@given(KEYS)
def test_the_same_key_draws_the_same(key: str) -> None:
    first, again = Draw("train", key), Draw("train", key)
    assert [first.number(1, 10**6) for _ in range(5)] == [again.number(1, 10**6) for _ in range(5)]


def test_the_splits_draw_independently() -> None:
    train, held_out = Draw("train", "k"), Draw("held_out", "k")
    assert [train.random.random() for _ in range(3)] != [held_out.random.random() for _ in range(3)]


def test_several_are_different_items_of_the_split() -> None:
    found = Draw("held_out", "k").several(range(40), 10)
    assert sorted(found) == list(range(3, 40, 4))


def test_more_than_the_split_has_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="larger than population"):
        Draw("held_out", "k").several(range(8), 3)
