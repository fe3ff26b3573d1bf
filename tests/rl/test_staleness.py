"""How far a model is from the one that drew the samples: measured on every token, dropped or refused where too far."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from rl.checkpoints import TrainingError
from rl.grpo import Compared, GRPOSettings, compared, scored
from rl.staleness import Limits, mismatch, remembered, under
from tests.rl.test_grpo import GROUPS
from tests.rl.test_trie import model_of

ROWS, _ = compared(GROUPS, GRPOSettings())


def drawn_by(model: PreTrainedModel, rows: list[Compared]) -> list[Compared]:
    """The rows as they would stand in the log if ``model`` had drawn them."""
    made = []
    for row, found in zip(rows, under(model, rows, 1, lambda done, total: None), strict=True):
        members = [replace(m, logprobs=tuple(own.tolist())) for m, own in zip(row.group.members, found, strict=True)]
        made += compared([replace(row.group, members=tuple(members))], GRPOSettings())[0]
    return made


def nudged(spread: float) -> PreTrainedModel:
    model = model_of("qwen3").float()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model


@given(st.integers(1, 40))
def test_a_model_is_asked_once_for_each_member_in_parts_of_any_size(most: int) -> None:
    model = model_of("qwen3").float()
    found = under(model, ROWS, most, lambda done, total: None)
    for row, own in zip(ROWS, found, strict=True):
        with torch.no_grad():
            alone_B_T = scored(model, [row]).logprobs
        for i, each in enumerate(own):
            assert each == pytest.approx(alone_B_T[i, : len(each)].numpy(), abs=1e-5)
            assert len(each) == len(row.group.members[i].token_ids)


def test_the_model_that_drew_them_differs_by_rounding_and_keeps_all() -> None:
    model = model_of("qwen3").float()
    kept, dropped, found = remembered(model, drawn_by(model, ROWS), Limits())
    assert len(kept) == len(ROWS)
    assert not dropped
    assert found.kl == pytest.approx(0, abs=1e-9)
    assert found.ess == pytest.approx(1)
    assert found.largest < 1e-5
    assert all((a == b).all() for row in kept for a, b in zip(row.old, row.reference, strict=True))


def test_another_model_is_measured_and_what_it_would_hardly_say_is_dropped() -> None:
    rows = drawn_by(model_of("qwen3").float(), ROWS)
    _, _, near = remembered(nudged(0.01), rows, Limits(mismatch=math.inf, least_ess=0))
    kept, _, far = remembered(nudged(0.05), rows, Limits(mismatch=math.inf, least_ess=0))
    assert 0 < near.kl < far.kl
    assert near.ess > far.ess
    own = sorted(mismatch([row]).kl for row in kept)
    some, dropped, _ = remembered(nudged(0.05), rows, Limits(mismatch=own[0], least_ess=0))
    assert (len(some), dropped.total()) == (1, len(rows) - 1)


def test_a_log_of_another_model_is_refused() -> None:
    rows = drawn_by(model_of("qwen3").float(), ROWS)
    with pytest.raises(TrainingError, match="None of 3 groups was drawn by a policy like this one"):
        remembered(nudged(0.3), rows, Limits(mismatch=1e-6))
    with pytest.raises(TrainingError, match=r"count like \d+% as many .* less than 99%: train the model that drew"):
        remembered(nudged(0.3), rows, Limits(mismatch=math.inf, least_ess=0.99))


def test_the_measures_are_those_of_the_tokens_that_were_sampled() -> None:
    [row], _ = compared([GROUPS[2]], GRPOSettings())  # two members of two sampled tokens after one of a prompt
    shift = math.log(2)
    old = tuple(
        own + shift * torch.tensor([9.0, sign, sign]).numpy() for own, sign in zip(row.old, (1, -1), strict=True)
    )
    found = mismatch([replace(row, old=old)])  # ratios 2, 2, 1/2, 1/2
    assert found.kl == pytest.approx((2 * (2 - shift - 1) + 2 * (0.5 + shift - 1)) / 4, abs=1e-6)
    assert found.ess == pytest.approx(5**2 / (4 * (4 + 4 + 0.25 + 0.25)), abs=1e-6)
    assert found.largest == pytest.approx(shift, abs=1e-6)
