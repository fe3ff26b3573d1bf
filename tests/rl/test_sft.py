"""Fine-tuning: a shared prefix changes only the time; a killed training ends as if it had not been killed."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from transformers import AutoModelForCausalLM, Qwen3ForCausalLM

from agent.policy.renderer import Renderer
from rl import sft
from rl.checkpoints import TrainingError, resume
from rl.demonstrations import Encoded
from rl.optimise import Progress
from rl.sft import FIRST_INDEX, SFTSettings
from tests.rl.tiny import tiny_model, tiny_tokenizer

SETTINGS = SFTSettings(steps=5, batch=4, micro_tokens=1500, warmup=2, checkpoint_every=2)
SCHEMAS = sft.tool_schemas()


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(tiny_tokenizer())


@pytest.fixture
def model(renderer: Renderer) -> Qwen3ForCausalLM:
    return tiny_model(len(renderer.tokenizer))


@pytest.fixture(scope="module")
def parts(renderer: Renderer) -> list[list[Encoded]]:
    return sft.micro_batches(0, renderer, SCHEMAS, replace(SETTINGS, batch=12))


# --- batches ----------------------------------------------------------------------------------------------------------


def rows_of(parts: Sequence[Sequence[Encoded]]) -> list[list[int]]:
    return sorted(row.token_ids for part in parts for row in part)


def test_a_step_is_a_function_of_the_seed_and_its_number(renderer: Renderer, parts: list[list[Encoded]]) -> None:
    settings = replace(SETTINGS, batch=12)
    assert sft.micro_batches(0, renderer, SCHEMAS, settings) == parts
    assert rows_of(sft.micro_batches(1, renderer, SCHEMAS, settings)) != rows_of(parts)
    assert rows_of(sft.micro_batches(0, renderer, SCHEMAS, replace(settings, seed=1))) != rows_of(parts)


def test_steps_go_through_the_demonstrations_one_after_the_other(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    original = sft.mixture
    monkeypatch.setattr(sft, "mixture", lambda seed, index: asked.append(index) or original(seed, index))
    for step in (0, 1):
        sft.micro_batches(step, renderer, SCHEMAS, SETTINGS)
    assert asked == list(range(FIRST_INDEX, FIRST_INDEX + 8))


def test_a_part_shares_its_tools_and_keeps_its_bound(parts: list[list[Encoded]]) -> None:
    assert sum(map(len, parts)) == 12
    for part in parts:
        shared = sft.common_prefix(part)
        assert shared > 100, "system prompt and tools"
        longest = max(len(row.token_ids) for row in part) - shared
        assert len(part) == 1 or len(part) * longest <= SETTINGS.micro_tokens


TOKENS = st.lists(st.integers(0, 2), min_size=2, max_size=8)


@given(st.lists(TOKENS, min_size=1, max_size=5), st.data())
def test_the_common_prefix_is_the_longest_before_anything_learned(ids: list[list[int]], data: st.DataObject) -> None:
    starts = [data.draw(st.integers(1, len(row) - 1)) for row in ids]
    rows = [Encoded(row, [False] * start + [True] * (len(row) - start)) for row, start in zip(ids, starts, strict=True)]
    lengths = range(min(starts))
    expected = max(length for length in lengths if len({tuple(row[:length]) for row in ids}) == 1)
    assert sft.common_prefix(rows) == expected


# --- the loss ---------------------------------------------------------------------------------------------------------


def separate_loss(model: Qwen3ForCausalLM, rows: Sequence[Encoded]) -> torch.Tensor:
    """The same sum, each sequence by itself from its first token on."""
    losses = []
    for row in rows:
        ids = torch.tensor([row.token_ids])
        logits_T_V = model(input_ids=ids).logits[0, :-1].float()
        learn = torch.tensor(row.learn[1:])
        losses.append(cross_entropy(logits_T_V[learn], ids[0, 1:][learn], reduction="sum"))
    return torch.stack(losses).sum()


def gradient(model: Qwen3ForCausalLM, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_a_shared_prefix_gives_the_loss_and_gradient_of_separate_sequences(
    model: Qwen3ForCausalLM, parts: list[list[Encoded]]
) -> None:
    part = max(parts, key=len)
    assert len(part) > 2
    shared, tokens = sft.summed_loss(model, part)
    separate = separate_loss(model, part)
    assert shared.item() == pytest.approx(separate.item(), rel=1e-5)
    assert tokens == sum(len(row.token_ids) - sft.common_prefix(part) for row in part)
    one, other = gradient(model, shared), gradient(model, separate)
    assert torch.linalg.vector_norm(one - other) <= 1e-5 * torch.linalg.vector_norm(other)


def test_product_attention_is_attention() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 9, 8), torch.randn(2, 2, 9, 8)
    mask = sft.causal(tiny_model(300), 5, 4)
    mixed, _ = sft.product_attention(torch.nn.Module(), query, key, value, mask, scaling=8**-0.5)
    peer = scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    assert torch.allclose(mixed, peer.transpose(1, 2), atol=1e-6)


def test_what_carries_no_loss_does_not_change_it(model: Qwen3ForCausalLM, parts: list[list[Encoded]]) -> None:
    [row, *_] = parts[0]
    nothing = replace(row, learn=[*row.learn[:-1], False])
    with_last, _ = sft.summed_loss(model, [row])
    without, _ = sft.summed_loss(model, [nothing])
    logits_V = model(input_ids=torch.tensor([row.token_ids[:-1]])).logits[0, -1]
    last = cross_entropy(logits_V, torch.tensor(row.token_ids[-1]))
    assert (with_last - without).item() == pytest.approx(last.item(), rel=1e-3)


def test_the_loss_of_a_step_is_the_mean_over_all_its_learned_tokens(
    model: Qwen3ForCausalLM, parts: list[list[Encoded]]
) -> None:
    learned = sum(sum(row.learn) for part in parts for row in part)
    exact = sum(separate_loss(model, part).item() for part in parts) / learned
    found = sft.accumulate(model, parts)
    assert found.loss == pytest.approx(exact, rel=1e-2), "bfloat16 inside"
    assert found.tokens == sum(len(row.token_ids) - sft.common_prefix(part) for part in parts for row in part)


# --- training ---------------------------------------------------------------------------------------------------------


class Killed(Exception):
    pass


def run(
    renderer: Renderer, folder: Path, settings: SFTSettings = SETTINGS, kill_at: int = -1
) -> tuple[Qwen3ForCausalLM, list[Progress]]:
    """Train the tiny model; with ``kill_at`` only up to that step."""
    model, reports = tiny_model(len(renderer.tokenizer)), []

    def report(progress: Progress) -> None:
        reports.append(progress)
        if progress.step == kill_at:
            raise Killed

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sft.train(model, renderer, SCHEMAS, settings, folder, report)
    finally:
        torch.set_num_threads(threads)
    return model, reports


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def flat(state: Any) -> list[Any]:
    if isinstance(state, dict):
        return [leaf for key in state for leaf in [key, *flat(state[key])]]
    return [leaf for item in state for leaf in flat(item)] if isinstance(state, list) else [state]


@pytest.fixture(scope="module")
def uninterrupted(renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(renderer, folder)[1]


@pytest.mark.parametrize("kill_at", [0, 2, 3])
def test_a_killed_training_that_resumes_is_bit_for_bit_the_uninterrupted_one(
    renderer: Renderer, uninterrupted: tuple[Path, list[Progress]], tmp_path: Path, kill_at: int
) -> None:
    with pytest.raises(Killed):
        run(renderer, tmp_path, kill_at=kill_at)
    (tmp_path / "checkpoint.tmp").write_bytes(b"half a checkpoint")
    _, reports = run(renderer, tmp_path)
    assert reports[0].step == kill_at // 2 * 2, "goes on where the last checkpoint stands"
    whole, resumed = flat(checkpoint(uninterrupted[0])), flat(checkpoint(tmp_path))
    assert len(whole) == len(resumed)
    for one, other in zip(whole, resumed, strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    losses = {progress.step: (progress.loss, progress.tokens) for progress in uninterrupted[1]}
    assert all((p.loss, p.tokens) == losses[p.step] for p in reports)


def test_training_lowers_the_loss(renderer: Renderer, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=8, learning_rate=0.02, embedding_rate=0.02)
    reports = run(renderer, tmp_path, settings)[1]
    assert reports[-1].loss < reports[0].loss - 0.5


def test_a_training_that_is_done_is_only_loaded(
    renderer: Renderer, uninterrupted: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes((uninterrupted[0] / "checkpoint.pt").read_bytes())
    model, reports = run(renderer, tmp_path)
    assert reports == []
    saved = checkpoint(tmp_path)["model"]
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


def test_other_settings_do_not_go_on_with_a_training(
    renderer: Renderer, uninterrupted: tuple[Path, list[Progress]]
) -> None:
    with pytest.raises(TrainingError, match="batch 4, not 5; use those, or name another folder"):
        run(renderer, uninterrupted[0], replace(SETTINGS, batch=5))


def test_on_the_plateau_a_training_may_become_longer_or_shorter(renderer: Renderer, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=10, checkpoint_every=4)
    with pytest.raises(Killed):
        run(renderer, tmp_path, settings, kill_at=4)
    _, reports = run(renderer, tmp_path, replace(settings, steps=6))
    assert [report.step for report in reports] == [4, 5]
    with pytest.raises(TrainingError, match="steps 6, not 10"):
        run(renderer, tmp_path, settings)


def test_another_model_does_not_go_on_with_a_training(
    renderer: Renderer, uninterrupted: tuple[Path, list[Progress]]
) -> None:
    other = tiny_model(len(renderer.tokenizer) + 8)
    with pytest.raises(TrainingError, match="another model"):
        resume(other, [], uninterrupted[0], lambda step, then: {})


def test_metrics_have_a_line_for_every_step(uninterrupted: tuple[Path, list[Progress]]) -> None:
    lines = [json.loads(line) for line in (uninterrupted[0] / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3, 4]
    assert [line["loss"] for line in lines] == [progress.loss for progress in uninterrupted[1]]


def test_the_loss_is_plotted(uninterrupted: tuple[Path, list[Progress]]) -> None:
    assert sft.loss_plot(uninterrupted[0]).read_bytes().startswith(b"\x89PNG")


def test_the_exported_model_is_loaded_as_any_other(renderer: Renderer, model: Qwen3ForCausalLM, tmp_path: Path) -> None:
    before = copy.deepcopy(model.state_dict())
    sft.export(model, renderer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, before[name].bfloat16().float()), name
        assert torch.equal(model.state_dict()[name], before[name]), "the trained model itself stays float32"
    assert Renderer.load(tmp_path).start([{"role": "user", "content": "Hello"}]) == renderer.start(
        [{"role": "user", "content": "Hello"}]
    )


def test_both_rates_follow_one_shape() -> None:
    settings = SFTSettings(steps=100, warmup=10, learning_rate=0.5, embedding_rate=0.25)
    assert [sft.rates(settings, step) for step in (0, 50, 85)] == [(0.05, 0.025), (0.5, 0.25), (0.25, 0.125)]
