"""One attempt: it reasons, calls tools, reads what they said, and ends by name."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby

import pytest

from agent import events
from agent.approval import Approval
from agent.context import Agent
from agent.records import Ending, Node, Run
from agent.run import ask, stream
from agent.search.attempts import BestOfN
from retrieval.passage import Passage
from tests.agent.scripted import PIECE, Say, assert_chained, call, forever, heard, how, model_of, spelled
from tools.search import search_tool
from tools.tool import Tool, ToolError, ToolOutput, tool

Saying = Callable[..., Agent]
QUESTION = "Tom has 12 boxes with 7 pens in each and gives away 9 pens. How many pens does Tom have now?"
THINKS = "<think>\nTwelve times seven, less nine.\n</think>\n\n"


def prompt_text(agent: Agent, node: Node) -> str:
    return spelled(agent, node.sample.prompt_token_ids)


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_a_question_without_a_tool_is_thought_about_and_answered(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): THINKS + "Tom has 75 pens.\nAnswer: 75"})
    run = await ask(agent, QUESTION, how())
    assert (run.status, run.answer, run.error) == ("finished", "Tom has 75 pens.\nAnswer: 75", None)
    (node,) = run.nodes
    assert node.thought == "Twelve times seven, less nine."
    assert node.ending is Ending.ANSWER
    assert node.sample.token_ids == model_of(agent).turn(THINKS + "Tom has 75 pens.\nAnswer: 75")
    assert node.sample.not_trainable is None


async def test_what_is_streamed_is_what_is_logged(agent_saying: Saying) -> None:
    turn = "<think>\nIn Zürich? 12·7 → 84 ✓\n</think>\n\nÉté 🖊 75\nAnswer: 75"
    told = await heard(stream(agent_saying({(0,): turn}), QUESTION, how()))
    kinds = [type(event).__name__ for event in told]
    assert [kind for kind, _ in groupby(kinds)] == [
        "RunStarted", "ThoughtDelta", "AnswerDelta", "CandidateFinished", "Scored", "Selected", "Finished"
    ]  # fmt: skip
    end = told[-1]
    assert isinstance(end, events.Finished)
    (node,) = end.run.nodes
    assert "".join(e.text for e in told if isinstance(e, events.ThoughtDelta)).strip() == node.thought
    assert "".join(e.text for e in told if isinstance(e, events.AnswerDelta)).strip() == node.text == end.run.answer


# --- tools ------------------------------------------------------------------------------------------------------------


async def test_a_tools_result_stands_in_the_next_prompt_after_what_was_sampled(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): THINKS + call("calculator", expression="12*7-9"), (0, 0): "Answer: 75"})
    run = await ask(agent, QUESTION, how())
    first, second = run.nodes
    assert first.ending is Ending.TOOL_CALL
    assert [(result.name, result.output) for result in first.tool_results] == [("calculator", "75")]
    assert prompt_text(agent, second).endswith(
        "</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n75\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert_chained(run)
    assert run.answer == "Answer: 75"
    assert (run.usage.model_calls, run.usage.tool_calls) == (2, 1)


async def test_the_tools_of_one_step_run_at_the_same_time_and_answer_in_the_order_of_the_calls(
    agent_saying: Saying,
) -> None:
    everybody = asyncio.Barrier(3)

    @tool
    async def meet(name: str) -> str:
        """Wait for the others."""
        await everybody.wait()
        return f"{name} met {everybody.n_waiting}"

    calls = "\n".join(call("meet", name=name) for name in ("Ann", "Bo", "Cy"))
    run = await ask(agent_saying({(0,): calls}, meet), QUESTION, how())
    assert [result.text.split()[0] for result in run.nodes[0].tool_results] == ["Ann", "Bo", "Cy"]
    assert run.answer == "Answer: 75"


async def test_what_goes_wrong_in_a_tool_is_read_by_the_model(agent_saying: Saying) -> None:
    @tool
    async def telescope(star: str) -> str:
        """Look at a star."""
        if star == "Sun":
            raise ToolError("The Sun is too bright; take another star.")
        raise RuntimeError("a lens fell out")

    calls = [call("telescope", star="Sun"), call("telescope", star="Vega"), call("microscope"), call("calculator")]
    agent = agent_saying({(0,): "\n".join(calls)}, telescope)
    run = await ask(agent, QUESTION, how())
    errors = [result.error for result in run.nodes[0].tool_results]
    assert errors[0] == "The Sun is too bright; take another star."
    assert "RuntimeError" in str(errors[1])
    assert "no tool called 'microscope'" in str(errors[2])
    assert '"expression" is missing' in str(errors[3])
    assert all(f"Error: {error}" in prompt_text(agent, run.nodes[1]) for error in errors)
    assert run.status == "finished"


async def test_passages_are_numbered_on_through_an_attempt(agent_saying: Saying) -> None:
    class Shelf:
        def search(self, query: str, k: int) -> list[Passage]:
            return [Passage(f"[1] {query} {i}.", f"{query}.md", 0, 9, title=f"{query} {i}") for i in (1, 2)]

    turns = {(0,): call("search", query="pens"), (0, 0): call("search", query="ink"), (0, 0, 0): "Blue [3]."}
    agent = agent_saying(turns, search_tool(Shelf()))
    told = await heard(stream(agent, QUESTION, how()))
    found = [event for event in told if isinstance(event, events.PassagesFound)]
    assert [(event.first, [passage.title for passage in event.passages]) for event in found] == [
        (1, ["pens 1", "pens 2"]),
        (3, ["ink 1", "ink 2"]),
    ]
    end = told[-1]
    assert isinstance(end, events.Finished)
    assert end.run.nodes[1].tool_results[0].output == "[3] ink 1\n[1] ink 1.\n\n[4] ink 2\n[1] ink 2."


async def test_a_tool_that_shows_its_passages_in_its_own_words_keeps_them(agent_saying: Saying) -> None:
    @tool
    async def librarian(wish: str) -> ToolOutput:
        """Ask the librarian."""
        return ToolOutput("Take this one.", (Passage("Pens are blue.", "pens.md", 0, 14),))

    turns = dict.fromkeys([(0,), (0, 0)], call("librarian", wish="ink"))
    run = await ask(agent_saying(turns, librarian), QUESTION, how())
    assert [node.tool_results[0].output for node in run.nodes[:2]] == ["Take this one."] * 2


# --- unusual endings --------------------------------------------------------------------------------------------------

BROKEN = {
    Ending.EMPTY: "<think>\nHm.\n</think>\n\n",
    Ending.UNCLOSED_THOUGHT: "<think>\nHm, hm",
    Ending.BAD_CALL: "<tool_call>\n{broken\n</tool_call>",
}


@pytest.mark.parametrize("ending", BROKEN)
async def test_a_turn_that_leads_nowhere_is_repaired(agent_saying: Saying, ending: Ending) -> None:
    agent = agent_saying({(0,): BROKEN[ending], (0, 0): "Answer: 75"})
    told = await heard(stream(agent, QUESTION, how()))
    end = told[-1]
    assert isinstance(end, events.Finished)
    first, second = end.run.nodes
    assert (first.ending, second.ending, end.run.answer) == (ending, Ending.ANSWER, "Answer: 75")
    assert second.note == f"repair: {ending.value}"
    (repaired,) = [event for event in told if isinstance(event, events.Repaired)]
    assert repaired.ending is ending
    assert repaired.note in prompt_text(agent, second)
    assert_chained(end.run)


@pytest.mark.parametrize("ending", BROKEN)
@pytest.mark.parametrize("again", BROKEN)
async def test_a_second_one_ends_the_attempt_by_name(agent_saying: Saying, ending: Ending, again: Ending) -> None:
    agent = agent_saying({(0,): BROKEN[ending], (0, 0): BROKEN[again]})
    run = await ask(agent, QUESTION, how())
    assert [node.ending for node in run.nodes] == [ending, again]
    assert (run.status, run.answer, run.chosen) == ("failed", None, None)
    assert run.error == "No attempt came to an answer; ask again, or with more effort."


async def test_a_repair_is_spent_even_when_a_tool_was_called_in_between(agent_saying: Saying) -> None:
    turns = {(0,): "", (0, 0): call("calculator", expression="1"), (0, 0, 0): "", (0, 0, 0, 0): "Answer: 75"}
    run = await ask(agent_saying(turns), QUESTION, how())
    assert [node.ending for node in run.nodes] == [Ending.EMPTY, Ending.TOOL_CALL, Ending.EMPTY]


# --- budgets ----------------------------------------------------------------------------------------------------------


async def test_steps_end_an_attempt_that_only_calls_tools(agent_saying: Saying) -> None:
    calls = "Let me see. " + call("calculator", expression="12*7")
    run = await ask(agent_saying(dict.fromkeys([(0,), (0, 0), (0, 0, 0)], calls)), QUESTION, how(steps=2))
    assert [node.ending for node in run.nodes] == [Ending.TOOL_CALL] * 2
    assert (run.status, run.answer) == ("failed", None)  # what it said beside its calls is no answer
    assert run.error == "The budget of 2 steps ran out; no attempt came to an answer; raise that limit."


async def test_a_step_that_is_too_long_is_cut_and_given_as_the_best_so_far(agent_saying: Saying) -> None:
    run = await ask(agent_saying({(0,): "Tom had 84 pens, and then"}), QUESTION, how(sample_tokens=6))
    (node,) = run.nodes
    assert (node.ending, node.sample.finish_reason, len(node.sample.token_ids)) == (Ending.BUDGET, "length", 6)
    assert run.status == "finished"
    assert "Tom had 84 pens, and then".startswith(run.answer or "-")
    assert run.error == "The budget of 6 tokens a step ran out; this is the best answer so far."


async def test_the_tokens_of_the_run_end_a_step_in_its_middle(agent_saying: Saying) -> None:
    first = call("calculator", expression="12*7")
    agent = agent_saying({(0,): first, (0, 0): "Tom has a great many pens, as I will now explain at length"})
    spent = len(model_of(agent).turn(first)) + 9
    run = await ask(agent, QUESTION, how(tokens=spent))
    assert run.nodes[1].ending is Ending.BUDGET
    assert run.nodes[1].sample.not_trainable is not None
    assert run.nodes[1].sample.params.max_tokens == run.nodes[0].sample.params.max_tokens  # of one distribution
    assert run.usage.sampled_tokens == spent + PIECE  # what was under way had been sampled too
    assert run.error == f"The budget of {spent} tokens ran out; this is the best answer so far."
    assert (run.nodes[1].text, run.answer) == ("Tom has a great many pens, a", "Tom has a great many pens,")
    assert model_of(agent).broken_off == 1


async def test_an_answer_that_takes_all_tokens_of_the_run_and_ends_there_is_whole(agent_saying: Saying) -> None:
    agent = agent_saying({})
    run = await ask(agent, QUESTION, how(tokens=len(model_of(agent).turn("Answer: 75"))))
    assert [(node.ending, node.sample.not_trainable) for node in run.nodes] == [(Ending.ANSWER, None)]


@pytest.mark.parametrize("reason", ["cancelled", "error"])
async def test_a_sample_that_the_model_ended_itself_is_not_trained_on(agent_saying: Saying, reason: str) -> None:
    said = Say("Tom has", finish_reason=reason)
    told = await heard(stream(agent_saying({(0,) * depth: said for depth in range(1, 6)}), QUESTION, how()))
    why = f"{reason}: the sample was stopped from outside"
    end = told[-1]
    assert isinstance(end, events.Finished)
    assert {node.sample.not_trainable for node in end.run.nodes} == {why}
    if reason == "error":
        sentence = f"The model broke off ({why}); ask again."
        assert {event.reason for event in told if isinstance(event, events.Retrying)} == {sentence}
        assert end.run.error == sentence


async def test_what_had_arrived_before_a_defect_is_logged(agent_saying: Saying) -> None:
    async def breaks() -> None:
        raise ZeroDivisionError("a wheel came off")

    run = await ask(agent_saying({(0,): Say("Tom has many pens", after=3, wait=breaks)}), QUESTION, how())
    sentence = "Something went wrong inside (ZeroDivisionError: a wheel came off); please report it."
    assert (run.status, run.error) == ("failed", sentence)
    assert [(node.ending, len(node.sample.token_ids), node.note) for node in run.nodes] == [(Ending.ERROR, 3, sentence)]


async def test_the_seconds_of_the_run_end_a_model_that_hangs(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): Say("Tom has many pens, as I will explain", after=6, wait=forever)})
    run = await ask(agent, QUESTION, how(seconds=0.2))
    (node,) = run.nodes
    assert (node.ending, len(node.sample.token_ids)) == (Ending.BUDGET, 6)
    assert run.error == "The budget of 0.2 seconds ran out; this is the best answer so far."
    assert model_of(agent).broken_off == 1


async def test_the_seconds_of_the_run_end_a_tool_that_hangs(agent_saying: Saying) -> None:
    @tool
    async def wait() -> str:
        """Wait."""
        await forever()
        return ""

    run = await ask(agent_saying({(0,): call("wait")}, wait), QUESTION, how(seconds=0.2))
    assert "was stopped" in run.nodes[0].tool_results[0].text
    assert run.error == "The budget of 0.2 seconds ran out; no attempt came to an answer; raise that limit."


async def test_tool_calls_beyond_the_budget_are_not_made_and_the_model_answers_without(agent_saying: Saying) -> None:
    made = []

    @tool
    async def count(n: int) -> str:
        """Count."""
        made.append(n)
        return str(n)

    calls = "\n".join(call("count", n=n) for n in range(3))
    run = await ask(agent_saying({(0,): calls, (0, 0): calls}, count), QUESTION, how(tool_calls=2))
    assert made == [0, 1]
    assert "the budget of 2 tool calls is spent" in run.nodes[0].tool_results[2].text
    assert all(result.error for result in run.nodes[1].tool_results)
    assert run.answer == "Answer: 75"
    assert run.error == "The budget of 2 tool calls ran out; this is the best answer so far."


# --- prompts that would not fit ---------------------------------------------------------------------------------------


@tool
async def recite(lines: int) -> str:
    """Recite a poem."""
    return "\n".join(f"In line {i} of the poem the river runs on" for i in range(lines))


async def test_the_end_of_the_models_context_is_named_where_it_cuts_an_answer(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): "Tom has pens. " * 200}, context_length=400)
    run = await ask(agent, QUESTION, how())
    limit = f"{400 - run.usage.prompt_tokens} tokens left in the model's context"
    assert run.error == f"The budget of {limit} ran out; this is the best answer so far."


async def test_results_of_earlier_steps_are_left_out_where_the_prompt_would_not_fit(agent_saying: Saying) -> None:
    turns = dict.fromkeys([(0,), (0, 0)], call("recite", lines=10)) | {(0, 0, 0): call("calculator", expression="1")}
    agent = agent_saying(turns, recite, context_length=900)
    run = await ask(agent, QUESTION, how(sample_tokens=100))
    assert run.answer == "Answer: 75"
    assert [node.note for node in run.nodes] == ["", "", "compacted: tool results of the first 1 steps left out", ""]
    whole = run.nodes[0].tool_results[0].text
    compacted = prompt_text(agent, run.nodes[2])
    assert f"[cut to make room: {len(whole)} more characters]" in compacted
    assert compacted.count(whole) == 1
    assert all(len(node.sample.prompt_token_ids) <= 900 - 64 for node in run.nodes)
    known = run.nodes[2].sample.prompt_token_ids + run.nodes[2].sample.token_ids
    assert run.nodes[3].sample.prompt_token_ids[: len(known)] == known


async def test_a_result_that_is_too_long_by_itself_is_cut_and_says_so(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): call("recite", lines=100)}, recite, context_length=700)
    run = await ask(agent, QUESTION, how())
    assert run.answer == "Answer: 75"
    assert run.nodes[1].note.startswith("compacted: those of the last cut to ")
    kept = int(run.nodes[1].note.split()[-2])
    whole = run.nodes[0].tool_results[0].text
    assert f"{whole[:kept]}\n[cut to make room: {len(whole) - kept} more characters]" in prompt_text(
        agent, run.nodes[1]
    )
    assert run.nodes[0].tool_results[0].output == whole  # the log keeps it


async def test_an_attempt_that_cannot_be_made_to_fit_fails_with_the_reason(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): call("calculator", expression="12*7")})
    second = len((await ask(agent, QUESTION, how())).nodes[1].sample.prompt_token_ids)
    model_of(agent).context_length = second + 63
    run = await ask(agent, QUESTION, how())
    assert (run.status, len(run.nodes)) == ("failed", 1)
    assert run.error == (
        f"The attempt has come to {second} tokens and the model reads {second + 63}; "
        "ask a narrower question, or start a new thread."
    )


# --- calls with effects -----------------------------------------------------------------------------------------------


def counter(wait: float = 0.0) -> tuple[Tool, list[str]]:
    """A tool that changes something outside, and with what it was called."""
    booked: list[str] = []

    @tool(idempotent=False)
    async def book(room: str) -> str:
        """Book a room."""
        booked.append(room)
        number = len(booked)
        await asyncio.sleep(wait)
        return f"booking {number}"

    return book, booked


@pytest.mark.parametrize("wait", [0.0, 0.2])
async def test_a_call_with_effects_is_made_once_for_all_attempts(agent_saying: Saying, wait: float) -> None:
    book, booked = counter(wait)
    turns = {(i,): call("book", room="12") for i in range(4)} | {(4,): call("book", room="13")}
    agent = agent_saying(turns, book)
    run = await ask(agent, "Book a room.", how(BestOfN(n=5)))
    assert sorted(booked) == ["12", "13"]
    results = [node.tool_results[0].output for node in run.nodes if node.calls]
    assert len(results) == 5
    assert len(set(results)) == 2


async def test_an_attempt_that_makes_a_call_twice_makes_it_twice(agent_saying: Saying) -> None:
    book, booked = counter()
    twice = {(i, *[0] * depth): call("book", room="12") for i in range(2) for depth in range(2)}
    run = await ask(agent_saying(twice, book), "Book two rooms.", how(BestOfN(n=2)))
    assert booked == ["12", "12"]
    said = {node.path: node.tool_results[0].output for node in run.nodes if node.calls}
    assert said == {(0,): "booking 1", (0, 0): "booking 2", (1,): "booking 1", (1, 0): "booking 2"}


async def test_a_call_that_a_person_declined_is_declined_for_all_attempts(agent_saying: Saying) -> None:
    book, booked = counter()
    asked: list[str] = []

    async def declines(_: Run, needed: events.ApprovalNeeded) -> Approval:
        asked.append(needed.name)
        return Approval(False, "not today")

    turns = {(i,): call("book", room="12") for i in range(3)}
    agent = agent_saying(turns, replace(book, asks=True))
    run = await ask(agent, "Book a room.", replace(how(BestOfN(n=3)), approver=declines))
    assert (booked, asked) == ([], ["book"])
    assert all("not today" in (node.tool_results[0].error or "") for node in run.nodes if node.calls)


async def test_calls_without_effects_are_made_by_each_attempt(agent_saying: Saying) -> None:
    book, booked = counter()
    turns = {(i,): call("book", room="12") for i in range(3)}
    await ask(agent_saying(turns, replace(book, idempotent=True)), "Book a room.", how(BestOfN(n=3)))
    assert booked == ["12"] * 3
