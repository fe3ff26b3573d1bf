"""The policy loss: clipping, shares, corrections."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl.loss import Batch, LossSettings, Step, Variant, k3, policy_loss, shares, summary

LEARN = torch.tensor([[False, True, True, False, True], [False, True, False, False, False]])
STEP = Step(trajectories=2, tokens=4)
VARIANTS: tuple[Variant, ...] = ("grpo", "dr_grpo", "dapo", "gspo", "rloo")
nats = st.lists(st.floats(-3, -0.01), min_size=10, max_size=10).map(lambda v: torch.tensor(v).view(2, 5))


def batch(behaviour: torch.Tensor, advantages: tuple[float, float] = (1.0, -0.5), old: bool = True) -> Batch:
    return Batch(LEARN, behaviour, behaviour if old else None, None, torch.tensor(advantages)[:, None])


def loss_of(logprobs: torch.Tensor, given: Batch, how: LossSettings) -> torch.Tensor:
    return policy_loss(logprobs, given, STEP, how)[0]


@pytest.mark.parametrize("variant", VARIANTS)
@given(behaviour=nats)
def test_at_the_old_policy_the_loss_is_the_weighted_advantage_and_its_gradient_reinforce(
    variant: Variant, behaviour: torch.Tensor
) -> None:
    """As in the policy gradient theorem: the ratio is 1, and its gradient that of the log-probability."""
    how, now = LossSettings(variant), behaviour.clone().requires_grad_()
    loss = loss_of(now, batch(behaviour), how)
    weight = LEARN * shares(LEARN, STEP, how) * torch.tensor([[1.0], [-0.5]])
    torch.testing.assert_close(loss, -weight.sum(), atol=1e-6, rtol=1e-5)
    loss.backward()
    # every token of a sequence has the sequence's ratio, so that rloo's are as many times as strong as they are many
    many = LEARN.sum(1, keepdim=True) if variant == "rloo" else 1
    torch.testing.assert_close(now.grad, -weight * many, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@given(now=nats, behaviour=nats)
def test_the_gradient_is_that_of_finite_differences(
    variant: Variant, now: torch.Tensor, behaviour: torch.Tensor
) -> None:
    """In the direction of the gradient, where no clipping bound is within reach."""
    how = LossSettings(variant, clip_low=0.99, clip_high=1e6, truncate=1e6)
    now = (behaviour + 0.1 * (now - now.mean())).requires_grad_()
    given_ = batch(behaviour)
    loss_of(now, given_, how).backward()
    assert now.grad is not None
    step = 1e-2 * now.grad / now.grad.norm()
    with torch.no_grad():
        slope = (loss_of(now + step, given_, how) - loss_of(now - step, given_, how)) / (2 * step.norm())
    assert float(slope) == pytest.approx(float(now.grad.norm()), rel=2e-2, abs=1e-4)


@pytest.mark.parametrize(("advantage", "log_ratio", "moves"), [(1, 0.3, 0), (1, -0.3, 1), (-1, 0.3, 1), (-1, -0.3, 0)])
def test_clipping_stops_what_has_gone_far_enough_and_never_what_has_gone_wrong(
    advantage: float, log_ratio: float, moves: int
) -> None:
    behaviour = torch.full((2, 5), -1.0)
    now = (behaviour + log_ratio).requires_grad_()
    loss, found = policy_loss(now, batch(behaviour, (advantage, advantage)), STEP, LossSettings())
    loss.backward()
    assert now.grad is not None
    assert bool(now.grad.abs().sum() > 0) == bool(moves)
    assert summary(found)["clipped"] == 1 - moves


@pytest.mark.parametrize("variant", VARIANTS)
@given(now=nats, behaviour=nats)
def test_parts_of_a_step_add_up_to_it(variant: Variant, now: torch.Tensor, behaviour: torch.Tensor) -> None:
    how, whole = LossSettings(variant), batch(behaviour)
    rows = [
        replace(whole, learn=LEARN[i], behaviour=behaviour[i], old=behaviour[i], advantages=whole.advantages[i])
        for i in (slice(0, 1), slice(1, 2))
    ]
    parts = loss_of(now[:1], rows[0], how) + loss_of(now[1:], rows[1], how)
    torch.testing.assert_close(parts, loss_of(now, whole, how), atol=1e-5, rtol=1e-5)


def test_what_was_not_sampled_has_no_gradient_whatever_stands_there() -> None:
    behaviour = torch.full((2, 5), -1.0)
    now = torch.where(LEARN, -0.9, 1e9).requires_grad_()
    loss_of(now, batch(behaviour), LossSettings()).backward()
    assert now.grad is not None
    assert (now.grad[~LEARN] == 0).all()
    assert torch.isfinite(now.grad).all()


def test_older_samples_are_weighed_and_no_weight_is_more_than_the_bound() -> None:
    """With the trained policy as the old one: the weight is what it says of a sample, against who drew it."""
    behaviour, now = torch.full((2, 5), -2.0), torch.full((2, 5), -2.5)
    now[0, 1] = 8.0  # e to the tenth
    whole = batch(behaviour, (1.0, 1.0), old=False)
    loss, found = policy_loss(now, whole, STEP, LossSettings("dapo", truncate=2.0))
    weight = torch.tensor([-0.5]).exp().item()
    assert loss.item() == pytest.approx(-(2.0 + 3 * weight) / 4)
    shown = summary(found)
    assert shown["truncated"] == 0.25
    assert shown["effective_sample_size"] == pytest.approx((2 + 3 * weight) ** 2 / (4 * (4 + 3 * weight**2)))
    assert shown["mismatch_kl"] > 1


@given(st.floats(-50, 50))
def test_a_divergence_is_never_below_0(log_ratio: float) -> None:
    assert k3(torch.tensor(log_ratio)) >= 0


def test_the_reference_pulls_back() -> None:
    behaviour = torch.full((2, 5), -1.0)
    now = (behaviour + 0.5).requires_grad_()
    away = replace(batch(behaviour, (0.0, 0.0)), reference=behaviour)
    loss_of(now, away, LossSettings(kl=0.1)).backward()
    assert now.grad is not None
    assert (now.grad[LEARN] > 0).all()
