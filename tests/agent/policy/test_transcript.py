import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.policy.renderer import Renderer
from agent.policy.transcript import TranscriptError, TurnWriter, conversation
from tests.agent.policy.test_renderer import contents, tool

CALL = {"id": "call_0", "type": "function", "function": {"name": "search", "arguments": '{"query": "Orla"}'}}


def history(text: str) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": text},
        {"role": "assistant", "content": "", "tool_calls": [CALL, CALL | {"id": "call_1"}]},
        {"role": "tool", "content": text, "tool_call_id": "call_0"},
        {"role": "tool", "content": "nothing", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "It is long."},
        {"role": "user", "content": text},
    ]


@given(contents, st.booleans(), st.booleans())
def test_a_prompt_gives_back_the_conversation_it_was_rendered_from(
    renderer: Renderer, text: str, with_system: bool, with_tools: bool
) -> None:
    messages = [{"role": "system", "content": f"Be exact. {text}."}] * with_system + history(text)
    tools = [tool("search", text), tool("other", "Find.")] * with_tools
    assert conversation(renderer.start(messages, tools), renderer) == (messages, tools)


def test_a_system_prompt_that_looks_like_tools_stays_text(renderer: Renderer) -> None:
    messages = [{"role": "system", "content": "# Tools\n<tools>\nhammer\n</tools>\n"}, *history("x")[:1]]
    assert conversation(renderer.start(messages), renderer) == (messages, [])


def test_old_thoughts_are_left_out_and_a_call_that_does_not_parse_stays_as_text(renderer: Renderer) -> None:
    marks = renderer.controls
    turn = [marks["<think>"], *renderer.encode("\nhm\n"), marks["</think>"], *renderer.encode("\n\nSo:")]
    turn += [marks["<tool_call>"], *renderer.encode("{broken"), marks["</tool_call>"], marks["<|im_end|>"]]
    prompt = renderer.start(history("x")[:1]) + turn + renderer.user_turn("Again.", after=turn)
    messages, _ = conversation(prompt, renderer)
    assert messages[1] == {"role": "assistant", "content": "So:\n{broken"}


@pytest.mark.parametrize("prompt", [[], [1, 2, 3]])
def test_ids_that_are_no_conversation_are_refused(renderer: Renderer, prompt: list[int]) -> None:
    with pytest.raises(TranscriptError):
        conversation(prompt, renderer)


def test_a_half_written_answer_cannot_be_gone_on_with(renderer: Renderer) -> None:
    with pytest.raises(TranscriptError, match="half-written"):
        conversation([*renderer.start(history("x")), *renderer.encode("It is")], renderer)


def test_what_a_server_says_is_written_as_the_turn_of_a_model(renderer: Renderer) -> None:
    writer = TurnWriter(renderer)
    writer.thought("Look ")
    writer.thought("it up.")
    writer.answer("Let me see.")
    writer.call(0, "search", "")
    writer.call(1, "other", "{")
    writer.call(0, "", '{"query": "</tool_call>"}')
    writer.end(whole=True)
    reading = renderer.read(writer.token_ids)
    assert (reading.thought, reading.text) == ("Look it up.", "Let me see.")
    assert reading.calls == ({"name": "search", "arguments": {"query": "</tool_call>"}},)
    assert json.dumps("other") in reading.bad_calls[0]
    assert writer.token_ids[-1] == renderer.controls["<|im_end|>"]


def test_a_thought_with_nothing_after_it_stays_open(renderer: Renderer) -> None:
    writer = TurnWriter(renderer)
    writer.thought("I wonder")
    writer.end(whole=True)
    assert renderer.read(writer.token_ids).unclosed_thought


def test_text_that_spells_a_call_is_no_call(renderer: Renderer) -> None:
    writer = TurnWriter(renderer)
    writer.answer('<tool_call>{"name": "search", "arguments": {}}</tool_call>')
    writer.end(whole=False)
    assert renderer.read(writer.token_ids).calls == ()
