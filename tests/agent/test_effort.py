"""What an effort is under the verifiers at hand."""

from dataclasses import replace

import pytest

from agent.effort import EFFORTS, chosen_by
from agent.search.attempts import AdaptiveBestOfN, WeightedVote
from agent.search.auto import Auto

STEPS = {"process_reward": 1.0}


@pytest.mark.parametrize("name", ["medium", "high", "max", "auto"])
@pytest.mark.parametrize("weights", [STEPS, {"outcome_reward": 0.5, "consensus": 0.5}])
def test_votes_are_weighted_where_a_reward_model_judges(name: str, weights: dict[str, float]) -> None:
    effort = EFFORTS[name]
    strategy = chosen_by(effort, weights).strategy
    assert isinstance(strategy, AdaptiveBestOfN | Auto)
    assert strategy == replace(strategy, by="weighted")
    assert chosen_by(effort, {"consensus": 0.7}) == effort


def test_what_was_written_out_and_what_makes_one_attempt_stay() -> None:
    written = replace(EFFORTS["high"], name="adaptive_best_of_n:n=8,by=best")
    for effort in (EFFORTS["low"], written):
        assert chosen_by(effort, STEPS) == effort


def test_the_unbiased_reference_chooses_as_the_effort_does() -> None:
    strategy = chosen_by(EFFORTS["high"], STEPS).strategy
    assert isinstance(strategy, AdaptiveBestOfN)
    assert strategy.whole() == WeightedVote(8)
