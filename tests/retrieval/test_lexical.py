import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.lexical import LexicalIndex

TEXTS = [
    "The bridge is 236 metres long.",
    "The bridge rests on seven stone piers.",
    "Marchetti designed a library.",
    "The same words",
    "The same words",
]
WORDS = st.lists(st.sampled_from(["bridge", "mill", "town", "1748", "the", "of"]), max_size=8).map(" ".join)


def test_exact_words_names_and_numbers_are_found():
    index = LexicalIndex.build(TEXTS)
    assert index.search("Who is marchetti?", 5) == [2]
    assert index.search("236", 5) == [0]
    assert index.search("stone bridge", 5) == [1, 0]


def test_ties_go_to_the_smaller_row():
    assert LexicalIndex.build(TEXTS).search("same words", 5) == [3, 4]


@pytest.mark.parametrize("query", ["", "   ", "the of and", "zebra unheard", "?!"])
def test_a_query_that_shares_no_word_finds_nothing(query):
    assert LexicalIndex.build(TEXTS).search(query, 5) == []


@pytest.mark.parametrize("texts", [[], [""], ["the of", "!"]])
def test_texts_without_words_make_an_index_that_finds_nothing(texts):
    index = LexicalIndex.build(texts)
    assert index.search("bridge", 5) == []
    assert LexicalIndex.restore(index.arrays()).search("bridge", 5) == []


@given(st.lists(WORDS, max_size=12), WORDS, st.integers(1, 12))
def test_a_restored_index_answers_as_the_one_that_was_built(texts, query, k):
    built = LexicalIndex.build(texts)
    found = built.search(query, k)
    assert LexicalIndex.restore(built.arrays()).search(query, k) == found
    assert len(found) <= k
    assert set(found) <= set(range(len(texts)))
