"""Strategies by the names that the log uses."""

from dataclasses import asdict

import pytest

from agent.errors import SettingsError
from agent.search.attempts import AdaptiveBestOfN, BestOfN, MajorityVote, Single, WeightedVote
from agent.search.registry import STRATEGIES, strategy_from, strategy_named
from agent.search.strategy import Strategy

ALL = [Single(), MajorityVote(4), WeightedVote(4), BestOfN(8), AdaptiveBestOfN(8, wave=2, level=0.9)]


@pytest.mark.parametrize("strategy", ALL)
def test_a_strategy_comes_back_from_its_settings(strategy: Strategy) -> None:
    assert strategy_from(asdict(strategy)) == strategy  # type: ignore[call-overload]


def test_a_strategy_that_is_not_loaded_is_named() -> None:
    with pytest.raises(SettingsError, match=r"no strategy 'dowsing' .*module:object"):
        strategy_from({"name": "dowsing"})


def test_every_strategy_is_known_by_its_own_name() -> None:
    assert {strategy.name for strategy in ALL} <= set(STRATEGIES)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("majority:n=zero", "majority, n: input should be a valid integer"),
        ("majority:n=0", "greater than or equal to 1"),
        ("majority:n=1000000000", "less than or equal to 10000"),
        ("majority:k=8", "no parameter k; write it like majority:PARAMETER=VALUE,... with n"),
        ("majority", "n: field required"),
        ("adaptive_best_of_n:n=8,level=2", "level: input should be less than or equal to 1"),
        ("adaptive_best_of_n:n=8,by=luck", "'best', 'majority' or 'weighted'"),
        ("tree_search:simulations=0", "simulations: input should be greater"),
        ("tree_search:exploration=NaN", "exploration: input should be a finite number"),
        ("budget_forcing:most=0", "most: input should be greater"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_before_anything_is_asked(spec: str, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        strategy_named(spec)
    assert why in str(refused.value)


def test_a_strategy_is_written_as_a_person_would() -> None:
    assert strategy_named("adaptive_best_of_n:n=8, level=0.9") == AdaptiveBestOfN(8, level=0.9)
    assert strategy_named("single:bridge=close") == Single("close")
