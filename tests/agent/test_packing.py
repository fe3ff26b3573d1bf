"""Arrays as bytes: exact both ways."""

from hypothesis import given
from hypothesis import strategies as st

from agent.packing import pack_floats, pack_ids, pack_text, shared_length, unpack_floats, unpack_ids, unpack_text

ids = st.lists(st.integers(0, 2**31 - 1)).map(tuple)


@given(ids)
def test_ids_come_back(token_ids: tuple[int, ...]) -> None:
    assert unpack_ids(pack_ids(token_ids)) == token_ids


@given(st.lists(st.floats(width=32, allow_nan=False)).map(tuple))
def test_float32_values_come_back_to_the_bit(values: tuple[float, ...]) -> None:
    assert unpack_floats(pack_floats(values)) == values


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_comes_back(text: str) -> None:
    assert unpack_text(pack_text(text)) == text


@given(ids, ids, ids)
def test_two_sequences_share_what_they_have_in_common_at_their_start(
    common: tuple[int, ...], left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    left, right = common + left, common + right
    shared = shared_length(left, right)
    assert shared >= len(common)
    assert left[:shared] == right[:shared]
    assert left == right or left[: shared + 1] != right[: shared + 1]
