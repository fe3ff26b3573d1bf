"""Muon (Jordan et al. 2024), a step as of ``torch.optim.Muon`` with ``adjust_lr_fn="match_rms_adamw"``.

PyTorch's makes its products in bfloat16 whatever it runs on, one matrix after the other. A processor without
instructions for that takes 10 to 20 times as long for them as for float32: more than for the forward and the backward
pass of the miniature. Here a processor takes float32, and matrices of one shape go together.
``optimise.muon_and_adamw`` makes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

MOMENTUM = 0.95
A, B, C = 3.4445, -4.7750, 2.0315  # of the quintic polynomial that is steepest at 0
ITERATIONS = 5
LEAST = 1e-7  # a norm that may be divided by
AT_ONCE = 1 << 24  # most numbers of the matrices that go together: 64 MiB in float32


class Muon(torch.optim.Optimizer):
    """Momentum (Nesterov's), made orthogonal; the step has the size that AdamW's would have. For matrices only."""

    def __init__(self, matrices: Iterable[torch.nn.Parameter], weight_decay: float) -> None:
        super().__init__(matrices, {"lr": 1e-3, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override] - nothing asks for a loss
        for group in self.param_groups:
            for alike in together([p for p in group["params"] if p.grad is not None]):
                directions = orthogonal(torch.stack([self._momentum(p) for p in alike]))
                for parameter, direction in zip(alike, directions, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(direction, alpha=-group["lr"] * 0.2 * math.sqrt(max(parameter.shape)))

    def _momentum(self, parameter: Any) -> torch.Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        mean = state["momentum_buffer"].lerp_(parameter.grad, 1 - MOMENTUM)
        return parameter.grad.lerp(mean, MOMENTUM)


def together(matrices: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Those of one shape, in parts of at most ``AT_ONCE`` numbers, or of one matrix."""
    parts: dict[torch.Size, list[list[torch.Tensor]]] = {}
    for matrix in matrices:
        of_shape = parts.setdefault(matrix.shape, [[]])
        if of_shape[-1] and (len(of_shape[-1]) + 1) * matrix.numel() > AT_ONCE:
            of_shape.append([])
        of_shape[-1].append(matrix)
    return [part for of_shape in parts.values() for part in of_shape]


def orthogonal(matrices_K_M_N: torch.Tensor) -> torch.Tensor:
    """The orthogonal matrices [K, M, N] that are near, by Newton and Schulz: singular values come to lie around 1.

    In float32 on a processor, else in bfloat16.
    """
    tall = matrices_K_M_N.shape[1] > matrices_K_M_N.shape[2]
    X = matrices_K_M_N.to(torch.float32 if matrices_K_M_N.device.type == "cpu" else torch.bfloat16)
    X = X.mT if tall else X
    X = X / X.norm(dim=(1, 2), keepdim=True).clamp(min=LEAST)
    for _ in range(ITERATIONS):
        gram = X @ X.mT
        X = torch.baddbmm(X, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), X, beta=A)
    return X.mT if tall else X
