"""Reward: the weighted mean of what was said, and a list of what was not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.registry import load
from verifiers.reward import WITH_GOLD, WITHOUT_GOLD, Reward, combine
from verifiers.verdict import Verdict

NAMES = ["a", "b", "c", "d"]
SCORES = st.one_of(st.none(), st.floats(0, 1))


def verdicts(**scores: float | None) -> list[Verdict]:
    return [Verdict(name, score) for name, score in scores.items()]


def test_all_present_gives_the_weighted_mean() -> None:
    reward = combine(verdicts(a=1.0, b=0.0, c=0.5), {"a": 2.0, "b": 1.0, "c": 1.0})
    assert reward == Reward(0.625, ("a", "b", "c"), ())


def test_a_missing_score_is_not_a_zero() -> None:
    weights = {"a": 0.5, "b": 0.5}
    assert combine(verdicts(a=0.8, b=None), weights) == Reward(0.8, ("a",), ("b",))
    assert combine(verdicts(a=0.8), weights) == Reward(0.8, ("a",), ("b",))
    assert combine(verdicts(a=0.8, b=0.0), weights) == Reward(0.4, ("a", "b"), ())


def test_nothing_present_gives_no_value() -> None:
    assert combine(verdicts(a=None), {"a": 1.0, "b": 1.0}) == Reward(None, (), ("a", "b"))
    assert combine(verdicts(a=1.0), {}) == Reward(None, (), ())


def test_a_verdict_without_a_weight_is_left_out() -> None:
    assert combine(verdicts(a=0.5, other=1.0), {"a": 1.0, "b": 0.0}) == Reward(0.5, ("a",), ())


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight of 'a'"):
        combine(verdicts(a=0.5), {"a": weight})


def test_two_verdicts_of_one_verifier_are_refused() -> None:
    with pytest.raises(ValueError, match="two verdicts"):
        combine([Verdict("a", 0.5), Verdict("a", 0.6)], {"a": 1.0})


@given(st.dictionaries(st.sampled_from(NAMES), SCORES), st.dictionaries(st.sampled_from(NAMES), st.floats(0, 10)))
def test_the_value_lies_between_its_scores(scores: dict[str, float | None], weights: dict[str, float]) -> None:
    reward = combine(verdicts(**scores), weights)
    used = [score for name in reward.made_by if (score := scores[name]) is not None]
    assert {*reward.made_by, *reward.missing} == {name for name, weight in weights.items() if weight > 0}
    if reward.value is None:
        assert not used
    else:
        assert min(used) - 1e-9 <= reward.value <= max(used) + 1e-9


def test_the_default_weights_name_verifiers_that_exist() -> None:
    for weights in (WITHOUT_GOLD, WITH_GOLD):
        assert [load(name).name for name in weights] == list(weights)


def test_a_supported_claim_beats_a_slim_majority_but_not_a_clear_one() -> None:
    def value(consensus: float, grounding: float) -> float:
        reward = combine(verdicts(consensus=consensus, grounding=grounding, format=1.0), WITHOUT_GOLD)
        assert reward.value is not None
        return reward.value

    assert value(consensus=3 / 8, grounding=1.0) > value(consensus=5 / 8, grounding=0.0)
    assert value(consensus=2 / 8, grounding=1.0) < value(consensus=6 / 8, grounding=0.0)
