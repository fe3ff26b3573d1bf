"""Strategies by the names that the log uses."""

from dataclasses import asdict

import pytest

from agent.errors import SettingsError
from agent.search.attempts import AdaptiveBestOfN, BestOfN, MajorityVote, Single, WeightedVote
from agent.search.registry import STRATEGIES, strategy_from
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
