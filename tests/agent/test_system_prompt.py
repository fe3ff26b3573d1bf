"""System prompts as data: which there are, a person's own, and what the log calls them."""

import re
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.system_prompt import SystemPrompt, names, open_prompt

SHIPPED = names()
TRAINED_WITH = (
    "You are Ponder, a careful assistant. Use a tool when it helps. Cite passages as [1]. "
    'If the question has a definite answer, end with a line "Answer: ...".'
)


def test_the_default_is_what_the_miniature_was_trained_with_word_for_word() -> None:
    assert SHIPPED == ["plain", "chain_of_thought", "few_shot", "zero_shot"]
    assert open_prompt() == SystemPrompt("plain", TRAINED_WITH)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "plain"])
def test_a_structured_prompt_closes_its_tags_and_says_how_to_use_tools_cite_and_answer(name: str) -> None:
    text = open_prompt(name).text
    opened: list[str] = []
    for closing, tag in re.findall(r"<(/?)(\w+)>", text):
        assert not closing or opened.pop() == tag
        opened += [] if closing else [tag]
    assert not opened
    assert all(f"<{tag}>" in text for tag in ("role", "tool_use", "citations", "answer"))
    assert "Answer: ..." in text


def test_the_worked_examples_show_a_call_in_words_and_a_citation() -> None:
    examples = re.findall(r"<example>(.*?)</example>", open_prompt("few_shot").text, re.DOTALL)
    assert len(examples) >= 3
    assert any("calls the calculator" in example for example in examples)
    assert any(re.search(r"<reply>[^<]*\[2\]", example) for example in examples)
    assert sum("\n\nAnswer: " in example for example in examples) >= 2


@pytest.mark.parametrize("name", SHIPPED)
def test_no_prompt_has_what_a_chat_template_writes_itself(name: str) -> None:
    assert not re.search(r"<\|\w+\|>|</?(think|tool_call|tool_response|tools)>", open_prompt(name).text)


def test_a_text_file_of_ones_own_is_a_prompt_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("You are mine.\n")
    assert open_prompt(str(tmp_path / "mine.txt")) == SystemPrompt("mine", "You are mine.")


def test_the_log_tells_two_texts_of_one_name_apart() -> None:
    assert str(SystemPrompt("mine", "a")) != str(SystemPrompt("mine", "b"))
    assert re.fullmatch("plain@[0-9a-f]{8}", str(open_prompt()))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "take one of plain, chain_of_thought, few_shot, zero_shot, or a text file of yours."),
        (b"\xff\xfe\x00", "is no UTF-8 text"),
        (b" \n", "is empty"),
    ],
)
def test_what_is_no_prompt_is_said_in_one_sentence(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(SettingsError, match=re.escape(says)):
        open_prompt(str(tmp_path / "mine.txt"))


@pytest.mark.parametrize("name", ["", ".", "no\0such", "../system/plain"])
def test_a_name_that_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        open_prompt(name)
