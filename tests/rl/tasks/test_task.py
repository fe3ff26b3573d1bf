"""Draws: random, but a function of their key, and confined to their split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.tasks.task import Draw, Split

KEYS = st.text(max_size=10)
SPLITS: list[Split] = ["train", "held_out"]


@given(KEYS, st.integers(0, 500), st.integers(-5, 500))
def test_a_number_is_in_its_range_and_is_remembered(key: str, low: int, width: int) -> None:
    draw = Draw("train", key)
    number = draw.number(low, low + width)
    assert low <= number <= max(low, low + width)
    assert draw.numbers == {number}


@given(st.sets(st.integers(0, 99), min_size=1, max_size=5))
def test_a_set_of_numbers_fits_one_split_whatever_the_order(numbers: set[int]) -> None:
    fitting = []
    for split in SPLITS:
        for order in (sorted(numbers), sorted(numbers, reverse=True)):
            draw = Draw(split, "")
            draw.numbers.update(order)
            fitting.append(draw.fits)
    assert fitting in ([True, True, False, False], [False, False, True, True])


def test_a_draw_without_numbers_fits_both() -> None:
    assert all(Draw(split, "").fits for split in SPLITS)


@given(st.lists(st.integers(), unique=True, min_size=4))
def test_the_splits_share_a_bank_out_between_them(items: list[int]) -> None:
    train, held_out = (set(Draw(split, "").part(items)) for split in SPLITS)
    assert not train & held_out
    assert train | held_out == set(items)
    assert len(held_out) == len(items) // 4


@given(KEYS)
def test_an_invented_word_belongs_to_one_split(word: str) -> None:
    assert [Draw(split, "").owns(word) for split in SPLITS].count(True) == 1


def test_a_quarter_of_all_words_is_held_out() -> None:
    draw = Draw("held_out", "")
    assert sum(draw.owns(str(i)) for i in range(4000)) == pytest.approx(1000, abs=90)


@given(KEYS)
def test_the_same_key_draws_the_same(key: str) -> None:
    first, again = Draw("train", key), Draw("train", key)
    assert [first.number(1, 10**6) for _ in range(5)] == [again.number(1, 10**6) for _ in range(5)]


def test_the_splits_draw_independently() -> None:
    train, held_out = Draw("train", "k"), Draw("held_out", "k")
    assert [train.random.random() for _ in range(3)] != [held_out.random.random() for _ in range(3)]


def test_several_are_different_items_of_the_split() -> None:
    assert sorted(Draw("held_out", "k").several(range(40), 10)) == list(range(3, 40, 4))


def test_more_than_the_split_has_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="larger than population"):
        Draw("held_out", "k").several(range(8), 3)
