"""A process reward model: what it learns from, that it learns it, and that what is written is what was trained."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agent.policy.steps import StepEncoder
from rl import prm
from rl.calibration import sigmoid
from rl.checkpoints import TrainingError
from rl.optimise import Progress
from rl.prm import PRMSettings, Tagged, micro_batches, tagged
from rl.step_labels import Labelled
from rl.tasks.suite import generate
from tests.rl.tiny import save_tiny_model
from verifiers.prm_local import LocalProcessRewardModel

SETTINGS = PRMSettings(epochs=3, batch=4, learning_rate=2e-2, other_rate=2e-2, warmup=2, checkpoint_every=2)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), context=256)


@pytest.fixture(scope="module")
def encode(base: Path) -> StepEncoder:
    return prm.encoder(str(base), "\n")


def examples(count: int) -> list[Labelled]:
    """A step that says "yes" is right and one that says "no" is wrong."""
    words = ["yes" if i % 3 else "no" for i in range(count)]
    return [
        Labelled(f"toy/1/train/0/{i}", f"Number {i}?", (f"It is {word}", word), (float(word == "yes"),) * 2, True)
        for i, word in enumerate(words)
    ]


@pytest.fixture(scope="module")
def rows(encode: StepEncoder) -> list[Tagged]:
    return tagged(examples(60), encode, 256)


Trained = tuple[Any, list[Progress]]


def trained(base: Path, rows: list[Tagged], tag_id: int, settings: PRMSettings, folder: Path) -> Trained:
    folder.mkdir(parents=True, exist_ok=True)
    model, seen = prm.new_model(str(base), "\n"), []
    prm.train(model, rows, tag_id, settings, folder, seen.append)
    return model, seen


@pytest.fixture(scope="module")
def whole(
    base: Path, rows: list[Tagged], encode: StepEncoder, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any, list[Progress]]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, *trained(base, rows, encode.tag_id, SETTINGS, folder)


# --- data -------------------------------------------------------------------------------------------------------------


def test_each_step_has_its_label_at_its_tag(encode: StepEncoder, rows: list[Tagged]) -> None:
    assert all(list(row.token_ids).count(encode.tag_id) == len(row.labels) for row in rows)


def test_what_the_model_cannot_read_whole_is_left_out(encode: StepEncoder) -> None:
    long = Labelled("toy/1/train/0/0", "q", ("word " * 300,), (1.0,), True)
    assert tagged([long], encode, 256) == []


def test_one_question_in_ten_calibrates_with_all_its_attempts() -> None:
    held = [prm.held_out(each) for each in examples(2000)]
    assert 0.07 < np.mean(held) < 0.13
    twice = [prm.held_out(replace(each, steps=("other",), labels=(0.0,))) for each in examples(2000)]
    assert held == twice


def test_equal_questions_and_the_versions_of_one_are_on_one_side() -> None:
    tasks = [generate("arithmetic", 1, "train", 1, index) for index in range(40)]
    examples = [Labelled(task.task_id, task.question, ("so",), (1.0,), True) for task in tasks]
    held = [prm.held_out(each) for each in examples]
    assert set(held) == {True, False}
    assert held == [prm.held_out(replace(each, task_id=f"other/{each.task_id}")) for each in examples]
    versions = [replace(each, task_id=f"{each.task_id}~names", question="Another?") for each in examples]
    assert held == [prm.held_out(each) for each in versions]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_has_every_row_once(count: int, batch: int, seed: int) -> None:
    rows = [Tagged([i] * (1 + i % 7), [1.0]) for i in range(count)]
    settings = PRMSettings(batch=batch, seed=seed, micro_tokens=20)
    seen = [
        row.token_ids[0]
        for step in range(-(-count // batch))
        for part in micro_batches(step, rows, settings)
        for row in part
    ]
    assert set(seen[:count] if count % batch == 0 else seen) == set(range(count))
    for part in micro_batches(0, rows, settings):
        assert len(part) == 1 or len(part) * max(len(row.token_ids) for row in part) <= 20


# --- training ---------------------------------------------------------------------------------------------------------


def test_it_learns_to_tell_right_steps_from_wrong_ones(
    whole: tuple[Path, Any, list[Progress]], encode: StepEncoder
) -> None:
    _, model, seen = whole
    assert seen[-1].loss < 0.5 * seen[0].loss
    judged = tagged(examples(90)[60:], encode, 256)
    margins = prm.margins(model, judged, encode.tag_id, lambda: None)
    labels = np.array([label for row in judged for label in row.labels])
    assert ((margins > 0) == (labels > 0.5)).mean() > 0.95


def test_a_killed_training_ends_as_if_it_had_not_been_killed(
    base: Path, rows: list[Tagged], encode: StepEncoder, tmp_path: Path, whole: tuple[Path, Any, list[Progress]]
) -> None:
    class Killed(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == 20:
            raise Killed

    model = prm.new_model(str(base), "\n")
    with pytest.raises(Killed):
        prm.train(model, rows, encode.tag_id, SETTINGS, tmp_path, kill)
    again, seen = trained(base, rows, encode.tag_id, SETTINGS, tmp_path)
    assert seen[0].step == 20
    for name, weight in whole[1].state_dict().items():
        if name != "score.weight":  # the calibration may have changed it by now
            assert torch.equal(weight, again.state_dict()[name]), name


def test_other_attempts_are_another_training(
    base: Path, rows: list[Tagged], encode: StepEncoder, whole: tuple[Path, Any, list[Progress]]
) -> None:
    with pytest.raises(TrainingError, match="name another folder"):
        trained(base, rows[:-1], encode.tag_id, SETTINGS, whole[0])


@pytest.mark.parametrize("count", [0, 1])
def test_a_log_with_too_few_attempts_is_told_how_to_get_more(count: int) -> None:
    with pytest.raises(
        TrainingError, match=f"The log has {count} different attempts .*ponder eval SUITE --split train"
    ):
        prm.split(examples(count))


def test_no_question_is_both_learned_and_judged() -> None:
    learned, judged = prm.split(examples(100))
    assert not {each.task_id for each in learned} & {each.task_id for each in judged}
    assert len(learned) + len(judged) == 100


def test_padding_changes_no_score(base: Path, encode: StepEncoder, rows: list[Tagged]) -> None:
    model = prm.new_model(str(base), "\n")
    torch.nn.init.normal_(model.get_parameter("score.weight"))
    long, short = rows[0].token_ids, rows[1].token_ids[:-6]
    together = prm.tag_logits(model, [long, short], encode.tag_id)
    apart = torch.cat([prm.tag_logits(model, [ids], encode.tag_id) for ids in (long, short)])
    assert torch.allclose(together, apart, atol=1e-5)


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_what_is_written_scores_as_what_was_trained_and_calibrated(
    whole: tuple[Path, Any, list[Progress]], encode: StepEncoder
) -> None:
    folder, model, _ = whole
    judged = examples(90)[60:]
    found = prm.finish(model, encode, judged, folder, lambda: None)
    assert found.steps == found.checked == 60
    assert found.accuracy > 0.95
    assert json.loads((folder / "calibration.json").read_text())["temperature"] == found.temperature
    assert (folder / "reliability.png").exists()

    loaded = StepEncoder.load(str(folder / "model"))
    assert (loaded.tag_id, loaded.delimiter) == (encode.tag_id, "\n")
    local = LocalProcessRewardModel.load(str(folder / "model"), loaded.tag_id)
    row = tagged(judged[:1], encode, 256)[0]
    [_, probability] = await local.score(row.token_ids)
    margin = prm.margins(model, [row], encode.tag_id, lambda: None)[-1]
    assert probability == pytest.approx(float(sigmoid(np.array(margin))), abs=0.03)  # bfloat16 weights
