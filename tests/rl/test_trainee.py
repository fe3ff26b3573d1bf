"""What a training changes: all weights, or an adapter that continues its parent."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from rl.checkpoints import TrainingError
from rl.grpo import GRPOSettings, compared, train
from rl.trainee import Trainee, adapted, whole
from tests.rl.test_grpo import GROUPS
from tests.rl.tiny import save_tiny_model

HOW = GRPOSettings(batch=2, epochs=3, learning_rate=0.01, warmup=1)
IDS = torch.tensor([[6, 8, 7]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), context=64)


def taught(trainee: Trainee, folder: Path) -> Trainee:
    train(trainee.model, compared(GROUPS, HOW)[0], HOW, folder, lambda progress: None)
    trainee.save(folder / "model")
    return trainee


def logits(model: torch.nn.Module) -> torch.Tensor:
    model.set_attn_implementation("eager")  # type: ignore[operator] - every Transformers model has it
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits.float()


def loaded(base: Path, adapter: Path | None = None) -> torch.nn.Module:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return model if adapter is None else PeftModel.from_pretrained(model, str(adapter))


def test_all_weights_are_trained_and_written_as_a_model(base: Path, tmp_path: Path) -> None:
    trainee = taught(whole(str(base)), tmp_path)
    assert not torch.allclose(logits(trainee.model), logits(loaded(base)), atol=1e-3)
    assert torch.allclose(logits(loaded(tmp_path / "model")), logits(trainee.model), atol=0.2)  # bfloat16


def test_an_adapter_leaves_the_model_as_it_is_and_is_written_alone(base: Path, tmp_path: Path) -> None:
    trainee = taught(adapted(str(base), rank=4), tmp_path)
    assert {
        name.rpartition(".")[0].rpartition(".")[2] for name, p in trainee.model.named_parameters() if p.requires_grad
    } == {"default"}
    assert {path.name for path in (tmp_path / "model").iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert torch.allclose(logits(loaded(base, tmp_path / "model")), logits(trainee.model), atol=1e-5)
    assert not torch.allclose(logits(trainee.model), logits(loaded(base)), atol=1e-3)


def test_an_adapter_that_has_learned_nothing_is_its_model(base: Path) -> None:
    assert torch.allclose(logits(adapted(str(base), rank=4).model), logits(loaded(base)), atol=1e-6)


def test_an_adapter_goes_on_where_its_parent_was(base: Path, tmp_path: Path) -> None:
    parent = taught(adapted(str(base), rank=4), tmp_path / "first")
    child = adapted(str(base), rank=9, parent=tmp_path / "first/model")
    assert torch.allclose(logits(child.model), logits(parent.model), atol=1e-6)
    taught(child, tmp_path / "second")
    assert torch.allclose(logits(loaded(base, tmp_path / "second/model")), logits(child.model), atol=1e-5)
    assert not torch.allclose(logits(child.model), logits(parent.model), atol=1e-3)


def test_what_is_no_adapter_of_the_model_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"is no adapter: adapter_config\.json is missing"):
        adapted(str(base), 4, tmp_path)
    taught(adapted(str(base), rank=4), tmp_path / "first")
    (tmp_path / "first/model/adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(TrainingError, match="is no adapter of"):
        adapted(str(base), 4, tmp_path / "first/model")


def test_a_killed_training_of_an_adapter_goes_on_from_its_checkpoint(base: Path, tmp_path: Path) -> None:
    whole_way = taught(adapted(str(base), rank=4), tmp_path / "a")
    how = GRPOSettings(batch=2, epochs=3, learning_rate=0.01, warmup=1, checkpoint_every=2)
    rows = compared(GROUPS, how)[0]

    def killed(progress: object) -> None:
        if getattr(progress, "step", 0) == 3:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train(adapted(str(base), rank=4).model, rows, how, tmp_path / "b", killed)
    again = adapted(str(base), rank=4)
    train(again.model, rows, how, tmp_path / "b", lambda progress: None)
    assert torch.equal(logits(again.model), logits(whole_way.model))
