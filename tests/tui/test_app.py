"""A person talks to the agent at the terminal: every key and every command does what the help says."""

import asyncio
import itertools
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.events import Key

from agent.policy.renderer import Renderer
from agent.records import SamplingParams
from agent.store import RunFilter
from retrieval.indexing import index
from retrieval.passage import Passage
from tests.agent.policy.conftest import model_folder, renderer
from tests.agent.scripted import Say, Script, call
from tests.agent.test_approval import greet, letterbox
from tests.tui.conftest import HOSTILE
from tests.tui.terminal import terminal
from tools.search import numbered
from tools.tool import ToolOutput, tool
from tui.app import WARNS
from tui.commands import COMMANDS
from tui.screens.approval import ApprovalScreen
from tui.screens.help import Help
from tui.screens.sessions import Sessions

__all__ = ["model_folder", "renderer"]
THINKS = "<think>\nTwelve sevens.\n</think>\n\n"


def turn_by_turn(*turns: Say | str) -> Script:
    """What is said one after another; the last for ever."""
    left = itertools.chain(turns, itertools.repeat(turns[-1]))
    return lambda _, __: next(left)


def by_attempt(*turns: str) -> Script:
    """What the first, second ... attempt says."""

    def said(_: Sequence[int], params: SamplingParams) -> str:
        seen.setdefault(params.seed, len(seen))
        return turns[min(seen[params.seed], len(turns) - 1)]

    seen: dict[int, int] = {}
    return said


async def test_an_answer_comes_with_its_thought_its_calls_and_what_it_cost(home: Path, renderer: Renderer) -> None:
    script = turn_by_turn(THINKS + call("calculator", expression="12*7"), "Answer: **84**")
    async with terminal(home, renderer, script) as opened:
        await opened.asks("What is 12 * 7?")
        shown = opened.shown()
        for words in (
            "> What is 12 * 7?",
            "▶ Thought",
            "✓ calculator(12*7)",
            "Answer: 84",
            "1 tool call",
            "scripted@1",
        ):
            assert words in shown
        assert "Twelve sevens" not in shown
        await opened.pilot.press("ctrl+t")
        await opened.until(lambda: "Twelve sevens" in opened.shown())


async def test_another_attempt_is_a_key_away_and_can_be_said_to_be_better(home: Path, renderer: Renderer) -> None:
    script = by_attempt("Answer: 85", "Answer: 84")
    async with terminal(home, renderer, script, effort="high") as opened:
        await opened.asks("What is 12 * 7?")
        view = opened.talk.turn
        assert view is not None
        assert view.attempt is not None
        [run] = opened.store.runs()
        assert view.attempt.leaf == opened.store.run(run.run_id).chosen
        numbers = [i for i, attempt in enumerate(view.turn.attempts, 1) if "85" in attempt.answer]
        await opened.types(f"/attempt {numbers[0]}")
        await opened.until(lambda: view.attempt is not None and "85" in view.attempt.answer)
        await opened.pilot.press("f4")
        await opened.until(lambda: opened.store.feedback(run.run_id))
        [said] = opened.store.feedback(run.run_id)
        assert said.preferred == view.attempt.leaf
        await opened.pilot.press("alt+left")
        await opened.until(lambda: view.attempt is not None and "84" in view.attempt.answer)


@pytest.mark.parametrize(
    ("typed", "value", "comment"),
    [("/good", 1.0, ""), ("/bad it is 84", -1.0, "it is 84"), ("f2", 1.0, ""), ("f3", -1.0, "")],
)
async def test_whether_an_answer_was_right_lands_on_its_run(
    home: Path, renderer: Renderer, typed: str, value: float, comment: str
) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 85")) as opened:
        await opened.asks("What is 12 * 7?")
        [run] = opened.store.runs()
        await (opened.types(typed) if typed.startswith("/") else opened.pilot.press(typed))
        await opened.until(lambda: opened.store.feedback(run.run_id))
        [said] = opened.store.feedback(run.run_id)
        assert (said.value, said.comment) == (value, comment)


async def test_escape_stops_the_answer_and_keeps_what_has_come_and_the_draft(home: Path, renderer: Renderer) -> None:
    script = turn_by_turn(Say("Answer: eighty-four and then some", after=6, wait=lambda: asyncio.sleep(60)))
    async with terminal(home, renderer, script) as opened:
        await opened.types("What is 12 * 7?")
        await opened.until(lambda: "Answer" in opened.shown())
        opened.talk.prompt.say("a draft")
        await opened.pilot.press("escape")
        await opened.until(lambda: opened.talk.answering is None)
        assert "Stopped" in opened.shown()
        assert "Answer" in opened.shown()
        assert opened.talk.prompt.text == "a draft"
        assert [run.status for run in opened.store.runs()] == ["cancelled"]


async def test_a_question_that_is_sent_meanwhile_waits_its_turn(home: Path, renderer: Renderer) -> None:
    goes_on = threading.Event()
    script = turn_by_turn(Say("Answer: 1", wait=lambda: asyncio.to_thread(goes_on.wait, 20)), "Answer: 2")
    async with terminal(home, renderer, script) as opened:
        await opened.types("First?")
        await opened.until(lambda: opened.talk.answering)
        await opened.types("Second?")
        await opened.until(lambda: "waits: Second?" in opened.shown())
        goes_on.set()
        await opened.until(lambda: len(opened.store.runs(RunFilter(status="finished"))) == 2)
        assert [run.question for run in opened.store.runs()] == ["Second?", "First?"]
        assert len({run.thread_id for run in opened.store.runs()}) == 1


@pytest.mark.parametrize(("typed", "posted"), [("yes", ["Dear Ann"]), ("y", []), ("", []), ("write to Bo", [])])
async def test_only_the_word_yes_agrees_to_a_call(
    home: Path, renderer: Renderer, typed: str, posted: list[str]
) -> None:
    post, letters = letterbox()
    async with terminal(home, renderer, turn_by_turn(call("post", letter="Dear Ann"), "Answer: 1"), post) as opened:
        await opened.types("Write to Ann.")
        await opened.until(lambda: isinstance(opened.app.screen, ApprovalScreen))
        assert "letter = Dear Ann" in opened.shown()
        await opened.pilot.press(*["space" if key == " " else key for key in typed], "enter")
        await opened.until(lambda: opened.talk.answering is None)
    assert letters == posted


async def test_what_a_tool_wants_to_know_is_a_form(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn(call("greet"), "Answer: 1"), greet) as opened:
        await opened.types("Greet me.")
        await opened.until(lambda: isinstance(opened.app.screen, ApprovalScreen))
        await opened.pilot.press("enter")
        await opened.until(lambda: "'name' is a required property" in opened.shown())
        await opened.pilot.press(*"Ann", "enter")
        await opened.until(lambda: opened.talk.answering is None)
        [run] = opened.store.runs()
        assert opened.store.run(run.run_id).nodes[0].tool_results[0].output == "Hello, Ann."


async def test_a_question_goes_when_its_run_is_stopped(home: Path, renderer: Renderer) -> None:
    post, letters = letterbox()
    async with terminal(home, renderer, turn_by_turn(call("post", letter="Dear Ann"), "Answer: 1"), post) as opened:
        await opened.types("Write to Ann.")
        await opened.until(lambda: isinstance(opened.app.screen, ApprovalScreen))
        opened.talk.answering.cancel()  # type: ignore[union-attr]
        await opened.until(lambda: opened.app.screen is opened.talk)
    assert letters == []


async def test_a_warning_of_the_agents_is_a_notice(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 84")) as opened:
        await asyncio.to_thread(WARNS.warning, "the MCP server %s is not used", f"town{HOSTILE}")
        await opened.until(lambda: "the MCP server" in opened.shown())


async def test_a_passage_is_shown_in_its_document(home: Path, renderer: Renderer, tmp_path: Path) -> None:
    text = "Before it. The mill is red. Behind it."
    (tmp_path / "mill.md").write_text(text)
    index([tmp_path / "mill.md"], home / "index", None)
    passage = Passage("The mill is red.", str(tmp_path / "mill.md"), 11, 27, 1.0, "Mill")

    @tool
    async def look() -> ToolOutput:
        """Look."""
        return ToolOutput(numbered([passage]), (passage,))

    async with terminal(home, renderer, turn_by_turn(call("look"), "It is red [1].\nAnswer: red"), look) as opened:
        await opened.asks("Which colour?")
        await opened.pilot.press("ctrl+o")
        await opened.until(lambda: "Before it. The mill is red. Behind it." in opened.shown())
        assert "[1] Mill" in opened.shown()
        await opened.pilot.press("escape")
        await opened.until(lambda: opened.app.screen is opened.talk)


async def test_threads_are_found_opened_forked_and_deleted(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 84")) as opened:
        await opened.asks("How many pens?")
        await opened.types("/new")
        await opened.until(lambda: not opened.talk.turns.children)
        await opened.asks("How many cups?")
        await opened.pilot.press("ctrl+l")
        await opened.until(lambda: isinstance(opened.app.screen, Sessions) and "pens" in opened.shown())
        await opened.pilot.press(*"pens", "enter")
        await opened.until(lambda: "> How many pens?" in opened.shown() and "Answer: 84" in opened.shown())
        await opened.pilot.press("f5")
        await opened.until(lambda: opened.talk.thread not in {run.thread_id for run in opened.store.runs()})
        await opened.asks("And now?")
        assert len(opened.store.before(opened.store.runs()[0])) == 1
        await opened.pilot.press("ctrl+l")
        await opened.until(lambda: isinstance(opened.app.screen, Sessions) and "cups" in opened.shown())
        await opened.pilot.press(*"cups", "ctrl+d", "ctrl+d")
        await opened.until(lambda: not [run for run in opened.store.runs() if "cups" in run.question])


async def test_a_question_is_edited_in_a_fork_that_ends_before_it(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 84")) as opened:
        for question in ("One?", "Two?", "Three?"):
            await opened.asks(question)
        first = opened.talk.thread
        await opened.pilot.press("alt+up")
        await opened.pilot.press("ctrl+r")
        await opened.until(lambda: opened.talk.thread != first and opened.talk.prompt.text == "Two?")
        assert len(opened.talk.turns.children) == 1
        await opened.pilot.press("enter")
        await opened.until(lambda: len(opened.store.runs()) == 4 and opened.talk.answering is None)
        newest = opened.store.runs()[0]
        assert [run.question for run in opened.store.before(newest)] == ["One?"]
        assert len(opened.store.runs(RunFilter(thread_id=first))) == 3


async def test_a_thread_is_kept_out_of_trainings(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 84")) as opened:
        await opened.asks("One?")
        await opened.pilot.press("f9")
        await opened.until(lambda: "kept out of trainings" in opened.shown())
        await opened.asks("Two?")
        assert [run.metadata.get("train") for run in opened.store.runs()] == ["no", "no"]
        await opened.types("/keep in")
        await opened.until(lambda: opened.store.runs()[0].metadata.get("train") is None)


async def test_a_file_goes_with_the_question_that_names_it(
    home: Path, renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("There are seven pens.")
    monkeypatch.chdir(tmp_path)
    async with terminal(home, renderer, turn_by_turn("Answer: 7")) as opened:
        await opened.asks("How many pens in @notes.txt, says @nobody?")
        [run] = opened.store.runs()
        assert run.question.startswith("How many pens in @notes.txt, says @nobody?\n\nnotes.txt:\n")
        assert "seven pens" in run.question


@pytest.mark.parametrize("suffix", [".md", ".json"])
async def test_a_thread_is_written_into_a_file_that_was_not_there(
    home: Path, renderer: Renderer, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"thread{suffix}"
    async with terminal(home, renderer, turn_by_turn("Answer: 84")) as opened:
        await opened.asks("One?")
        await opened.types(f"/export {file}")
        await opened.until(file.exists)
        text = file.read_text()
        assert "One?" in text
        assert "Answer: 84" in text
        await opened.types(f"/export {file}")
        await opened.until(lambda: "File exists" in opened.shown())
    assert file.read_text() == text


async def test_what_was_asked_comes_back_with_up_and_goes_with_down(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 84")) as opened:
        for question in ("One?", "Two?"):
            await opened.asks(question)
        found = []
        for key in ("up", "up", "up", "down", "down"):
            await opened.pilot.press(key)
            found.append(opened.talk.prompt.text)
    assert found == ["Two?", "One?", "One?", "Two?", ""]


async def test_what_is_typed_and_sent_at_once_is_sent_whole(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 84")) as opened:
        for key in "Hi\r":  # as a terminal sends what was pasted
            opened.app.post_message(Key("enter" if key == "\r" else key, key))
        await opened.until(lambda: opened.store.runs() and opened.talk.answering is None)
        assert [run.question for run in opened.store.runs()] == ["Hi"]
        await opened.pilot.press("a", "ctrl+j", "b")
        assert opened.talk.prompt.text == "a\nb"


async def test_the_effort_goes_round_and_is_named(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 84")) as opened:
        await opened.pilot.press("f10")
        await opened.until(lambda: "effort medium" in opened.shown())
        await opened.types("/effort max")
        await opened.until(lambda: "effort max" in opened.shown())


async def test_a_question_mark_shows_the_help_and_is_a_letter_in_a_question(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 84"), size=(120, 50)) as opened:
        await opened.pilot.press("question_mark")
        await opened.until(lambda: isinstance(opened.app.screen, Help))
        shown = " ".join(opened.shown().split())
        assert all(f"/{each.name}" in shown for each in COMMANDS)
        await opened.pilot.press("escape")
        await opened.pilot.press("a", "question_mark")
        assert opened.talk.prompt.text == "a?"


async def test_a_slash_shows_what_it_may_become(home: Path, renderer: Renderer) -> None:
    async with terminal(home, renderer, turn_by_turn("Answer: 84")) as opened:
        await opened.pilot.press("slash", "s")
        await opened.until(lambda: "/sessions" in opened.shown())
        opened.talk.prompt.say("")
        await opened.types("/nonsense")
        await opened.until(lambda: "There is no /nonsense" in opened.shown())


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_nothing_that_anybody_wrote_reaches_the_terminal_as_more_than_text(
    home: Path, renderer: Renderer, size: tuple[int, int]
) -> None:
    said = f"<think>\n[bold]{HOSTILE}\n</think>\n\n# [red]{HOSTILE}\n\n`{HOSTILE}` [link](javascript:x)"
    async with terminal(home, renderer, turn_by_turn(said), size=size) as opened:
        await opened.asks(f"[blink]{HOSTILE}?")
        await opened.pilot.press("ctrl+t")
        await opened.pilot.pause()
        shown = opened.shown()
    assert "[blink]" in shown
    assert not [letter for letter in shown if not (letter.isprintable() or letter == "\n")]


def test_every_command_has_a_method_and_no_key_does_two_things() -> None:
    from tui.screens.conversation import Conversation

    assert all(hasattr(Conversation, f"do_{each.name}") for each in COMMANDS)
    keys = [each.key for each in COMMANDS if each.key]
    assert len(keys) == len(set(keys))
