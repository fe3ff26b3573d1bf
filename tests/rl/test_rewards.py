"""Rewards are made again from the log: by the task's checker, by verifiers, by both."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import SettingsError
from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams
from rl.rewards import Rewarding, rewards_of, weights_named
from rl.tasks.suite import generate, task_of
from verifiers import registry
from verifiers.reward import LABEL_FREE, WITH_GOLD, RewardsError

TASK = generate("arithmetic", 1, "train", 1, 0)


def attempt(place: int, text: str, ending: Ending = Ending.ANSWER) -> Node:
    sample = Sample((1,), (2,), (-0.1,), "stop", PolicyVersion("m"), SamplingParams(seed=place))
    return Node((place,), sample, ending, text=text)


def run_of(*texts: str, metadata: dict[str, object] | None = None) -> Run:
    nodes = tuple(attempt(i, text) for i, text in enumerate(texts))
    known = {"task_id": TASK.task_id} if metadata is None else metadata
    return Run(
        "r", TASK.question, "t", "high", "", {}, "", 1, PolicyVersion("m"), "2026", "finished", nodes, metadata=known
    )


async def test_gold_is_what_the_tasks_checker_says() -> None:
    run = run_of(f"Answer: {TASK.gold}", "Answer: no", "")
    assert await rewards_of(run, Rewarding(WITH_GOLD, [], task_of)) == {(0,): 1.0, (1,): 0.0, (2,): 0.0}


async def test_a_run_of_no_task_has_no_gold_and_nobody_can_judge_it() -> None:
    run = run_of("Answer: 1", "Answer: 2", metadata={})
    assert set((await rewards_of(run, Rewarding(WITH_GOLD, [], task_of))).values()) == {None}


async def test_verifiers_look_at_the_log_again_without_the_gold() -> None:
    by = Rewarding({"consensus": 1.0}, [registry.load("consensus")], task_of)
    found = await rewards_of(run_of("Answer: 1", "Answer: 1", f"Answer: {TASK.gold}"), by)
    assert list(found.values()) == pytest.approx([2 / 3, 2 / 3, 1 / 3])


async def test_gold_and_verifiers_are_weighted_together() -> None:
    by = Rewarding({"gold": 3.0, "format": 1.0}, [registry.load("format")], task_of)
    found = await rewards_of(run_of(f"Answer: {TASK.gold}", f"</think> Answer: {TASK.gold}", "Answer: no"), by)
    assert list(found.values()) == [1.0, 0.75, 0.25]


def test_rewards_have_names() -> None:
    assert weights_named("with_gold") == WITH_GOLD
    assert weights_named("label_free") == LABEL_FREE
    assert weights_named("gold") == {"gold": 1.0}
    assert weights_named("gold, format=0.1") == {"gold": 1.0, "format": 0.1}


def test_a_persons_own_file_has_the_last_word_on_its_tables(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[label_free]\nmine = 2\n")
    assert weights_named("label_free", [str(file), "module:object"]) == {"mine": 2}
    assert weights_named("with_gold", [str(file)]) == WITH_GOLD
    file.write_text("[label_free]\nmine = -2\n")
    with pytest.raises(RewardsError):
        weights_named("label_free", [str(file)])


@pytest.mark.parametrize("spec", ["", "gold=", "gold=x", "gold=0", "gold=-1", "gold=nan", "gold=inf", "=1", "a,,b"])
def test_what_is_no_reward_is_refused(spec: str) -> None:
    with pytest.raises(SettingsError, match="take with_gold or label_free, or write it like"):
        weights_named(spec)


@given(st.dictionaries(st.from_regex("[a-z_]{1,8}", fullmatch=True), st.floats(1e-3, 1e3), min_size=1))
def test_names_and_weights_are_read_as_they_are_written(weights: dict[str, float]) -> None:
    assert weights_named(",".join(f"{name}={weight}" for name, weight in weights.items())) == weights
