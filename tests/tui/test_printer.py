"""Lines of text out of what models, tools and documents wrote."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agent import events
from agent.records import Ending, Usage
from retrieval.passage import Passage
from tests.tui.commands import CONTROL
from tests.tui.conftest import HOSTILE, run_of
from tools.tool import ToolResult
from tui.printer import SHOWN, Printer, arguments_text, printable, shortened, summary
from verifiers.verdict import Verdict


def shown(*happened: events.Event) -> list[str]:
    """The lines that a printer writes for these events."""
    file = io.StringIO()
    printer = Printer(Console(file=file, width=1000, soft_wrap=True, highlight=False))
    for event in happened:
        printer.show(event)
    printer.flush()
    return file.getvalue().splitlines()


# --- text -------------------------------------------------------------------------------------------------------------


@given(st.text())
def test_nothing_printable_is_changed_and_nothing_else_gets_through(text: str) -> None:
    safe = printable(text)
    assert len(safe) == len(text)
    assert all(c in "\n\t\ufffd" or c.isprintable() for c in safe)
    assert all(a == b for a, b in zip(text, safe, strict=True) if a.isprintable())


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b31m", "\r", "\x07", "\u202e", "\u2028", "\ufeff", "\x7f", "\udcff"])
def test_what_moves_the_cursor_or_turns_the_text_round_is_replaced(text: str) -> None:
    assert printable(text)[0] == "\ufffd"


@given(st.text(max_size=2000))
def test_a_shortened_text_is_one_line_and_not_much_longer_than_it_may_be(text: str) -> None:
    short = shortened(text)
    assert len(short.splitlines()) <= 1
    assert len(short) <= SHOWN + 30


def test_a_shortened_text_says_how_much_is_missing() -> None:
    assert shortened("a\nb") == "a ⏎ b"
    assert shortened("x" * SHOWN) == "x" * SHOWN
    assert shortened("x" * (SHOWN + 5)) == "x" * SHOWN + "… (+5 characters)"


def test_one_argument_is_shown_by_itself_and_several_by_name() -> None:
    assert arguments_text({"expression": "3 * 4"}) == "3 * 4"
    assert arguments_text({"city": "Ulm", "days": 2}) == "city='Ulm', days=2"
    assert arguments_text({}) == ""


def test_a_summary_says_what_a_run_cost_and_how_fast_it_was() -> None:
    run = run_of("r1", "t", "2026-01-01")
    times = {"first_token_seconds": 0.25, "total_seconds": 0.35}
    drawn = replace(run.nodes[0].sample, token_ids=(1, 2, 3), logprobs=(-1.0,) * 3, **times)
    nodes = (replace(run.nodes[0], sample=drawn),)
    usage = Usage(200, 150, 30, 12, tool_calls=2, seconds=1.5)
    assert summary(replace(run, nodes=nodes, usage=usage)).splitlines() == [
        "30 tokens sampled, 12 of them thought, in 1 attempt, 2 tool calls, 1.5 s, 20 tokens/s",
        "first token after 0.25 s, then 50.0 ms each · prompts of 200 tokens, 150 of them cached · "
        f"{run.policy} · run r1",
    ]
    nothing = summary(replace(run, nodes=(), usage=Usage(tool_calls=1)))
    assert nothing == f"0 tokens sampled, 0 of them thought, in 0 attempts, 1 tool call, 0.0 s · {run.policy} · run r1"


# --- events -----------------------------------------------------------------------------------------------------------


def test_deltas_wait_for_the_end_of_their_line_and_attempts_stay_apart() -> None:
    lines = shown(
        events.ThoughtDelta((0,), "First I "),
        events.ThoughtDelta((1,), "Perhaps"),
        events.ThoughtDelta((0,), "count.\nThen"),
        events.AnswerDelta((0,), "Answer: 5\n"),
    )
    assert lines == [" 1│ First I count.", " 1│ Answer: 5", " 2│ Perhaps", " 1│ Then"]


def test_an_attempt_is_told_from_its_calls_to_its_score() -> None:
    lines = shown(
        events.ToolStarted((0,), 0, "calculator", {"expression": "3 * 4"}),
        events.ToolFinished((0,), 0, ToolResult("calculator", {}, "12", seconds=0.25, sandbox_tier="landlock")),
        events.Repaired((0, 0), Ending.EMPTY, "asked again"),
        events.Retrying((0, 0), "Nobody answers.", 4.2),
        events.CandidateFinished((0, 0), Ending.ANSWER, "12", 40),
        events.Scored((0, 0), 0.5, (Verdict("format", 1.0), Verdict("exact", None))),
        events.Scored((1,), None, ()),
        events.Selected((0, 0), "the only attempt"),
    )
    assert lines == [
        " 1│ → calculator(3 * 4)",
        " 1│ ← 12 [landlock] (0.25 s)",
        " 1│ ! empty: asked again",
        " 1│ ! Nobody answers. Asked again in 4 s.",
        " 1│ ■ answer, 40 tokens",
        " 1│   score 0.50 (format 1.00, exact none)",
        " 2│   score none (no verdict)",
        " 1│ ✓ chosen: the only attempt",
    ]


def test_why_a_model_is_asked_again_is_shown_once_in_a_pause() -> None:
    attempts = [events.Retrying((i,), "Nobody answers.", 60.0 + i) for i in range(8)]
    assert shown(*attempts) == [" 1│ ! Nobody answers. Asked again in 60 s."]
    assert len(shown(attempts[0], events.Retrying((1,), "It is full.", 60.0), attempts[2])) == 2


def test_passages_are_shown_with_the_place_they_are_from() -> None:
    found = ToolResult("search", {}, "[1] T\nx", passages=(Passage("x", "notes.md", 10, 11),))
    assert shown(events.ToolFinished((0,), 0, found))[1] == " 1│    notes.md:10-11"


def test_nothing_that_happens_writes_a_control_character() -> None:
    found = ToolResult("search", {}, HOSTILE, passages=(Passage("x", HOSTILE, 0, 1),))
    lines = shown(
        events.ThoughtDelta((0,), HOSTILE),
        events.AnswerDelta((0,), HOSTILE),
        events.ToolStarted((0,), 0, HOSTILE, {"code": HOSTILE}),
        events.ToolFinished((0,), 0, found),
        events.ToolFinished((0,), 0, ToolResult(HOSTILE, {}, error=HOSTILE)),
        events.Repaired((0,), Ending.EMPTY, HOSTILE),
        events.Retrying((0,), HOSTILE, 0.1),
        events.Selected((0,), HOSTILE),
    )
    assert len(lines) == 9
    assert not CONTROL.search("\n".join(lines).replace("\n", ""))
    assert "\u202e" not in "".join(lines)


def test_markup_in_a_text_is_shown_and_not_obeyed() -> None:
    assert shown(events.AnswerDelta((0,), "[bold]x[/bold] [link=http://x]y[/link]\n")) == [
        " 1│ [bold]x[/bold] [link=http://x]y[/link]"
    ]


def test_the_ending_gives_the_answer_and_no_control_character() -> None:
    file = io.StringIO()
    Printer(Console(file=file, width=1000, soft_wrap=True)).ending(
        replace(run_of("r1", "t", "2026-01-01"), error=f"The budget {HOSTILE} ran out.")
    )
    text = file.getvalue()
    assert "Answer: " in text
    assert "The budget" in text
    assert "run r1" in text
    assert not CONTROL.search(text.replace("\n", ""))


@pytest.mark.parametrize(("score", "told"), [(0.25, True), (0.5, False), (None, False)])
def test_an_answer_that_few_attempts_agree_with_says_so(score: float | None, told: bool) -> None:
    verdict = Verdict("consensus", score, "1 of 4 finished candidates give this answer.")
    file = io.StringIO()
    Printer(Console(file=file, width=1000)).ending(replace(run_of("r1", "t", "2026-01-01"), verdicts=(verdict,)))
    assert ("Probably wrong: 1 of 4 finished candidates give this answer." in file.getvalue()) == told
