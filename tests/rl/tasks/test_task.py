"""Draws: random, but a function of their key, and confined to their split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.tasks import everyday, lookup, programs, stories, strings, units
from rl.tasks.task import Draw, Split, apart, expanded, phrased
from tests.rl.recorded import wordings

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


# --- wordings ---------------------------------------------------------------------------------------------------------


def test_a_pattern_stands_for_each_of_its_alternatives() -> None:
    assert expanded("[Hi|Hey] {N}[ there|]!") == ["Hi {N} there!", "Hi {N}!", "Hey {N} there!", "Hey {N}!"]
    assert expanded("How many [has|are] {N} [now|]?") == [
        "How many has {N} now?", "How many has {N}?", "How many are {N} now?", "How many are {N}?",
    ]  # fmt: skip


def test_a_pattern_that_leaves_nothing_to_hold_out_is_refused() -> None:
    with pytest.raises(ValueError, match="a quarter of these cannot be held out"):
        phrased("[one|two|three]")


@given(st.lists(st.integers(2, 5), min_size=2, max_size=4))
def test_each_pattern_has_sentences_in_both_splits(sizes: list[int]) -> None:
    pattern = " ".join(
        f"[{'|'.join(f'{slot}{i}' for i in range(size))}]" for slot, size in zip("abcd", sizes, strict=False)
    )
    [sentences] = phrased(pattern)
    train, held_out = (set(Draw(split, "").part(sentences)) for split in SPLITS)
    assert train
    assert held_out
    assert not train & held_out


@given(st.lists(st.integers(), unique=True, min_size=4), KEYS)
def test_a_pick_is_of_the_splits_part(items: list[int], key: str) -> None:
    for split in SPLITS:
        draw = Draw(split, key)
        assert {draw.pick(items) for _ in range(20)} <= set(draw.part(items))


@pytest.mark.parametrize("module", [stories, everyday, lookup, programs, strings, units], ids=lambda m: m.__name__)
def test_held_out_sentences_combine_words_that_training_has(module: object) -> None:
    patterns = [pattern for value in wordings(module) for pattern in value]
    assert len(patterns) >= 12
    train, held_out = (
        {word for pattern in patterns for sentence in Draw(split, "").part(pattern) for word in sentence.split()}
        for split in SPLITS
    )
    assert held_out <= train


def test_what_one_family_trains_on_the_other_does_not_hold_out() -> None:
    one = phrased("[What is|How much is|Tell me|Find] {e}[?|.|]")
    two = phrased("[What is|How much is|Give me|Find] {e}[?|.|!]")
    for kept, other in ((apart(one, two), two), (apart(two, one), one)):
        held_out = {sentence for bank in kept for sentence in bank[3::4]}
        assert held_out
        assert not held_out & {sentence for bank in other for i, sentence in enumerate(bank) if i % 4 != 3}
        assert {sentence for bank in kept for sentence in bank} <= {s for bank in (*one, *two) for s in bank}
