"""DPO through TRL: its loss is that of the paper on the sampled tokens, and the winner gets likelier."""

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from rl.checkpoints import TrainingError
from rl.dpo import learn, row, trainer_of
from rl.engine import EngineSettings
from rl.preference import Pair, Pairs, Side
from rl.trainee import Trainee, adapted, whole
from tests.rl.tiny import save_tiny_model

HOW = EngineSettings(epochs=5, batch=2, at_once=2, learning_rate=5e-3)
BETA = 0.3
CALLED = Side("r", (0,), (7, 9, 30, 31, 10), (True, True, False, False, True))
PAIRS = Pairs(
    (
        Pair((6, 8), CALLED, Side("r", (1,), (40, 41), (True, True)), 1.0),
        Pair((6, 9, 11), Side("s", (1,), (12,), (True,)), Side("s", (0,), (13, 14), (True, True)), 1.0),
    ),
    Counter({"it is greedy": 1}),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), context=64)


def likelihood(model: torch.nn.Module, prompt: tuple[int, ...], side: Side) -> torch.Tensor:
    """Log-probability of what was sampled of a side, alone and unpadded."""
    token_ids = torch.tensor([prompt + side.token_ids])
    logprobs_T_V = model(input_ids=token_ids).logits[0].float().log_softmax(-1)
    own = torch.tensor((False,) * (len(prompt) - 1) + side.learn)
    return logprobs_T_V[:-1].gather(1, token_ids[0, 1:, None])[own].sum()


def leads(model: torch.nn.Module) -> torch.Tensor:
    """By how much the winners are likelier [pairs]."""
    model.eval()
    with torch.no_grad():
        return torch.stack(
            [likelihood(model, p.prompt, p.winner) - likelihood(model, p.prompt, p.loser) for p in PAIRS.pairs]
        )


@torch.no_grad()
def shifted(trainee: Trainee) -> torch.nn.Module:
    drawn = torch.Generator().manual_seed(1)
    for parameter in trainee.model.parameters():
        parameter += 0.1 * parameter.std() * torch.randn(parameter.shape, generator=drawn)
    return trainee.model


def test_the_loss_is_that_of_the_paper_on_what_was_sampled(base: Path, tmp_path: Path) -> None:
    trainee = whole(str(base))
    trainer = trainer_of(trainee, PAIRS, HOW, BETA, tmp_path)  # the reference is asked here
    before = leads(trainee.model)
    model = shifted(trainee)
    expected = -torch.nn.functional.logsigmoid(BETA * (leads(model) - before)).mean()
    [batch] = list(trainer.get_train_dataloader())
    with torch.no_grad():
        loss = trainer.compute_loss(model, batch)
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)
    assert abs(float(loss) - 0.6931) > 1e-3  # it is not the loss of equals


def test_every_token_is_in_a_row_and_its_mask_beside_it() -> None:
    assert row(PAIRS.pairs[0]) == {
        "prompt_ids": [6, 8],
        "chosen_ids": [7, 9, 30, 31, 10],
        "chosen_mask": [1, 1, 0, 0, 1],
        "rejected_ids": [40, 41],
        "rejected_mask": [1, 1],
    }


@pytest.mark.parametrize("rank", [0, 4])
def test_winners_get_likelier_than_losers(base: Path, tmp_path: Path, rank: int) -> None:
    trainee = adapted(str(base), rank) if rank else whole(str(base))
    before = leads(trainee.model)
    pairs, steps = learn(trainee, PAIRS, HOW, BETA, tmp_path)
    assert (len(pairs.pairs), steps) == (2, 5)
    assert (leads(trainee.model) > before + 0.1).all()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert losses[-1] < losses[0] - 0.01
    written = "adapter_model.safetensors" if rank else "model.safetensors"
    assert (tmp_path / "model" / written).is_file()


def test_a_resumed_adapter_is_held_to_what_the_training_began_with(base: Path, tmp_path: Path) -> None:
    learn(adapted(str(base), 4), PAIRS, HOW, BETA, tmp_path)
    learn(again := adapted(str(base), 4), PAIRS, HOW, BETA, tmp_path)  # all of it is done: only the weights are read
    assert (leads(again.model) > leads(adapted(str(base), 4).model) + 0.1).all()
    with pytest.raises(TrainingError, match=r"beta 0\.3, not 0\.1"):
        learn(adapted(str(base), 4), PAIRS, HOW, 0.1, tmp_path)


def test_no_pair_is_said_with_the_reasons(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no pair to learn from \(1 times: it is greedy\)"):
        learn(whole(str(base)), Pairs((), PAIRS.left_out), HOW, BETA, tmp_path)
