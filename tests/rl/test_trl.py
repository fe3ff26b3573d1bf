"""Our loss and its gradient are those of TRL's trainers on the same logged batch, which never samples.

Theirs come out of ``_generate_and_score_completions`` and ``_compute_loss``, from rollouts to advantages, correction
and loss. Where the definitions differ on purpose:

- TRL multiplies the divergence by the ratio unless ``use_bias_correction_kl`` is off (DeepSeek-V3.2). Ours is that of
  the GRPO paper, which adds it as it is: the trained loss stays one that the paper's figures are about.
- TRL's RLOO takes the divergence off the reward and has neither tools nor a correction of what was sampled by others.
  Ours has the same three in every variant, so that a change of the variant changes nothing else.
- TRL weighs and exponentiates without a bound on the logarithm; ours is held within 20 nats.
- TRL has one temperature; ours is each group's own, so that groups of two temperatures are two of its trainers.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from rl.export import rows as exported
from rl.groups import Group
from rl.grpo import Compared, GRPOSettings, accumulate, compared, part_loss
from rl.loss import LossSettings, Step, Variant
from rl.staleness import under
from tests.rl.drawn import drawn_groups
from tests.rl.tiny import save_tiny_model
from tests.rl.trl_trainer import Rows, grpo_trainer, members, rloo_trainer

VARIANTS: tuple[Variant, ...] = ("grpo", "dr_grpo", "dapo", "gspo")
CLIP = LossSettings(clip_low=0.1, clip_high=0.3, max_tokens=16)
THEIR_CLIP = {"epsilon": 0.1, "epsilon_high": 0.3}
OLD, NOW, REFERENCE = 1, 2, 3  # seeds of what is added to the weights of the policy that sampled


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"), context=512)


def policy(folder: Path, seed: int | None = None) -> PreTrainedModel:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model if seed is None else shifted(model, seed)


@torch.no_grad()
def shifted(model: Any, seed: int) -> Any:
    """By so much that some ratios are clipped and some weights truncated."""
    drawn = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter += 0.04 * parameter.std() * torch.randn(parameter.shape, generator=drawn)
    return model


def theirs(trainer: Any, rows: Rows, correct: bool = False) -> tuple[float, torch.Tensor]:
    """Loss and gradient of TRL, with the old policy at the beginning of the step and another one now."""
    trainer.model.train()
    trainer.use_vllm, trainer._last_loaded_step = correct, 0  # with vLLM it corrects; nothing is sampled with it
    trainer.current_gradient_accumulation_steps = 1
    if trainer.ref_model is not None:
        shifted(trainer.ref_model, REFERENCE)
    shifted(trainer.model, OLD)
    inputs = trainer._generate_and_score_completions([{"prompt": "?", "reward": row["reward"]} for row in rows])
    trainer.model.load_state_dict(shifted(policy(trainer.model.name_or_path), NOW).state_dict())
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    return loss.item(), gradient(trainer.model)


def ours(
    folder: Path, groups: list[Group], settings: GRPOSettings, correct: bool = False
) -> tuple[float, torch.Tensor]:
    """Without ``correct`` the data is the old policy's own."""
    rows, dropped = compared(groups, settings)
    assert not dropped
    now = policy(folder, NOW)
    rows = under_policies(rows, policy(folder, OLD) if correct else None, policy(folder, REFERENCE))
    step = Step(12, sum(member.sampled for group in groups for member in group.members))
    loss, _, _ = part_loss(now, rows, step, settings.loss)
    loss.backward()
    return loss.item(), gradient(now)


def under_policies(
    rows: list[Compared], old: PreTrainedModel | None, reference: PreTrainedModel | None = None
) -> list[Compared]:
    """The rows with their log-probabilities under these; without one, under the policy that sampled."""
    for name, model in (("old", old), ("reference", reference)):
        if model is not None:
            found = under(model, rows, 10_000, lambda done, total: None)
            rows = [replace(row, **{name: each}) for row, each in zip(rows, found, strict=True)]
    return rows


def gradient(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def assert_same(mine: tuple[float, torch.Tensor], other: tuple[float, torch.Tensor]) -> None:
    assert mine[0] == pytest.approx(other[0], abs=1e-5)
    assert abs(other[0]) > 1e-3, "a loss that says something"
    assert torch.nn.functional.cosine_similarity(mine[1], other[1], dim=0) >= 0.9999
    torch.testing.assert_close(mine[1].norm(), other[1].norm(), rtol=1e-4, atol=0.0)


def their_settings(variant: Variant) -> dict[str, Any]:
    if variant == "gspo":
        return {"loss_type": "grpo", "importance_sampling_level": "sequence"}
    return {"loss_type": variant}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kl", [0.0, 0.3])
def test_ratio_clipping_divergence_and_shares_are_trls(folder: Path, variant: Variant, kl: float) -> None:
    """Data of the old policy; ``num_iterations`` has TRL compute it before the step, as for later passes."""
    groups = drawn_groups(policy(folder, OLD), temperature=0.7)
    rows = [*exported(groups, "trl")]
    loss = replace(CLIP, variant=variant, kl=kl)
    more = {"num_iterations": 2, "beta": kl, "use_bias_correction_kl": False, "max_completion_length": 16}
    trainer = grpo_trainer(folder, rows, temperature=0.7, **more, **THEIR_CLIP, **their_settings(variant))
    assert_same(ours(folder, groups, GRPOSettings(loss)), theirs(trainer, rows))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_weight_of_older_data_is_trls_truncated_correction_of_vllm(folder: Path, variant: Variant) -> None:
    """Data of a policy before the old one, with rewards that are not scaled."""
    groups = drawn_groups(policy(folder), temperature=1.3)
    rows = [*exported(groups, "trl")]
    loss = replace(CLIP, variant=variant, kl=0.1, truncate=1.1)
    trainer = grpo_trainer(
        folder,
        rows,
        temperature=1.3,
        beta=0.1,
        use_bias_correction_kl=False,
        scale_rewards="none",
        max_completion_length=16,
        vllm_importance_sampling_mode="token_truncate",
        vllm_importance_sampling_clip_max=1.1,
        **THEIR_CLIP,
        **their_settings(variant),
    )
    assert_same(ours(folder, groups, GRPOSettings(loss, scale="none"), correct=True), theirs(trainer, rows, True))


def test_rloo_is_that_of_trls_trainer(folder: Path) -> None:
    """Its clip bounds are of a whole sequence's ratio."""
    groups = drawn_groups(policy(folder, OLD), temperature=0.7, tools=False)
    rows = [*exported(groups, "trl")]
    settings = GRPOSettings(LossSettings("rloo", clip_low=0.5, clip_high=0.6), "leave_one_out", "none")
    trainer = rloo_trainer(folder, rows, temperature=0.7, beta=0.0, epsilon=0.5, epsilon_high=0.6)
    assert_same(ours(folder, groups, settings), theirs(trainer, rows))


def test_groups_of_two_temperatures_in_parts_are_the_mean_of_two_trainers(folder: Path) -> None:
    cold, hot = (drawn_groups(policy(folder, OLD), each, seed=int(10 * each)) for each in (0.6, 1.5))
    settings = GRPOSettings(CLIP, micro_tokens=50)
    now = policy(folder, NOW)
    learned = accumulate(now, compared([*cold, *hot], settings)[0], settings)
    found = []
    for groups in (cold, hot):
        rows = [*exported(groups, "trl")]
        more = {"num_iterations": 2, "loss_type": "grpo"}
        trainer = grpo_trainer(folder, rows, temperature=groups[0].temperature, **more, **THEIR_CLIP)
        found.append(theirs(trainer, rows))
    mean = sum(loss for loss, _ in found) / 2, torch.stack([grad for _, grad in found]).mean(0)
    assert_same((learned.loss, gradient(now)), mean)


def test_the_batches_clip_truncate_and_mask_something(folder: Path) -> None:
    """What the tests above would not see otherwise."""
    groups = drawn_groups(policy(folder), temperature=0.7)
    rows, _ = compared(groups, GRPOSettings())
    rows = under_policies(rows, policy(folder, OLD))
    with torch.no_grad():
        _, _, found = part_loss(policy(folder, NOW), rows, Step(12, 1), replace(CLIP, truncate=1.1))
    assert 0.02 < found["clipped"] / found["tokens"] < 0.5
    assert 0.02 < found["truncated"] / found["tokens"] < 0.7
    assert any(0 in row["env_mask"] for row in exported(groups, "trl"))
    assert members([*exported(groups, "trl")]) == 4
