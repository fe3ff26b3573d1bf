"""Choosing from attempts that were drawn once: as the strategy would have done alone, for what it would have cost."""

from collections.abc import Callable, Sequence

import pytest

from agent.context import Agent
from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams
from agent.run import ask
from agent.search.attempts import AdaptiveBestOfN, BestOfN, Single
from agent.search.attempts import MajorityVote as Majority
from agent.search.auto import Auto
from agent.search.steps import Beam
from agent.search.strategy import Strategy
from rl.pools import Pool, Way, any_right, chosen, liked_best, only_chooses, pool_of, ways
from rl.tasks.suite import generate
from tests.agent.conftest import agent_saying, agent_with, log, log_path, model_folder, renderer, saver
from tests.agent.scripted import how
from verifiers.consensus import Consensus
from verifiers.verdict import Case, Verdict, Verifier

__all__ = ["agent_saying", "agent_with", "log", "log_path", "model_folder", "renderer", "saver"]
TASK = generate("units", 1, "held_out", 0, 0)
VOTING = {"consensus": 1.0}


class Reads:
    """A reward model that knows the right answer and reads seven tokens."""

    name = "process_reward"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        return [Verdict(self.name, float(case.answer == f"Answer: {TASK.gold}"), "", 7) for case in cases]


async def pool(*answers: str, verifiers: Sequence[Verifier] = ()) -> Pool:
    """Attempt i gives the i-th answer in i + 1 tokens."""
    version = PolicyVersion("m")
    samples = [
        Sample((1,), (2,) * i, (-0.5,) * i, "stop", version, SamplingParams()) for i in range(1, len(answers) + 1)
    ]
    nodes = tuple(
        Node((i,), sample, Ending.ANSWER, "so", f"Answer: {answer}")
        for i, (sample, answer) in enumerate(zip(samples, answers, strict=True))
    )
    run = Run("r", TASK.question, "t", "pool", "best_of_n", {}, "", 1, version, "2026", "finished", nodes)
    return await pool_of(TASK, run, verifiers, "\n", seconds=10.0)


async def test_a_vote_of_the_first_attempts_costs_those_attempts() -> None:
    drawn = await pool(TASK.gold, "no", TASK.gold, "never")
    outcome = await chosen(Way("majority@3", Majority(3), VOTING), drawn)
    assert (outcome.right, outcome.tokens, outcome.seconds) == (1.0, 1 + 2 + 3, 10.0 * 6 / 10)


async def test_an_adaptive_search_stops_in_the_pool_where_it_would_have_stopped() -> None:
    drawn = await pool("no", "no", TASK.gold, TASK.gold, TASK.gold, TASK.gold)
    outcome = await chosen(Way("a", AdaptiveBestOfN(6, wave=2, level=0.9), VOTING), drawn)
    assert (outcome.right, outcome.tokens) == (0.0, 3)


async def test_agreement_is_that_of_the_attempts_that_were_made() -> None:
    drawn = await pool("no", TASK.gold, TASK.gold, "no", "no")
    first = await chosen(Way("b", BestOfN(3), VOTING), drawn)
    assert first.right == 1.0
    assert (await chosen(Way("b", BestOfN(5), VOTING), drawn)).right == 0.0


async def test_what_a_verifier_read_counts_where_it_is_asked() -> None:
    drawn = await pool("no", TASK.gold, verifiers=(Reads(), Consensus()))
    by_reward = await chosen(Way("p", BestOfN(2), {"process_reward": 1.0}), drawn)
    assert (by_reward.right, by_reward.tokens) == (1.0, 3 + 14)
    assert (await chosen(Way("m", Majority(2), VOTING), drawn)).tokens == 3


async def test_a_way_that_wants_more_than_there_is_is_refused() -> None:
    with pytest.raises(ValueError, match="wants 4 attempts, and the pool has 2"):
        await chosen(Way("majority@4", Majority(4), VOTING), await pool("1", "2"))


@pytest.mark.parametrize(
    ("strategy", "chooses"),
    [
        (Single(), True),
        (Single("close"), False),
        (Auto(), True),
        (Auto(quick_weights=(1, 0, 0, 0)), False),
        (Beam(), False),
    ],
)
def test_what_begins_otherwise_than_a_pool_is_not_replayed_on_it(strategy: Strategy, chooses: bool) -> None:
    assert only_chooses(strategy) == chooses


async def test_the_oracle_is_right_where_any_attempt_is() -> None:
    drawn = await pool(TASK.gold, "no", "no", "no")
    assert any_right(drawn, 4).right == 1.0
    assert any_right(drawn, 1).right == pytest.approx(0.25)
    assert any_right(drawn, 2).tokens == 5


def test_sizes_are_powers_of_two_up_to_all() -> None:
    names = [way.name for way in ways(12, VOTING, process_reward=True)]
    assert names[:4] == ["majority@2", "majority@4", "majority@8", "majority@12"]
    assert names[-1] == "prm_weighted@12"


async def test_the_best_liked_of_k_is_a_mean_over_every_choice_of_k_and_its_score_the_proxy() -> None:
    drawn = await pool("no", TASK.gold, "no", verifiers=(Reads(),))
    outcomes = [liked_best(drawn, k, "process_reward") for k in (1, 2, 3)]
    assert [each.right for each in outcomes] == [each.score for each in outcomes] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert [each.tokens for each in outcomes] == [9, 18, 27]


@pytest.mark.parametrize(
    "strategy",
    [Majority(7), BestOfN(5), AdaptiveBestOfN(12, wave=3, level=0.9), Auto(12, enough=0.9, weights=(-1, 0, 2, 0))],
)
async def test_a_strategy_does_in_a_pool_what_it_does_alone(
    strategy: Majority | BestOfN | AdaptiveBestOfN | Auto, agent_saying: Callable[..., Agent]
) -> None:
    agent = agent_saying({(i,): f"Answer: {answer}" for i, answer in enumerate("312133332211")})
    drawn = await pool_of(TASK, await ask(agent, TASK.question, how(BestOfN(12))), agent.verifiers, "\n", 1.0)
    alone = await ask(agent, TASK.question, how(strategy))
    replayed = await chosen(Way("w", strategy, agent.weights), drawn)
    assert replayed.tokens == sum(drawn.tokens[: len(alone.nodes)])
