from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from agent.policy.batch import Batch, Limits, Request, Row
from agent.policy.model import load_model, prepare
from agent.records import SamplingParams

LIMITS = Limits(context_length=1024, chunk=16)
PROMPT = tuple(range(20, 70))
PARAMS = SamplingParams(max_tokens=24, seed=7)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> PreTrainedModel:
    model = load_model(model_folder, "cpu")
    prepare(model)
    return model


def request(prompt: tuple[int, ...] = PROMPT, params: SamplingParams = PARAMS, n: int = 1) -> Request:
    return Request(prompt, params, n, frozenset(params.stop_token_ids))


def run(batch: Batch, *requests: Request) -> list[Row]:
    for each in requests:
        batch.add(each)
    while not batch.idle:
        batch.step()
    return [row for each in requests for row in each.rows]


def drawn(rows: list[Row]) -> list[tuple[list[int], list[float]]]:
    return [(row.token_ids, row.logprobs) for row in rows]


def test_a_sample_is_the_same_whatever_is_sampled_beside_it(model: PreTrainedModel) -> None:
    alone = [run(Batch(model, LIMITS), request(params=replace(PARAMS, seed=7 + i)))[0] for i in range(8)]
    others = [request(tuple(range(i, 300)), replace(PARAMS, max_tokens=3 + 5 * i, seed=i), n=2) for i in range(5)]
    together = run(Batch(model, LIMITS), request(n=8), *others)[:8]
    assert [row.token_ids for row in together] == [row.token_ids for row in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


@pytest.mark.parametrize("params", [PARAMS, replace(PARAMS, temperature=0.7), replace(PARAMS, temperature=0)])
def test_the_log_probabilities_are_those_of_a_plain_forward_pass(
    model_folder: Path, model: PreTrainedModel, params: SamplingParams
) -> None:
    plain = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    for row in run(Batch(model, LIMITS), request(params=params, n=3)):
        with torch.inference_mode():
            logits_T_V = plain(torch.tensor([[*PROMPT, *row.token_ids]])).logits[0, len(PROMPT) - 1 : -1]
        expected_T_V = (logits_T_V / (params.temperature or 1)).log_softmax(-1)
        expected_T = expected_T_V.gather(1, torch.tensor(row.token_ids)[:, None])[:, 0]
        np.testing.assert_allclose(row.logprobs, expected_T.numpy(), atol=1e-4)


def test_rows_that_end_leave_and_the_others_go_on_as_before(model: PreTrainedModel) -> None:
    lengths = [5, 24, 1, 12, 24, 7]
    batch = Batch(model, LIMITS)
    rows = run(batch, *(request(params=replace(PARAMS, max_tokens=length, seed=i)) for i, length in enumerate(lengths)))
    assert [len(row.token_ids) for row in rows] == lengths
    for i, row in enumerate(rows):
        alone = run(Batch(model, LIMITS), request(params=replace(PARAMS, seed=i)))[0]
        assert row.token_ids == alone.token_ids[: lengths[i]]


def test_more_samples_than_there_is_room_for_wait_and_come_out_the_same(model: PreTrainedModel) -> None:
    crowded = run(Batch(model, replace(LIMITS, rows=3)), request(n=8), request(tuple(range(9, 40)), n=2))
    roomy = run(Batch(model, LIMITS), request(n=8), request(tuple(range(9, 40)), n=2))
    assert [row.token_ids for row in crowded] == [row.token_ids for row in roomy]


def test_a_prompt_gives_the_same_in_any_chunks(model: PreTrainedModel) -> None:
    whole, in_chunks = (run(Batch(model, replace(LIMITS, chunk=size)), request())[0] for size in (4096, 7))
    assert whole.token_ids == in_chunks.token_ids
    assert whole.logprobs == pytest.approx(in_chunks.logprobs, abs=1e-5)


def test_samples_of_one_prompt_share_its_computation_and_prompts_share_their_first_chunks(
    model: PreTrainedModel,
) -> None:
    batch = Batch(model, LIMITS)
    first = run(batch, request(n=3), request())
    assert [row.cached for row in first] == [0, 50, 50, 50]
    longer = run(batch, request((*PROMPT, 1, 2, 3)))[0]
    assert longer.cached == 48
    assert drawn([longer]) == drawn(run(Batch(model, LIMITS), request((*PROMPT, 1, 2, 3))))
    assert run(batch, request(PROMPT[:32]))[0].cached == 16  # one token at least is left to compute


def test_sampling_stops_after_a_stop_token_and_keeps_it(model: PreTrainedModel) -> None:
    tokens = run(Batch(model, LIMITS), request())[0].token_ids
    stop = next(token for i, token in enumerate(tokens) if i > 3 and token not in tokens[:i])
    row = run(Batch(model, LIMITS), request(params=replace(PARAMS, stop_token_ids=(stop,))))[0]
    assert row.token_ids == tokens[: tokens.index(stop) + 1]
    assert row.finish_reason == "stop"


def test_sampling_ends_where_the_context_is_full(model: PreTrainedModel) -> None:
    prompt = tuple(i % 200 for i in range(1015))
    row = run(Batch(model, LIMITS), request(prompt))[0]
    assert (len(row.token_ids), row.finish_reason) == (9, "length")


def test_rows_of_a_cancelled_request_leave_before_the_next_step(model: PreTrainedModel) -> None:
    batch = Batch(model, LIMITS)
    cancelled, kept, waiting = request(n=4), request(params=replace(PARAMS, seed=50)), request(tuple(range(99)))
    batch.add(cancelled)
    batch.add(kept)
    while not kept.rows:
        batch.step()
    batch.add(waiting)
    cancelled.cancelled = waiting.cancelled = True
    sampled = [len(row.token_ids) for row in cancelled.rows]
    batch.step()
    assert [len(row.token_ids) for row in cancelled.rows] == sampled
    assert [row.request for row in batch.rows] == [kept]
    assert not batch.waiting
    assert drawn(run(batch) or kept.rows) == drawn(run(Batch(model, LIMITS), request(params=replace(PARAMS, seed=50))))


def test_prefixes_are_forgotten_where_there_is_no_room_and_come_out_the_same(model: PreTrainedModel) -> None:
    tight = Batch(model, replace(LIMITS, prefix_bytes=20_000))
    prompts = [tuple(range(i, i + 60)) for i in range(4)] * 2
    rows = [run(tight, request(prompt))[0] for prompt in prompts]
    assert drawn(rows) == drawn([run(Batch(model, LIMITS), request(prompt))[0] for prompt in prompts])
    assert rows[4].cached < 48
