import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.policy.sampling import draw, draw_rows, uniform
from agent.records import SamplingParams

logits = st.lists(st.floats(-8, 8), min_size=2, max_size=40).map(lambda values: np.array(values, dtype=np.float32))
parameters = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.3, 0.7, 1.0, 1.5]),
    top_p=st.sampled_from([0.2, 0.5, 0.9, 1.0]),
    top_k=st.sampled_from([0, 1, 2, 5, 100]),
)
seeds = st.integers(0, 2**63 - 1)


def test_the_numbers_behind_a_seed_never_change_because_old_logs_are_replayed_with_them() -> None:
    assert uniform(0, 0) == 0.156742553465558
    assert uniform(2**63 - 1, 4095) == 0.569993854178499
    assert uniform(-1, 7) == 0.1185515897251237


def test_the_numbers_are_spread_evenly_over_indices_and_over_seeds() -> None:
    for numbers in ([uniform(3, i) for i in range(4000)], [uniform(i, 3) for i in range(4000)]):
        counts, _ = np.histogram(numbers, bins=10, range=(0, 1))
        assert abs(counts - 400).max() < 4 * math.sqrt(400)


def test_tokens_come_as_often_as_their_probability_says() -> None:
    logits_V = np.array([0.0, 1.0, -1.0, 2.0], dtype=np.float32)
    tokens = [draw(logits_V, SamplingParams(temperature=0.8), seed, 0).token for seed in range(6000)]
    expected = np.exp(logits_V / 0.8) / np.exp(logits_V / 0.8).sum()
    frequencies = np.bincount(tokens, minlength=4) / 6000
    assert (abs(frequencies - expected) < 4 * np.sqrt(expected / 6000)).all()


@given(logits, parameters, seeds)
def test_the_log_probability_is_of_the_distribution_drawn_from(
    logits_V: np.ndarray, params: SamplingParams, seed: int
) -> None:
    drawn = draw(logits_V, params, seed, 0)
    scaled = logits_V.astype(np.float64) / params.temperature
    order = np.argsort(-scaled, kind="stable")[: params.top_k or None]
    mass = np.exp(scaled[order] - scaled[order[0]])
    mass /= mass.sum()
    assume(abs(mass.cumsum() - params.top_p).min() > 1e-9 or params.top_p == 1)
    kept = order[: int((mass.cumsum() < params.top_p).sum()) + 1] if params.top_p < 1 else order
    assert drawn.token in kept
    expected = scaled[drawn.token] - np.log(np.exp(scaled[kept] - scaled[order[0]]).sum()) - scaled[order[0]]
    assert drawn.logprob == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(parameters, seeds), min_size=1, max_size=6), st.integers(0, 2**32))
def test_a_row_is_drawn_alike_alone_and_in_a_batch(rows: list[tuple[SamplingParams, int]], noise: int) -> None:
    logits_B_V = np.random.default_rng(noise).normal(0, 2, (len(rows), 33)).astype(np.float32)
    params, seeds = [row[0] for row in rows], [row[1] for row in rows]
    together = draw_rows(logits_B_V, params, seeds, list(range(len(rows))))
    alone = [draw(logits_B_V[i], params[i], seeds[i], i) for i in range(len(rows))]
    assert together == alone


@given(logits, st.sampled_from([0.5, 1.0]), seeds, st.floats(1e-7, 1e-2), st.integers(0, 2**32))
def test_a_change_smaller_than_the_boundary_distance_does_not_change_the_token(
    logits_V: np.ndarray, temperature: float, seed: int, change: float, noise: int
) -> None:
    params = SamplingParams(temperature=temperature)
    drawn = draw(logits_V, params, seed, 0)
    shift = math.expm1(2 * change / temperature)  # most that the cumulative distribution can move
    if drawn.boundary_distance > shift:
        changes_V = np.random.default_rng(noise).uniform(-change, change, len(logits_V))
        assert draw(logits_V + changes_V, params, seed, 0).token == drawn.token


def test_the_edge_of_the_nucleus_counts_as_a_boundary() -> None:
    logits_V = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float32))
    near = draw(logits_V, SamplingParams(top_p=0.8000001), seed=0, index=0)
    far = draw(logits_V, SamplingParams(top_p=0.65), seed=0, index=0)
    assert near.boundary_distance < 1e-6 < far.boundary_distance


def test_greedy_takes_the_most_likely_token_and_says_its_probability_at_temperature_1() -> None:
    logits_V = np.array([0.0, 3.0, 1.0], dtype=np.float32)
    token, logprob, distance = draw(logits_V, SamplingParams(temperature=0, top_k=1), seed=5, index=9)
    probabilities = np.exp(logits_V) / np.exp(logits_V).sum()
    assert token == 1
    assert logprob == pytest.approx(math.log(probabilities[1]), abs=1e-6)
    assert distance == pytest.approx(probabilities[1] - probabilities[2], abs=1e-6)


def test_logits_that_are_not_numbers_are_an_error_and_not_a_token() -> None:
    with pytest.raises(FloatingPointError):
        draw(np.array([0.0, np.nan]), SamplingParams(), 0, 0)
