"""The best of each group are learned by heart, token for token as they were sampled."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from rl.checkpoints import TrainingError
from rl.engine import EngineSettings, last_checkpoint
from rl.groups import Group, Member
from rl.trainee import adapted, whole
from rl.winners import Standard, Winners, WinnersTrainer, learn, row, winners
from tests.rl.test_grpo import group
from tests.rl.tiny import save_tiny_model

HOW = EngineSettings(epochs=6, batch=2, at_once=1, learning_rate=0.01, checkpoint_every=100)
WITH_TOOL = Member((0,), (6, 8, 7, 9, 30, 31, 10), (False, False, True, True, False, False, True), (0.0,) * 7, 1.0)
OTHER = Member((1,), (6, 8, 40, 41), (False, False, True, True), (0.0,) * 4, 1.0)


def say(token_ids: object) -> str:
    return str(token_ids)


def of(*groups: Group, standard: Standard | None = None, longest: int = 99) -> tuple[list[tuple[int, ...]], object]:
    found = winners(groups, standard or Standard(), say, longest)
    return [member.token_ids for member in found.members], dict(found.left_out)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), context=64)


def test_the_best_of_a_group_wins_if_it_is_good_enough() -> None:
    good = group((1, 2), ((3,), 1.0), ((4,), 0.0), ((5,), 0.75))
    bad = group((1, 3), ((3,), 0.25), ((4,), 0.0))
    assert of(good, bad) == (
        [(1, 2, 3)],
        {"its reward is below 0.5": 3, "another one of its group is better": 1},
    )
    assert of(bad, standard=Standard(least=0.2))[0] == [(1, 3, 3)]


def test_equals_are_one_and_no_group_has_more_winners_than_it_may() -> None:
    many = group((1, 2), ((3,), 1.0), ((3,), 1.0), ((4,), 1.0), ((5,), 1.0))
    assert of(many, many, standard=Standard(a_group=2)) == (
        [(1, 2, 3), (1, 2, 4), (1, 2, 5)],
        {"another winner says the same": 4, "2 of its group are enough": 1},
    )
    assert of(group((1, 2), ((3,), 1.0)), group((9, 2), ((3,), 1.0)))[0] == [(1, 2, 3), (9, 2, 3)]


def test_what_the_model_cannot_read_is_left_out() -> None:
    long = group((1, 2), ((3, 4, 5), 1.0), ((3,), 1.0))
    assert of(long, longest=4) == ([(1, 2, 3)], {"it is longer than the model reads": 1})


def test_no_loss_falls_on_prompts_and_tools() -> None:
    assert row(WITH_TOOL) == {"input_ids": [6, 8, 7, 9, 30, 31, 10], "labels": [-100, -100, 7, 9, -100, -100, 10]}


def surprise(model: torch.nn.Module, member: Member) -> torch.Tensor:
    """Nats a learned token."""
    token_ids = torch.tensor([member.token_ids])
    with torch.no_grad():
        logits_T_V = model.eval()(input_ids=token_ids).logits[0].float()
    own = torch.tensor(member.learn)[1:]
    return torch.nn.functional.cross_entropy(logits_T_V[:-1][own], token_ids[0, 1:][own])


def test_the_first_loss_is_that_of_the_logged_tokens_and_the_last_is_lower(base: Path, tmp_path: Path) -> None:
    trainee = whole(str(base))
    before = surprise(trainee.model, WITH_TOOL)
    steps = learn(trainee, Winners((WITH_TOOL,), winners((), Standard(), say, 9).left_out), HOW, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == len(lines) == 6
    assert [line["step"] for line in lines] == list(range(6))
    assert lines[0]["loss"] == pytest.approx(float(before), abs=1e-4)
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert surprise(written, WITH_TOOL) < before - 0.5


def test_an_adapter_is_trained_and_written_alone(base: Path, tmp_path: Path) -> None:
    trainee = adapted(str(base), rank=4)
    found = winners([group((6, 8), ((7, 9), 1.0), ((3,), 0.0))], Standard(), say, 64)
    learn(trainee, found, HOW, tmp_path)
    assert (tmp_path / "model/adapter_model.safetensors").is_file()
    [weights] = {each.name: torch.load(each, weights_only=True) for each in tmp_path.rglob("trained.pt")}.values()
    assert all("lora_" in name for name in weights)
    assert surprise(trainee.model, found.members[0]) < surprise(whole(str(base)).model, found.members[0])


def test_nobody_who_won_is_said_with_the_reasons(base: Path, tmp_path: Path) -> None:
    found = winners([group((6, 8), ((7, 9), 0.2), ((3,), 0.0))], Standard(), say, 64)
    with pytest.raises(TrainingError, match=r"Nobody in the log has won \(2 times: its reward is below 0\.5\)"):
        learn(whole(str(base)), found, HOW, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_interrupted_training_goes_on_and_ends_as_one_that_was_not(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Winners((WITH_TOOL, OTHER), winners((), Standard(), say, 9).left_out)
    learn(whole_one := whole(str(base)), found, HOW, tmp_path / "whole")
    asked = iter([False, False, True])
    end_step = WinnersTrainer.training_step

    def stopping(self: WinnersTrainer, *args: object, **more: object) -> torch.Tensor:
        if next(asked, False):
            signal.raise_signal(signal.SIGINT)  # what Ctrl-C does, in the middle of a step
        return end_step(self, *args, **more)

    monkeypatch.setattr(WinnersTrainer, "training_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        learn(whole(str(base)), found, HOW, tmp_path / "parts")
    kept = last_checkpoint(tmp_path / "parts")
    assert kept is not None
    assert kept.name == "checkpoint-2"
    learn(resumed := whole(str(base)), found, HOW, tmp_path / "parts")
    for one, other in zip(whole_one.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(6))


def test_a_folder_with_another_training_is_refused_and_an_unfinished_checkpoint_is_not_read(
    base: Path, tmp_path: Path
) -> None:
    found = Winners((WITH_TOOL,), winners((), Standard(), say, 9).left_out)
    learn(whole(str(base)), found, HOW, tmp_path)
    (tmp_path / "checkpoints/checkpoint-99").mkdir()  # killed before it was whole
    learn(whole(str(base)), found, HOW, tmp_path)
    with pytest.raises(TrainingError, match=r"learning_rate 0\.01, not 0\.02; use those, or name another folder"):
        learn(whole(str(base)), found, replace(HOW, learning_rate=0.02), tmp_path)


def test_nobody_is_told_that_somebody_trains(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", lambda **what: sent.append(what))
    monkeypatch.delenv("CI", raising=False)  # where TRL is silent by itself
    found = Winners((WITH_TOOL,), winners((), Standard(), say, 9).left_out)
    learn(whole(str(base)), found, replace(HOW, epochs=1), tmp_path)
    assert sent == []
    assert not list(tmp_path.rglob("README.md"))  # a model card


def test_rows_a_step_are_so_many_times_those_at_once() -> None:
    with pytest.raises(TrainingError, match="16 rows a step are not so many times 3 at once in 1 process;"):
        EngineSettings(at_once=3)
