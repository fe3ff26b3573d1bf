from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.policy.reading import Kind, Marks, Splitter, parse_call, read
from agent.policy.renderer import Renderer

CALL = '{"name": "calculator", "arguments": {"expression": "12 * 7"}}'


def ids_of(renderer: Renderer, *parts: str) -> list[int]:
    """Each part is a control token, where it spells one, or text."""
    return [
        token
        for part in parts
        for token in ([renderer.controls[part]] if part in renderer.controls else renderer.encode(part))
    ]


def joined(splitter: Splitter, chunks: Sequence[Sequence[int]]) -> dict[Kind, str]:
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)] + splitter.finish()
    together: dict[Kind, str] = {}
    for kind, text in pieces:
        together[kind] = together.get(kind, "") + text
    return together


def test_a_turn_is_read_as_thought_text_and_calls(renderer: Renderer) -> None:
    reading = renderer.read(
        ids_of(
            renderer,
            "<think>", "\n12 boxes of 7.\n", "</think>", "\n\nLet me see.\n",
            "<tool_call>", f"\n{CALL}\n", "</tool_call>", "\n",
            "<tool_call>", f"\n{CALL}\n", "</tool_call>", "<|im_end|>",
        )
    )  # fmt: skip
    assert reading.thought == "12 boxes of 7."
    assert reading.text == "Let me see."
    assert reading.calls == ({"name": "calculator", "arguments": {"expression": "12 * 7"}},) * 2
    assert reading.bad_calls == ()
    assert not reading.unclosed_thought
    assert not reading.empty


def test_a_call_that_is_only_spelt_out_is_text(renderer: Renderer) -> None:
    spelt = f"<tool_call>\n{CALL}\n</tool_call>"
    reading = renderer.read(renderer.encode(spelt))
    assert reading.calls == ()
    assert reading.text == spelt


def test_a_call_inside_the_thought_does_not_count(renderer: Renderer) -> None:
    reading = renderer.read(ids_of(renderer, "<think>", "<tool_call>", CALL, "</tool_call>", "</think>", "75"))
    assert reading.calls == reading.bad_calls == ()
    assert reading.text == "75"
    assert CALL in reading.thought


def test_a_thought_that_never_closes_is_said_so(renderer: Renderer) -> None:
    reading = renderer.read(ids_of(renderer, "<think>", "I wonder", "<|im_end|>"))
    assert reading.unclosed_thought
    assert reading.thought == "I wonder"
    assert not reading.empty


@pytest.mark.parametrize(
    "raw",
    [
        '{"name": "a", "arguments": {"\\ud800": 1}}',
        '{"name": "a", "arguments": {"b": ["\\udfff"]}}',
        '{"name": "\\ud800"}',
    ],
)
def test_a_call_with_half_a_character_does_not_parse(raw: str) -> None:
    assert parse_call(raw) is None


@pytest.mark.parametrize("raw", ["", "{", "[1]", '{"name": 3}', '{"name": "a", "arguments": "b"}', "[" * 100_000])
def test_a_call_that_does_not_parse_is_kept_as_it_is(renderer: Renderer, raw: str) -> None:
    assert parse_call(raw) is None
    reading = renderer.read(ids_of(renderer, "<tool_call>", raw, "</tool_call>"))
    assert reading.bad_calls == (raw,)
    assert reading.calls == ()
    assert not reading.empty


def test_a_call_that_is_cut_off_does_not_count_even_if_it_would_parse(renderer: Renderer) -> None:
    assert renderer.read(ids_of(renderer, "<tool_call>", CALL)).bad_calls == (CALL,)


def test_nothing_said_is_empty(renderer: Renderer) -> None:
    assert renderer.read([]).empty
    assert renderer.read(ids_of(renderer, "<think>", "well", "</think>", "\n\n", "<|im_end|>")).empty


def test_where_the_prompt_opens_the_thought_reading_starts_inside_it(renderer: Renderer) -> None:
    opened = Marks(renderer.marks.think, renderer.marks.end_think, None, None, opens_thought=True)
    ids = ids_of(renderer, "so", "</think>", "75")
    reading = read(ids, opened, renderer.decode)
    assert (reading.thought, reading.text) == ("so", "75")
    assert joined(Splitter(opened, renderer.decode), [ids]) == {"thought": "so", "answer": "75"}
    assert read([], opened, renderer.decode).unclosed_thought


@given(
    st.lists(
        st.one_of(st.text(max_size=12), st.sampled_from(["<think>", "</think>", "<tool_call>", "</tool_call>", "é😀"])),
        max_size=12,
    ),
    st.lists(st.integers(1, 4), min_size=60, max_size=60),
)
def test_a_stream_gives_what_reading_the_whole_gives(renderer: Renderer, parts: list[str], sizes: list[int]) -> None:
    ids = ids_of(renderer, *parts)
    chunks, rest = [], ids
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    pieces = joined(renderer.splitter(), [*chunks, rest])
    reading = renderer.read(ids)
    assert pieces.get("thought", "").rstrip() == reading.thought
    assert pieces.get("answer", "").rstrip() == reading.text


@given(st.lists(st.integers(0, 270), max_size=30))
def test_bytes_that_are_no_text_stream_as_they_decode(renderer: Renderer, ids: list[int]) -> None:
    pieces = joined(renderer.splitter(), [[token] for token in ids])
    assert pieces.get("answer", "").rstrip() == renderer.decode(ids).strip()


def test_half_a_character_is_not_shown(renderer: Renderer) -> None:
    ids = renderer.encode("😀")
    splitter = renderer.splitter()
    shown = [splitter.feed([token]) for token in ids]
    assert shown == [[]] * (len(ids) - 1) + [[("answer", "😀")]]
