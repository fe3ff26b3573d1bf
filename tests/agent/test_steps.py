"""Growing by steps: a search looks at a thought before it goes on, puts words between, stops what no longer matters."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from agent import events
from agent.context import Agent
from agent.errors import QuestionError
from agent.records import Ending
from agent.run import ask, stream
from agent.search.attempts import MajorityVote
from agent.search.auto import Auto
from agent.search.revise import BudgetForcing, SelfRefine
from agent.search.steps import Beam, Rollouts, TreeSearch
from agent.search.strategy import Strategy
from tests.agent.scripted import Say, assert_chained, call, how, model_of, spelled
from verifiers.verdict import Case, Verdict

Saying = Callable[..., Agent]
QUESTION = "How many pens?"
SUM = call("calculator", expression="70+5")


class StepJudge:
    """Likes steps with a plus sign."""

    name = "steps"
    judges_steps = True

    def __init__(self) -> None:
        self.seen: list[Case] = []

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        self.seen += cases
        return [Verdict(self.name, float("+" in case.steps[-1])) for case in cases]


def by_steps(agent: Agent, judge: StepJudge | None = None) -> Agent:
    judges = {"verifiers": [judge], "weights": {"steps": 1.0}} if judge else {}
    return replace(agent, step_delimiter="\n", **judges)


# --- steps ------------------------------------------------------------------------------------------------------------


async def test_a_thought_stops_at_each_step_and_goes_on_from_the_very_tokens(agent_saying: Saying) -> None:
    turns = {
        (0,): "<think>\n",
        (0, 0): "Tom has 70\n",
        (0, 0, 0): "Ann has + 5\n",
        (0, 0, 0, 0): "</think>\n\n",
        (0, 0, 0, 0, 0): SUM,
        (0, 0, 0, 0, 0, 0): "Answer: 75",
    }
    run = await ask(by_steps(agent_saying(turns)), QUESTION, how(Rollouts(n=1, continuations=0)))
    assert [node.ending for node in run.nodes] == [*([Ending.STEP] * 4), Ending.TOOL_CALL, Ending.ANSWER]
    assert [node.thought for node in run.nodes] == ["", "Tom has 70", "Ann has + 5", "", "", ""]
    assert run.nodes[4].tool_results[0].output == "75"
    for before, after in zip(run.nodes[:4], run.nodes[1:5], strict=True):
        assert after.sample.prompt_token_ids == before.sample.prompt_token_ids + before.sample.token_ids
    assert run.answer == "Answer: 75"
    assert run.usage.thought_tokens == sum(len(node.sample.token_ids) for node in run.nodes[:3]) - 1  # <think> itself


async def test_the_continuations_of_a_step_are_grown_to_their_end(agent_saying: Saying) -> None:
    turns = {
        (0,): "<think>Tom has 70\n", (0, 0): "</think>\n\n", (0, 0, 0): "Answer: 75",
        (0, 1): "Ann has 5\n</think>\n\nAnswer: 80", (0, 2): "</think>\n\nAnswer: 70",
    }  # fmt: skip
    run = await ask(by_steps(agent_saying(turns)), QUESTION, how(Rollouts(n=1, continuations=2, rounds=1)))
    assert run.node((0,)).ending is Ending.STEP  # type: ignore[union-attr]
    texts = {node.path: node.text for node in run.nodes if node.ending is Ending.ANSWER}
    assert texts == {(0, 0, 0): "Answer: 75", (0, 1): "Answer: 80", (0, 2): "Answer: 70"}


async def test_a_beam_goes_on_from_the_step_that_is_judged_best(agent_saying: Saying) -> None:
    turns = {
        (0,): "<think>a - 1\nb", (1,): "<think>a + 1\nb", (1, 0): "b - 1\nc", (1, 1): "b + 1\nc",
        (1, 1, 0): "</think>\n\n", (1, 1, 0, 0): "Answer: 5", (1, 1, 1): "</think>\n\n", (1, 1, 1, 0): "Answer: 6",
    }  # fmt: skip
    judge = StepJudge()
    run = await ask(by_steps(agent_saying(turns), judge), QUESTION, how(Beam(beams=1, expand=2)))
    assert [node.path for node in run.nodes] == [
        (0,),
        (1,),
        (1, 0),
        (1, 1),
        (1, 1, 0),
        (1, 1, 0, 0),
        (1, 1, 1),
        (1, 1, 1, 0),
    ]
    assert run.answer == "Answer: 5"
    assert judge.seen[0].steps == ("a - 1",)
    assert_chained(run)


@pytest.mark.parametrize("strategy", [Beam(), TreeSearch()])
async def test_a_search_over_steps_wants_a_judge_of_steps(strategy: Strategy, agent_saying: Saying) -> None:
    with pytest.raises(QuestionError, match="needs a process reward model"):
        await ask(agent_saying({}), QUESTION, how(strategy))


async def test_what_is_not_finished_is_shown_to_judges_of_steps_only(agent_saying: Saying) -> None:
    class OfAnswers(StepJudge):
        judges_steps = False

    judge = OfAnswers()
    run = await ask(by_steps(agent_saying({(0,): "<think>a\n"}), judge), QUESTION, how(Rollouts(1, 0)))
    assert [case.finished for case in judge.seen] == [True]
    assert run.node((0,)).verdicts == ()  # type: ignore[union-attr]


# --- words between ----------------------------------------------------------------------------------------------------


async def test_a_critique_and_a_revision_are_turns_of_the_same_conversation(agent_saying: Saying) -> None:
    turns = {(0,): "Answer: 74", (0, 0): "It is one too low.", (0, 0, 0): "Answer: 75"}
    agent = agent_saying(turns)
    run = await ask(agent, QUESTION, how(SelfRefine(rounds=1)))
    assert [(node.text, node.bridge) for node in run.nodes] == [
        ("Answer: 74", ""), ("It is one too low.", "critique"), ("Answer: 75", "revise"),
    ]  # fmt: skip
    assert run.answer == "Answer: 75"
    assert "put right" in spelled(agent, run.nodes[2].sample.prompt_token_ids)
    assert_chained(run)


async def test_a_thought_goes_on_where_it_would_have_ended(agent_saying: Saying) -> None:
    turns = {(0,): "<think>It is 74\n</think>", (0, 0): " no, 75\n</think>", (0, 0, 0): "\n\nAnswer: 75"}
    agent = agent_saying(turns)
    run = await ask(agent, QUESTION, how(BudgetForcing(extend=1)))
    assert spelled(agent, run.nodes[1].sample.prompt_token_ids).endswith("<think>It is 74\nWait")
    assert [node.thought for node in run.nodes] == ["It is 74", "no, 75", ""]
    assert run.answer == "Answer: 75"


async def test_a_thought_is_cut_and_closed(agent_saying: Saying) -> None:
    agent = agent_saying({(0,): "<think>one two three four five six seven", (0, 0): "Answer: 75"})
    run = await ask(agent, QUESTION, how(BudgetForcing(extend=0, most=6)))
    assert len(run.nodes[0].sample.token_ids) == 6
    assert run.nodes[0].ending is Ending.STEP
    assert spelled(agent, run.nodes[1].sample.prompt_token_ids).endswith("\n</think>\n\n")
    assert (run.nodes[1].ending, run.answer) == (Ending.ANSWER, "Answer: 75")


async def test_a_first_attempt_answers_without_a_thought_and_the_next_one_thinks(agent_saying: Saying) -> None:
    turns = {(0,): "Answer: 74", (1,): "<think>12 * 7 - 9</think>Answer: 75"}
    agent = agent_saying(turns)
    always, never = (0.0, 0.0, 0.0, 0.0), (-9.0, 0.0, 0.0, 0.0)
    for quick_weights, answer, attempts in ((always, "Answer: 74", 1), (never, "Answer: 75", 2)):
        auto = Auto(n=8, enough=0.5, weights=always, quick_weights=quick_weights)
        run = await ask(agent, QUESTION, how(auto))
        assert (run.answer, len(run.nodes)) == (answer, attempts)
        assert spelled(agent, run.nodes[0].sample.prompt_token_ids).endswith("<think>\n\n</think>\n\n")
        assert [node.thought for node in run.nodes] == ["", "12 * 7 - 9"][:attempts]
    assert not spelled(agent, run.nodes[1].sample.prompt_token_ids).endswith("</think>\n\n")
    assert run.usage.thought_tokens == len(agent.policy.renderer.encode("12 * 7 - 9"))


# --- what no longer matters -------------------------------------------------------------------------------------------


async def test_attempts_that_cannot_change_a_vote_are_cancelled_and_kept_with_that_mark(agent_saying: Saying) -> None:
    others = asyncio.Event()
    agent = agent_saying({(4,): Say("one two three four five six seven eight", after=3, wait=others.wait)})
    ended, finished = 0, []
    async for event in stream(agent, QUESTION, how(MajorityVote(5))):
        ended += isinstance(event, events.CandidateFinished)
        if ended == 4:
            others.set()
        finished += [event.run] if isinstance(event, events.Finished) else []
    run = finished[0]
    late = run.nodes[4]
    assert late.ending is Ending.CANCELLED
    assert 0 < len(late.sample.token_ids) < 9
    assert late.sample.not_trainable
    assert run.usage.sampled_tokens == sum(len(node.sample.token_ids) for node in run.nodes)
    assert (run.status, run.answer, run.error) == ("finished", "Answer: 75", None)
    assert model_of(agent).broken_off == 1


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [BudgetForcing(extend=1), Beam(beams=2, expand=2)])
async def test_a_search_whose_attempts_have_no_steps_left_ends(agent_saying: Saying, strategy: Strategy) -> None:
    """Not one that asks for the same growth again until its time is over."""
    agent = replace(agent_saying({}), verifiers=[StepJudge()], weights={"steps": 1.0})
    model_of(agent).script = lambda prompt, params: SUM
    effort = how(strategy, steps=3)
    run = await asyncio.wait_for(ask(agent, QUESTION, effort), 30)
    assert run.status == "failed"
    assert "3 steps" in (run.error or "")
    assert max(len(node.path) for node in run.nodes) == 3


class Reader:
    """Reads 500 tokens of each candidate, and takes its time."""

    name = "reader"

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        await asyncio.sleep(self.seconds)
        return [Verdict(self.name, 1.0, tokens=500) for _ in cases]


async def test_what_verifiers_read_beyond_the_limit_is_said(agent_saying: Saying) -> None:
    agent = replace(agent_saying({}), verifiers=[Reader()], weights={"reader": 1.0})
    run = await ask(agent, QUESTION, how(MajorityVote(2), tokens=300))
    assert (run.answer, run.error) == (
        "Answer: 75",
        "The budget of 300 tokens ran out; this is the best answer so far.",
    )


async def test_verifiers_have_no_longer_than_the_run(agent_saying: Saying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.graph.SHORTEST_JUDGING", 0.1)
    agent = replace(agent_saying({}), verifiers=[Reader(seconds=60)], weights={"reader": 1.0})
    run = await asyncio.wait_for(ask(agent, QUESTION, how(seconds=1.0)), 30)
    assert run.answer == "Answer: 75"
    assert "It took longer than" in run.nodes[0].verdicts[0].reason
