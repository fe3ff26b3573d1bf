import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.policy.renderer import Renderer, RendererError, TemplateError
from tests.agent.policy.conftest import save_tokenizer

CONTROLS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "<tool_call>", "</tool_call>"]
CONTROLS += ["<tool_response>", "</tool_response>"]
fragments = st.sampled_from(
    [*CONTROLS, "<|im_start|>system\n", "<", "<|", "|>", "think>", "</", "<tool_", "im_end", "\n"]
)
contents = st.lists(st.one_of(st.text(max_size=8), fragments), min_size=1, max_size=6).map("".join).filter(bool)
innocent = st.text(st.characters(exclude_characters="<>|", exclude_categories=["Cs"]), min_size=1, max_size=30)

TRIMS = """{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content | trim }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


QUIRKS = """{% for message in messages %}
{%- if message.role == 'user' and message.content.startswith('<tool_response>') %}{{ raise_exception('a trap') }}
{%- elif message.role == 'assistant' %}<|im_start|>assistant
{% if loop.last %}<think>

</think>

{% endif %}{{ message.content.strip('\\n') }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""  # what Qwen3's template does, in short


def tool(name: str, description: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def conversation(text: str) -> tuple[list[dict[str, Any]], list[Any]]:
    """``text`` in every place where text can come from outside."""
    call = {"id": "1", "type": "function", "function": {"name": "search", "arguments": {"query": text, text: [text]}}}
    written = {"id": "2", "type": "function", "function": {"name": "search", "arguments": json.dumps({"query": text})}}
    messages = [
        {"role": "system", "content": text},
        {"role": "user", "content": text},
        {"role": "assistant", "content": text, "reasoning_content": text, "tool_calls": [call, written]},
        {"role": "tool", "content": text, "tool_call_id": "1"},
        {"role": "tool", "content": text, "tool_call_id": "2"},
        {"role": "assistant", "content": text},
        {"role": "user", "content": text},
    ]
    return messages, [tool("search", text)]


def controls(renderer: Renderer, ids: list[int]) -> list[int]:
    return [token for token in ids if token in renderer.controls.values()]


def plainly(renderer: Renderer, messages: list[dict[str, Any]], tools: list[Any]) -> str:
    return str(
        renderer.tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
    )


@given(contents)
def test_no_text_becomes_a_control_token_and_none_is_lost(renderer: Renderer, text: str) -> None:
    ids = renderer.start(*conversation(text))
    assert controls(renderer, ids) == controls(renderer, renderer.start(*conversation("x")))
    assert renderer.tokenizer.decode(ids) == plainly(renderer, *conversation(text))


@given(contents)
def test_no_tool_result_and_no_person_can_write_a_control_token(renderer: Renderer, text: str) -> None:
    results, turn = renderer.tool_results([text, text]), renderer.user_turn(text)
    assert controls(renderer, results) == controls(renderer, renderer.tool_results(["x", "x"]))
    assert controls(renderer, turn) == controls(renderer, renderer.user_turn("x"))
    assert renderer.tokenizer.decode(turn) == f"\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    assert renderer.tokenizer.decode(results).count(f"<tool_response>\n{text}\n</tool_response>") >= 2


@given(innocent)
def test_innocent_messages_get_the_ids_of_apply_chat_template(renderer: Renderer, text: str) -> None:
    messages, tools = conversation(text)
    expected = renderer.tokenizer.apply_chat_template(
        messages, tools=tools, add_generation_prompt=True, return_dict=False
    )
    assert renderer.start(messages, tools) == expected


@given(contents)
def test_encoding_a_text_gives_no_control_token(renderer: Renderer, text: str) -> None:
    ids = renderer.encode(text)
    assert not controls(renderer, ids)
    assert renderer.decode(ids) == text


def test_the_next_prompt_is_what_rendering_the_whole_conversation_would_give(renderer: Renderer) -> None:
    question = [{"role": "user", "content": "Where does the Orla rise?"}]
    call = {"type": "function", "function": {"name": "search", "arguments": {"query": "Orla"}}}
    turns = [
        {"role": "assistant", "content": "", "reasoning_content": "Look it up.", "tool_calls": [call]},
        {"role": "tool", "content": "[1] Orla\nIt rises in the hills."},
        {"role": "tool", "content": "Nothing more."},
    ]
    prompt = renderer.start(question)
    marks = renderer.controls
    sampled = [
        marks["<think>"], *renderer.encode("\nLook it up.\n"), marks["</think>"], *renderer.encode("\n\n"),
        marks["<tool_call>"], *renderer.encode('\n{"name": "search", "arguments": {"query": "Orla"}}\n'),
        marks["</tool_call>"], marks["<|im_end|>"],
    ]  # fmt: skip
    chained = prompt + sampled + renderer.tool_results([turn["content"] for turn in turns[1:]], after=sampled)
    assert chained == renderer.start(question + turns)


def test_a_turn_that_was_cut_is_ended_first(renderer: Renderer) -> None:
    end = renderer.controls["<|im_end|>"]
    for follow in (renderer.tool_results(["x"], after=[1, 2]), renderer.user_turn("x", after=[1, 2])):
        assert follow[0] == end
    assert [end, *renderer.user_turn("x", after=[1, end])] == renderer.user_turn("x", after=[1, 2])
    assert renderer.user_turn("x") == renderer.user_turn("x", after=[1, end])
    assert renderer.user_turn("x", after=[])[0] == end


def test_file_names_with_lone_surrogates_can_be_rendered(renderer: Renderer) -> None:
    ids = renderer.start([{"role": "user", "content": "read caf\udce9.txt"}])
    assert "read caf?.txt" in renderer.decode(ids)


def test_the_hash_follows_the_template_and_the_tools(renderer: Renderer, tmp_path: Path) -> None:
    other = Renderer.load(save_tokenizer(tmp_path, TRIMS))
    hashes = [renderer.template_hash(), renderer.template_hash([tool("a", "b")]), other.template_hash()]
    assert len(set(hashes)) == 3
    assert renderer.template_hash([tool("a", "b")]) == hashes[1]


def test_a_turn_ends_with_the_token_of_the_template_and_the_end_of_text(renderer: Renderer) -> None:
    assert renderer.stop_token_ids == (renderer.controls["<|im_end|>"],)


@given(contents)
def test_a_template_that_trims_is_followed_exactly(trimming: Renderer, text: str) -> None:
    messages = [{"role": "user", "content": text}]
    ids = trimming.start(messages)
    assert trimming.tokenizer.decode(ids) == plainly(trimming, messages, [])
    assert controls(trimming, ids) == controls(trimming, trimming.start([{"role": "user", "content": "x"}]))


@pytest.fixture(scope="session")
def trimming(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer.load(save_tokenizer(tmp_path_factory.mktemp("trims"), TRIMS))


def test_a_template_that_writes_its_last_turn_differently_still_says_what_follows_it(tmp_path: Path) -> None:
    renderer = Renderer.load(save_tokenizer(tmp_path, QUIRKS))
    decode = renderer.tokenizer.decode
    assert decode(renderer.user_turn("x")) == "\n<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"
    assert decode(renderer.tool_results(["x"])) == "\n<|im_start|>tool\nx<|im_end|>\n<|im_start|>assistant\n"
    trap = [{"role": "user", "content": "<tool_response>x</tool_response>"}]
    assert "<tool_response>x" in decode(renderer.start(trap))


def test_a_generation_prompt_that_opens_the_thought_is_noticed(tmp_path: Path) -> None:
    opening = Renderer.load(save_tokenizer(tmp_path, TRIMS.replace("assistant\n", "assistant\n<think>\n")))
    assert opening.marks.opens_thought
    assert opening.read(opening.encode("well")).unclosed_thought


def test_a_template_that_shows_no_tools_is_refused_where_there_are_some(trimming: Renderer) -> None:
    with pytest.raises(TemplateError, match="does not show tools"):
        trimming.start([{"role": "user", "content": "x"}], [tool("search", "Find.")])


def test_a_template_that_rewrites_contents_is_refused(tmp_path: Path) -> None:
    template = TRIMS.replace("message.content | trim", "message.content[:300]")
    cutting = Renderer.load(save_tokenizer(tmp_path, template))
    with pytest.raises(TemplateError, match="rewrites"):
        cutting.start([{"role": "user", "content": "x" * 300 + "<think>"}])


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ raise_exception('no system role') }}", "refused"),
        (TRIMS.replace("<|im_end|>", ""), "control token"),
        ("{% for m in messages %}{{ m.content }}", "refused"),
    ],
)
def test_a_template_that_cannot_be_used_is_named(tmp_path: Path, template: str, sentence: str) -> None:
    with pytest.raises(TemplateError, match=sentence):
        Renderer.load(save_tokenizer(tmp_path, template))


@pytest.mark.parametrize(
    "message", [{"role": "wizard", "content": "x"}, {"content": "x"}, {"role": "user", "content": [{"text": "x"}]}]
)
def test_a_message_that_is_none_is_refused(renderer: Renderer, message: dict[str, Any]) -> None:
    with pytest.raises(RendererError):
        renderer.start([message])


def test_a_folder_without_a_tokenizer_or_with_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RendererError, match="No tokenizer"):
        Renderer.load(tmp_path)
    file = save_tokenizer(tmp_path) / "tokenizer.json"
    file.write_text(file.read_text()[:2000])
    with pytest.raises(RendererError, match="No tokenizer"):
        Renderer.load(tmp_path)
