"""A run: attempts grow in waves, verifiers score them together, a strategy chooses."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from agent import events
from agent.context import Agent
from agent.graph import case_of
from agent.policy.wire import EndpointUnreachable
from agent.records import FORM, Ending, SamplingParams, Supplied, group_key
from agent.run import Ask, ask, stream
from agent.search.attempts import AdaptiveBestOfN, BestOfN, MajorityVote, Single
from agent.search.strategy import Strategy
from retrieval.passage import Passage
from tests.agent.logs import node
from tests.agent.scripted import ROOT_SEED, Say, assert_chained, call, heard, how, model_of, spelled
from tools.tool import ToolError, ToolResult, tool
from verifiers.judge import PairwiseJudge, Reply
from verifiers.verdict import Case, Verdict

Saying = Callable[..., Agent]
QUESTION = "How many pens?"


class Likes:
    """Gives 1 to the answers that it likes and 0 to the others."""

    name = "likes"

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.seen: list[int] = []  # how many candidates it saw, each time

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        self.seen.append(len(cases))
        return [Verdict(self.name, float(case.answer.removeprefix("Answer: ") in self.answers)) for case in cases]


# --- growing ----------------------------------------------------------------------------------------------------------


async def test_the_attempts_of_a_wave_grow_side_by_side(agent_saying: Saying) -> None:
    everybody = asyncio.Barrier(8)
    agent = agent_saying({(i,): Say("Answer: 75", after=3, wait=everybody.wait) for i in range(8)})
    run = await ask(agent, QUESTION, how(BestOfN(8)))
    assert [node.path for node in run.nodes] == [(i,) for i in range(8)]
    assert run.status == "finished"


async def test_the_attempts_of_a_best_of_n_are_a_group(agent_saying: Saying) -> None:
    turns = {(i,): call("calculator", expression=f"{i}+1") for i in range(4)}
    run = await ask(agent_saying(turns), QUESTION, how(BestOfN(4)))
    firsts = [node for node in run.nodes if len(node.path) == 1]
    assert len({group_key(node) for node in firsts}) == 1
    assert len({node.sample.params.seed for node in run.nodes}) == 8
    assert [trajectory[0].tool_results[0].output for trajectory in run.trajectories()] == ["1", "2", "3", "4"]
    assert_chained(run)


async def test_adaptive_attempts_stop_when_the_leader_is_clear(agent_saying: Saying) -> None:
    run = await ask(agent_saying({}), QUESTION, how(AdaptiveBestOfN(n=16, wave=2)))
    assert len(run.nodes) == 4
    assert run.stopping_rule == "posterior>=0.95 wave=2 n<=16"
    assert not run.reference


async def test_adaptive_attempts_go_on_while_they_disagree(agent_saying: Saying) -> None:
    agent = agent_saying({(i,): f"Answer: {i}" for i in range(16)})
    assert len((await ask(agent, QUESTION, how(AdaptiveBestOfN(n=6, wave=2)))).nodes) == 6


async def test_a_reference_run_is_drawn_whole_and_says_so(agent_saying: Saying) -> None:
    asked = how(AdaptiveBestOfN(n=6, wave=2))
    run = await ask(agent_saying({}), QUESTION, Ask(asked.effort, seed=ROOT_SEED, reference_share=1.0))
    assert len(run.nodes) == 6
    assert run.reference
    assert (run.strategy, run.stopping_rule) == ("best_of_n", "fixed n=6")


async def test_about_one_seed_in_ten_gives_a_reference_run(agent_saying: Saying) -> None:
    agent = agent_saying({})
    effort = how(AdaptiveBestOfN(n=1)).effort
    runs = [await ask(agent, QUESTION, Ask(effort, seed=i)) for i in range(40)]
    seeds = [run.root_seed for run in runs if run.reference]
    again = [await ask(agent, QUESTION, Ask(effort, seed=seed)) for seed in seeds]
    assert 1 <= len(seeds) <= 10
    assert all(run.reference for run in again)


async def test_no_wave_begins_when_the_budget_is_spent_and_the_best_so_far_is_given(agent_saying: Saying) -> None:
    agent = agent_saying({(i,): f"Answer: {i}" for i in range(16)})
    one = len((await ask(agent, QUESTION, how())).nodes[0].sample.token_ids)
    run = await ask(agent, QUESTION, how(AdaptiveBestOfN(n=6, wave=2), tokens=2 * one))
    assert len(run.nodes) == 2
    assert run.answer == "Answer: 0"
    assert run.error == f"The budget of {2 * one} tokens ran out; this is the best answer so far."


async def test_a_plan_that_was_fulfilled_with_the_last_token_did_not_fall_short(agent_saying: Saying) -> None:
    agent = agent_saying({})
    one = len((await ask(agent, QUESTION, how())).nodes[0].sample.token_ids)
    assert (await ask(agent, QUESTION, how(BestOfN(2), tokens=2 * one))).error is None


async def test_a_limit_that_another_attempt_ran_into_is_not_held_against_the_answer(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): "Tom has, to be very exact about it, and to count them one by one"})
    run = await ask(agent, QUESTION, how(BestOfN(2), sample_tokens=12))
    assert [node.ending for node in run.nodes] == [Ending.BUDGET, Ending.ANSWER]
    assert (run.chosen, run.error) == ((1,), None)


# --- failing ----------------------------------------------------------------------------------------------------------


async def test_an_attempt_that_the_model_fails_does_not_stop_its_siblings(agent_saying: Saying) -> None:
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()

    turns = {
        (0,): Say("Answer: 1", after=3, wait=failed.wait),
        (2,): Say(after=0, wait=fail, fails="The server is on fire; call somebody."),
    }
    run = await ask(agent_saying(turns), QUESTION, how(BestOfN(3)))
    assert [node.ending for node in run.nodes] == [Ending.ANSWER, Ending.ANSWER, Ending.ERROR]
    assert run.nodes[2].note == "The server is on fire; call somebody."
    assert run.nodes[2].sample.not_trainable is not None
    assert (run.status, run.error) == ("finished", "The server is on fire; call somebody.")


async def test_an_attempt_that_breaks_off_is_asked_the_same_again_and_keeps_what_came(agent_saying: Saying) -> None:
    turns = {(1,): Say("Answer: 3, or perhaps", after=6, fails="The server broke off; look at its log.")}
    run = await ask(agent_saying(turns), QUESTION, how(BestOfN(2)))
    assert [(node.path, node.ending) for node in run.nodes] == [
        ((0,), Ending.ANSWER), ((1,), Ending.ERROR), ((1, 0), Ending.ANSWER),
    ]  # fmt: skip
    broken, again = run.nodes[1:]
    assert (len(broken.sample.token_ids), broken.note) == (6, "The server broke off; look at its log.")
    assert broken.sample.not_trainable is not None
    assert again.sample.prompt_token_ids == broken.sample.prompt_token_ids
    assert again.note == "retry: The server broke off; look at its log."
    assert (run.status, run.error) == ("finished", None)


async def test_an_attempt_that_breaks_off_every_time_is_given_up(agent_saying: Saying) -> None:
    turns = {(0,) * n: Say("Answer: 3, or perhaps", after=6, fails="It broke off.") for n in range(1, 9)}
    run = await ask(agent_saying(turns), QUESTION, how())
    assert [node.ending for node in run.nodes] == [Ending.ERROR] * 4
    assert (run.status, run.error) == ("failed", "It broke off.")


async def test_a_model_that_cannot_be_reached_is_asked_again_until_it_can(agent_saying: Saying) -> None:
    agent, left = agent_saying({}), [3]
    answering = model_of(agent).script

    def script(prompt: Sequence[int], params: SamplingParams) -> Say | str:
        left[0] -= 1
        if left[0] > 0:
            raise EndpointUnreachable("Nobody answers; start it.")
        return answering(prompt, params)

    model_of(agent).script = script
    told = await heard(stream(agent, QUESTION, how()))
    assert [event.reason for event in told if isinstance(event, events.Retrying)] == ["Nobody answers; start it."] * 2
    last = told[-1]
    assert isinstance(last, events.Finished)
    assert [node.ending for node in last.run.nodes] == [Ending.ANSWER]


async def test_a_model_that_cannot_be_reached_ends_the_run_when_its_time_is_over(agent_saying: Saying) -> None:
    def script(prompt: Sequence[int], params: SamplingParams) -> Say | str:
        raise EndpointUnreachable("Nobody answers; start it.")

    agent = agent_saying({})
    model_of(agent).script = script
    run = await ask(agent, QUESTION, how(seconds=2))
    assert (run.status, run.error) == ("failed", "Nobody answers; start it.")


async def test_where_every_attempt_fails_the_run_fails_with_the_reason_once(agent_saying: Saying) -> None:
    turns = {(i,): Say(fails="The server is on fire; call somebody.") for i in range(4)}
    run = await ask(agent_saying(turns), QUESTION, how(AdaptiveBestOfN(n=4, wave=2)))
    assert (run.status, run.answer, run.chosen) == ("failed", None, None)
    assert run.error == "The server is on fire; call somebody."
    assert [node.path for node in run.nodes] == [(0,), (1,)]  # no further wave


# --- scoring and choosing ---------------------------------------------------------------------------------------------


async def test_the_verifiers_see_all_candidates_together_after_every_wave(agent_saying: Saying) -> None:
    likes = Likes("2")
    agent = agent_saying({(i,): f"Answer: {i}" for i in range(4)}, verifiers=[likes])
    told = await heard(stream(agent, QUESTION, how(AdaptiveBestOfN(n=4, wave=2))))
    assert likes.seen == [2, 4]
    scored = [(event.path, event.score) for event in told if isinstance(event, events.Scored)]
    assert scored == [((0,), 0), ((1,), 0), ((0,), 0), ((1,), 0), ((2,), 1), ((3,), 0)]
    end = told[-1]
    assert isinstance(end, events.Finished)
    assert [verdict.score for node in end.run.nodes for verdict in node.verdicts] == [0, 0, 1, 0]
    assert (end.run.answer, end.run.verdicts) == ("Answer: 2", (Verdict("likes", 1.0),))
    (selected,) = [event for event in told if isinstance(event, events.Selected)]
    assert (selected.path, selected.reason) == ((2,), "highest score, 1.00, of 4 attempts")


async def test_a_verifier_that_fails_leaves_the_others_to_decide(agent_saying: Saying) -> None:
    class Broken:
        name = "broken"

        async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
            raise RuntimeError("a wheel came off")

    run = await ask(agent_saying({(0,): "Answer: 1"}, verifiers=[Broken(), Likes("75")]), QUESTION, how(BestOfN(2)))
    assert run.answer == "Answer: 75"
    assert [verdict.score for verdict in run.verdicts] == [None, 1.0]


async def test_a_judge_chooses_and_all_that_it_read_in_every_wave_is_in_the_usage(agent_saying: Saying) -> None:
    class Prefers:
        """Of two attempts the one with more sevens, at ten tokens a reply."""

        asked = 0

        async def ask(self, prompt: str, most_tokens: int) -> Reply:
            self.asked += 1
            first, second = prompt.partition("</attempt_a>")[0], prompt.partition("</attempt_a>")[2]
            return Reply(f"<verdict>{'A' if first.count('7') > second.count('7') else 'B'}</verdict>", 10)

    model = Prefers()
    turns = {(i,): f"Answer: {'7' * (i % 3 + 1)}" for i in range(4)}
    agent = agent_saying(turns, verifiers=[PairwiseJudge(model)])
    run = await ask(agent, QUESTION, how(AdaptiveBestOfN(n=4, wave=2)))
    assert run.answer == "Answer: 777"
    assert [verdict.score for node in run.nodes for verdict in node.verdicts] == [0.0, 0.5, 1.0, 0.0]
    assert model.asked == 6
    assert run.usage.verifier_tokens == 60


async def test_the_majority_is_of_answers_and_not_of_their_wording(agent_saying: Saying) -> None:
    turns = {(0,): "Answer: 80", (1,): "Answer: 75 pens", (2,): "It is 75.0.\nAnswer: 75.0"}
    run = await ask(agent_saying(turns), QUESTION, how(MajorityVote(3)))
    assert run.answer == "Answer: 75 pens"


def test_a_case_is_what_the_whole_attempt_thought_and_found() -> None:
    found = Passage("Pens are blue.", "pens.md", 0, 14)
    searched = ToolResult("search", {"query": "pens"}, "[1] Pens", passages=(found,))
    asked = {"name": "search", "arguments": {"query": "pens"}}
    first = replace(node((0,)), ending=Ending.TOOL_CALL, thought="First.", text="")
    steps = [
        replace(first, calls=(asked,), tool_results=(searched,)),
        replace(node((0, 0)), ending=Ending.BUDGET, thought="Then.", text="It is"),
    ]
    case = case_of(QUESTION, steps, "\n\n")
    assert case == Case(
        QUESTION,
        "It is",
        thought="First.\nThen.",
        steps=("First.", '{"name": "search", "arguments": {"query": "pens"}}\n[1] Pens', "Then.", "It is"),
        passages=(found,),
        finished=False,
        outcome="budget",
    )


@pytest.mark.parametrize("n", [1, 3])
async def test_tools_of_different_attempts_do_not_wait_for_each_other(agent_saying: Saying, n: int) -> None:
    everybody = asyncio.Barrier(n)

    @tool
    async def meet() -> str:
        """Wait for the others."""
        await everybody.wait()
        raise ToolError("Nobody stayed.")

    run = await ask(agent_saying({(i,): call("meet") for i in range(n)}, meet), QUESTION, how(BestOfN(n)))
    assert len(run.nodes) == 2 * n


class Reader:
    """Reads a hundred tokens of each candidate."""

    name = "reader"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        return [Verdict(self.name, 0.5, "", tokens=100) for _ in cases]


async def test_what_verifiers_read_is_spent_once_for_each_candidate(agent_saying: Saying) -> None:
    agent = replace(agent_saying({(i,): f"Answer: {i}" for i in range(8)}), verifiers=[Reader()])
    waves = AdaptiveBestOfN(n=8, wave=2)  # its first wave takes 200 of them, and the second is the last
    run = await ask(agent, QUESTION, how(waves, tokens=350))
    assert (len(run.nodes), run.usage.verifier_tokens) == (4, 400)
    assert "350 tokens" in (run.error or "")


async def test_what_a_run_cost_in_money_stands_on_it(agent_saying: Saying) -> None:
    run = await ask(agent_saying({(0,): "Answer: 75"}), QUESTION, how(prompt_price=1.0, sampled_price=100.0))
    assert run.usage.cost == pytest.approx((run.usage.prompt_tokens + 100 * run.usage.sampled_tokens) / 1e6)


async def test_calls_for_the_caller_are_answers_and_are_voted_on(agent_saying: Saying) -> None:
    """Two attempts call the caller's tool alike, one answers: the call is chosen, and nobody has made it."""
    look = call("weather", city="Bern")
    turns = {(0,): look, (1,): "Answer: 1", (2,): look}
    weather = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    asked = replace(how(MajorityVote(3)), supplied=Supplied(({"role": "user", "content": QUESTION},), (weather,)))
    run = await ask(agent_saying(turns), QUESTION, asked)
    assert (run.status, run.error, run.answer) == ("finished", None, "")
    assert run.chosen in ((0,), (2,))
    leaf = run.node(run.chosen)
    assert leaf is not None
    assert (leaf.ending, leaf.calls[0]["arguments"], leaf.tool_results) == (Ending.HANDED_OVER, {"city": "Bern"}, ())


SCHEMA = json.dumps({"type": "object"})
WRITTEN = '{"pens": 12}'


def by_schema(strategy: Strategy) -> Ask:
    return replace(how(strategy), supplied=Supplied(json_schema=SCHEMA))


async def test_the_chosen_answer_is_written_by_the_callers_schema_and_is_no_attempt_more(agent_saying: Saying) -> None:
    turns = {(i,): "Answer: 12" for i in range(3)} | {(i, 0): WRITTEN for i in range(3)}
    run = await ask(agent_saying(turns), QUESTION, by_schema(MajorityVote(3)))
    assert (run.status, run.answer) == ("finished", WRITTEN)
    assert run.chosen is not None
    assert run.node(run.chosen).text == "Answer: 12"  # type: ignore[union-attr]
    assert run.form is not None
    assert (run.form.path, run.form.bridge, run.form.sample.params.json_schema) == ((*run.chosen, 0), FORM, SCHEMA)
    assert [len(attempt) for attempt in run.trajectories()] == [1, 1, 1]
    assert len(run.nodes) == 4


async def test_the_form_is_asked_for_after_the_answer_and_without_a_thought(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): "<think>Hm.</think>Answer: 12", (0, 0): WRITTEN})
    run = await ask(agent, QUESTION, by_schema(Single()))
    assert run.usage.thought_tokens > 0
    assert run.form is not None
    assert run.form.thought == ""
    asked = spelled(agent, run.form.sample.prompt_token_ids)
    assert asked.startswith(spelled(agent, run.nodes[0].sample.prompt_token_ids + run.nodes[0].sample.token_ids))
    assert SCHEMA in asked
    assert asked.endswith("<think>\n\n</think>\n\n")


async def test_an_answer_whose_form_is_cut_is_none(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): "Answer: 12", (0, 0): Say('{"pens":', finish_reason="length")})
    run = await ask(agent, QUESTION, by_schema(Single()))
    assert (run.status, run.answer, run.chosen) == ("failed", None, None)
    assert "The answer was not written by its schema within" in str(run.error)


async def test_an_answer_that_does_not_fit_its_schema_is_none(agent_saying: Saying) -> None:
    """A server may leave the schema alone."""
    for text in ("It is 12.", "[12]"):
        run = await ask(agent_saying({(0,): "Answer: 12", (0, 0): text}), QUESTION, by_schema(Single()))
        assert (run.status, run.answer) == ("failed", None)
        assert "The answer was not written by its schema (" in str(run.error)
