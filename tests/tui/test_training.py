"""``ponder train sft``, on a model that is small enough to be trained here."""

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from tests.tui.commands import one_sentence, ponder

pytestmark = pytest.mark.timeout(400)


def test_a_model_is_trained_exported_and_not_trained_over_with_other_settings(model: str, tmp_path: Path) -> None:
    how = ("train", "sft", "out", "--model", model, "--steps", "2", "--batch", "2", "--threads", "1")
    done = ponder(*how, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The model is in out/model; ask it with: ponder ask --model out/model ")
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"checkpoint.pt", "metrics.jsonl", "loss.png", "model"}
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out/model").num_parameters() < 100_000
    other = ponder(*how, "--seed", "1", folder=tmp_path)
    assert other.returncode == 2
    assert "seed 0, not 1" in one_sentence(other)


def test_a_model_that_there_is_not_is_named(tmp_path: Path) -> None:
    done = ponder("train", "sft", "out", "--model", "no/such/folder", folder=tmp_path)
    assert done.returncode == 1
    assert "no/such/folder" in one_sentence(done)


def test_a_folder_that_is_a_file_is_named(model: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    done = ponder("train", "sft", "out", "--model", model, folder=tmp_path)
    assert done.returncode == 1
    assert "out cannot be used (File exists)" in one_sentence(done)


def test_a_log_that_is_too_short_for_a_process_reward_model_leaves_no_folder(model: str, tmp_path: Path) -> None:
    done = ponder("train", "prm", "out", "--model", model, folder=tmp_path)
    assert done.returncode != 0
    assert "The log has 0 different attempts at training tasks" in one_sentence(done)
    assert not (tmp_path / "out").exists()
