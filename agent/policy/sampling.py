"""Drawing a token from logits: a pure function of the logits, the parameters, the seed and the token's place.

``EmbeddedPolicy`` draws with it and replay draws again with it, from any token on: there is no generator state, only a
hash of (seed, index). It is the inverse-CDF method: the token is the one whose interval of the cumulative distribution,
in the order of ids, holds a uniform number. So it is known how near a draw came to falling otherwise, which tells a
rounding difference from a real one. It is not how a server draws: vLLM has its own generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.records import SamplingParams

Floats = NDArray[np.float64]


class Draw(NamedTuple):
    """One sampled token."""

    token: int
    logprob: float  # natural log, under the distribution drawn from (greedy: at temperature 1)
    boundary_distance: float  # probability mass by which the draw missed falling otherwise


def uniform(seed: int, index: int) -> float:
    """The number in [0, 1), a multiple of 2^-53, that draws token ``index`` of the sample with ``seed``."""
    key = seed.to_bytes(16, "little", signed=True) + index.to_bytes(8, "little")
    return (int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 11) * 2.0**-53


def draw(logits_V: NDArray[np.floating], params: SamplingParams, seed: int, index: int) -> Draw:
    """Draw token ``index`` of the sample with ``seed`` from its logits; same arguments, same token."""
    return draw_rows(logits_V[None, :], [params], [seed], [index])[0]


def draw_rows(
    logits_B_V: NDArray[np.floating], params: Sequence[SamplingParams], seeds: Sequence[int], indices: Sequence[int]
) -> list[Draw]:
    """``draw`` for every row of a batch. A row's result does not depend on the other rows: all sums are along a row.

    As in vLLM and Transformers, the temperature comes first, then top-k, then top-p over what is left.
    """
    temperatures_B = np.array([drawn.temperature or 1.0 for drawn in params])
    scaled_B_V = logits_B_V.astype(np.float64) / temperatures_B[:, None]
    edges_B = [_truncate(scaled_V, drawn) for scaled_V, drawn in zip(scaled_B_V, params, strict=True)]
    peaks_B = scaled_B_V.max(axis=1)
    if not np.isfinite(peaks_B).all():
        raise FloatingPointError("the model gave logits that are not finite numbers")
    scaled_B_V -= peaks_B[:, None]
    cumulative_B_V = np.exp(scaled_B_V).cumsum(axis=1)
    return [
        _greedy(scaled_V, cumulative_V)
        if drawn.temperature == 0
        else _invert(scaled_V, cumulative_V, uniform(seed, index), edge)
        for scaled_V, cumulative_V, drawn, seed, index, edge in zip(
            scaled_B_V, cumulative_B_V, params, seeds, indices, edges_B, strict=True
        )
    ]


def _invert(scaled_V: Floats, cumulative_V: Floats, number: float, edge: float) -> Draw:
    total = float(cumulative_V[-1])
    target = number * total
    token = int(np.searchsorted(cumulative_V, target, side="right"))
    token = min(token, int(np.searchsorted(cumulative_V, total)))  # number * total may round up to total
    above = float(cumulative_V[token]) - target
    below = target - float(cumulative_V[token - 1]) if token else target
    return Draw(token, float(scaled_V[token]) - float(np.log(total)), min(above / total, below / total, edge))


def _greedy(scaled_V: Floats, cumulative_V: Floats) -> Draw:
    token = int(scaled_V.argmax())
    total = float(cumulative_V[-1])
    second = float(np.partition(scaled_V, -2)[-2]) if len(scaled_V) > 1 else -np.inf
    return Draw(token, float(scaled_V[token]) - float(np.log(total)), (1.0 - float(np.exp(second))) / total)


def _truncate(scaled_V: Floats, params: SamplingParams) -> float:
    """Put what top-k and top-p leave out at minus infinity, in place.

    Returns the mass by which the nearest token missed being in or out, infinity where nothing is truncated.
    """
    k = params.top_k if 0 < params.top_k < len(scaled_V) else len(scaled_V)
    if params.temperature == 0 or (k == len(scaled_V) and params.top_p >= 1):
        return np.inf
    order = np.argsort(-scaled_V, kind="stable")  # ties go to the lower id
    weights = np.exp(scaled_V[order] - scaled_V[order[0]])
    edge = np.inf if k == len(weights) else (weights[k - 1] - weights[k]) / weights.sum()
    mass = weights[:k].cumsum() / weights[:k].sum()
    kept = min(int(np.searchsorted(mass, params.top_p)) + 1, k) if params.top_p < 1 else k
    if params.top_p < 1:
        edge = min(edge, float(np.abs(mass[max(kept - 2, 0) : kept] - params.top_p).min()))
    scaled_V[order[kept:]] = -np.inf
    return float(edge)
