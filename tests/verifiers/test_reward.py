"""Reward: the weighted mean of what was said, and a list of what was not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.registry import load
from verifiers.reward import (
    GOLD,
    LABEL_FREE,
    TABLES,
    WITH_GOLD,
    WITH_OUTCOME,
    WITH_STEPS,
    WITHOUT_GOLD,
    Reward,
    RewardsError,
    combine,
    read_rewards,
)
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
    named = [name for weights in (WITHOUT_GOLD, WITH_GOLD, LABEL_FREE) for name in weights]
    loaded = [name for name in named if name not in (GOLD, "process_reward")]  # which settings and tasks know
    assert [load(name).name for name in loaded] == loaded


def test_a_supported_claim_beats_a_slim_majority_but_not_a_clear_one() -> None:
    def value(consensus: float, grounding: float) -> float:
        reward = combine(verdicts(consensus=consensus, grounding=grounding, format=1.0), WITHOUT_GOLD)
        assert reward.value is not None
        return reward.value

    assert value(consensus=3 / 8, grounding=1.0) > value(consensus=5 / 8, grounding=0.0)
    assert value(consensus=2 / 8, grounding=1.0) < value(consensus=6 / 8, grounding=0.0)


# --- the file ---------------------------------------------------------------------------------------------------------

SHIPPED = Path(__file__).parents[2] / "verifiers" / "reward.toml"


def test_the_shipped_file_has_every_table_and_a_reason_for_every_weight() -> None:
    assert tuple(read_rewards(SHIPPED)) == TABLES
    weights = [line for line in SHIPPED.read_text().splitlines() if " = " in line and not line.startswith("#")]
    assert len(weights) == sum(map(len, (WITHOUT_GOLD, WITH_STEPS, WITH_OUTCOME, WITH_GOLD, LABEL_FREE)))
    assert all("  # " in line for line in weights)


def test_a_file_need_not_have_every_table(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[with_gold]\nexact = 1\nformat = 0\n")
    assert read_rewards(file) == {"with_gold": {"exact": 1, "format": 0}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[with_gold", "is not valid TOML"),
        ("[gold]\nmath = 1", r"'gold' is no table of weights; write one of \[without_gold\], .*, \[label_free\]\."),
        ("with_gold = 1", "'with_gold' is no table of weights"),
        ("[with_gold]\nmath = -1", r"'with_gold.math' is -1; a weight is a number that is not negative\."),
        ("[with_gold]\nmath = nan", "'with_gold.math' is nan"),
        ("[with_gold]\nmath = inf", "'with_gold.math' is inf"),
        ("[with_gold]\nmath = true", "'with_gold.math' is True"),
        ('[with_gold]\nmath = "1"', "'with_gold.math' is '1'"),
        ("[with_gold.math]\nweight = 1", "'with_gold.math' is "),
        ("[with_gold]\nmath = 0", "'with_gold' has no weight above 0"),
        ("[with_gold]", "'with_gold' has no weight above 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_one_sentence_that_names_it_and_the_key(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(RewardsError, match=f"^{file}.*{says}") as raised:
        read_rewards(file)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RewardsError, match=r"none.toml cannot be read \(No such file or directory\)"):
        read_rewards(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"[with_gold]\nm\xe9 = 1")
    with pytest.raises(RewardsError, match=r"latin.toml is not valid TOML"):
        read_rewards(tmp_path / "latin.toml")
