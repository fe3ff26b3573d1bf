"""Muon in float32 on a processor: PyTorch's step within bfloat16's rounding, and nearer to what is meant."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl.muon import AT_ONCE, ITERATIONS, A, B, C, Muon, orthogonal, together

SHAPES = [(48, 20), (20, 48), (16, 16), (7, 3), (48, 20), (1, 5)]


def matrices(seed: int) -> list[torch.nn.Parameter]:
    drawn = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=drawn)) for shape in SHAPES]


def test_steps_are_those_of_torch_within_the_rounding_of_bfloat16() -> None:
    mine, theirs = matrices(0), matrices(0)
    ours = Muon(mine, weight_decay=0.1)
    torchs = torch.optim.Muon(theirs, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(4):
        for optimizer, of in ((ours, mine), (torchs, theirs)):
            optimizer.param_groups[0]["lr"] = 0.01 * (step + 1)
            for parameter, gradient in zip(of, matrices(step + 1), strict=True):
                parameter.grad = gradient.detach()
            optimizer.step()
    with torch.no_grad():
        for a, b, first in zip(mine, theirs, matrices(0), strict=True):
            assert (a - b).norm() < 0.02 * (b - first).norm()


@given(st.integers(0, 1000), st.sampled_from(SHAPES), st.floats(1e-6, 1e6))
def test_singular_vectors_stay_and_singular_values_go_through_the_polynomial(
    seed: int, shape: tuple[int, int], size: float
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * size
    left, values, right = torch.linalg.svd((matrix / matrix.norm()).double(), full_matrices=False)
    for _ in range(ITERATIONS):
        values = A * values + B * values**3 + C * values**5
    torch.testing.assert_close(orthogonal(matrix[None])[0].double(), left * values @ right, rtol=1e-3, atol=1e-3)


def test_nothing_comes_of_a_gradient_of_zeros_or_of_none() -> None:
    zeros, none = (torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2))
    zeros.grad = torch.zeros(2, 3)
    Muon([zeros, none], weight_decay=0.0).step()
    assert torch.equal(zeros, torch.ones(2, 3))
    assert torch.equal(none, torch.ones(2, 3))


def test_a_state_that_was_saved_goes_on() -> None:
    def stepped(parameters: list[torch.nn.Parameter], optimizer: Muon, seed: int) -> None:
        for parameter, gradient in zip(parameters, matrices(seed), strict=True):
            parameter.grad = gradient.detach()
        optimizer.step()

    whole = matrices(0)
    optimizer = Muon(whole, weight_decay=0.1)
    stepped(whole, optimizer, 1)
    resumed = [torch.nn.Parameter(each.detach().clone()) for each in whole]
    other = Muon(resumed, weight_decay=0.1)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    stepped(whole, optimizer, 2)
    stepped(resumed, other, 2)
    assert all(map(torch.equal, whole, resumed))


def test_matrices_of_one_shape_go_together_up_to_a_limit() -> None:
    large, small = torch.empty(AT_ONCE // 2 + 1, 1, device="meta"), torch.empty(2, 2, device="meta")
    parts = together([large, small, large, small, torch.empty(4, 1, device="meta")])
    assert [[tuple(each.shape) for each in part] for part in parts] == [
        [tuple(large.shape)], [tuple(large.shape)], [(2, 2), (2, 2)], [(4, 1)]
    ]  # fmt: skip


def test_a_vector_has_no_direction_of_a_matrix() -> None:
    vector = torch.nn.Parameter(torch.ones(3))
    vector.grad = torch.ones(3)
    with pytest.raises(IndexError):
        Muon([vector], weight_decay=0.0).step()
