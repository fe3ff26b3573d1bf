from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retrieval.chunker import Chunk, chunk_documents, chunk_spans
from retrieval.passage import Document

SIZES = st.integers(min_value=10, max_value=300)
PARAGRAPH = "The mill is old. It was founded in 1748. It makes paper for books, and for music. " * 4
PROSE = st.lists(
    st.sampled_from(
        ["Word", "word, word", "End.", "\n", "\n\n", " ", "    ", "\t", "\r\n", "x" * 40, "# Heading", "\x0b"]
    ),
    max_size=200,
).map("".join)


@given(st.text() | PROSE, SIZES)
@example(" " * 5000, 100)
@example("a" + " " * 5000 + "b", 100)
@example("a" * 5000, 100)
@example("\0\n\n\0", 10)
def test_spans_lie_in_order_within_the_size_and_hold_every_character_that_is_not_whitespace(text, size):
    spans = chunk_spans(text, size)
    covered = "".join(text[start:end] for start, end in spans)
    assert all(0 < end - start <= size for start, end in spans)
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert "".join(covered.split()) == "".join(text.split())


@given(PROSE, SIZES)
def test_neighbours_that_fit_together_are_one_span(text, size):
    spans = chunk_spans(text, size)
    assert all(end - start > size for (start, _), (_, end) in pairwise(spans))


@given(st.lists(PROSE, max_size=4), SIZES)
def test_a_chunk_is_the_exact_text_of_its_document(texts, size):
    documents = [Document(f"title {i}", f"{i}.md", text) for i, text in enumerate(texts)]
    chunks, indexed = chunk_documents(documents, size)
    assert len(chunks) == len(indexed)
    for chunk, text in zip(chunks, indexed, strict=True):
        document = documents[chunk.document]
        assert text == f"{document.title}\n{document.text[chunk.start : chunk.end]}"


def test_a_short_document_is_one_chunk_of_its_own():
    chunks, texts = chunk_documents([Document("Mill", "m", "  It is old.\n"), Document("Bridge", "b", "It is long.")])
    assert chunks == [Chunk(0, 2, 12), Chunk(1, 0, 11)]
    assert texts == ["Mill\nIt is old.", "Bridge\nIt is long."]


def test_a_text_is_cut_between_sentences():
    assert all(PARAGRAPH[end - 1] == "." for _, end in chunk_spans(PARAGRAPH, 100))


def test_a_heading_stays_with_the_text_below_it():
    text = f"# The mill\n\n{PARAGRAPH}\n\n## Its wheel\n\n{PARAGRAPH}"
    assert all(end - start > 60 for start, end in chunk_spans(text, 300))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("".join("x" + "\n" * width for width in range(2000)), id="blank lines of every height"),
        pytest.param("".join("x" + " " * width for width in range(2000)), id="gaps of every width"),
        pytest.param("[" * 300_000 + "]" * 300_000, id="brackets"),
        pytest.param("a" * 1_000_000, id="one word"),
    ],
)
def test_odd_texts_are_cut_without_deep_recursion(text):
    spans = chunk_spans(text)
    assert sum(len("".join(text[start:end].split())) for start, end in spans) == len("".join(text.split()))


def test_a_size_too_small_to_hold_words_is_refused():
    with pytest.raises(ValueError, match="at least 10"):
        chunk_spans("text", 9)
