"""Plans: counted against what Transformers builds and what its cache really holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.assemble import MINI
from agent.errors import SettingsError
from agent.policy.plan import (
    GOALS,
    SHARE,
    Plan,
    bytes_of,
    cache_bytes,
    folder_or_name,
    plan,
    recommend,
    size,
    tokens_of,
    usable,
)

QWEN3_8B: dict[str, Any] = {
    "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "vocab_size": 151_936, "hidden_size": 4096,
    "intermediate_size": 12_288, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8,
    "head_dim": 128, "max_position_embeddings": 40_960, "tie_word_embeddings": False,
}  # fmt: skip


def written(folder: Path, **changes: Any) -> str:
    (folder / "config.json").write_text(json.dumps(QWEN3_8B | changes))
    return str(folder)


def test_the_weights_and_the_cache_of_a_known_model_are_those_of_its_card(tmp_path: Path) -> None:
    planned = plan(written(tmp_path), bytes_of("80GB"), tokens_of("32k"))
    assert planned.parameters == 8_190_735_360
    assert planned.weight_bytes["bf16"] == 2 * planned.parameters
    assert planned.request_bytes == 36 * 8 * 128 * 2 * 2 * 32_768


def test_the_cache_is_as_large_as_the_one_that_transformers_fills() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(MINI)
    with torch.inference_mode():
        cache = model(torch.zeros(1, 50, dtype=torch.long), use_cache=True).past_key_values
    held = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert cache_bytes(model.config, 50) == 2 * held


def test_a_layer_with_a_window_keeps_no_more_than_its_window(tmp_path: Path) -> None:
    kinds = ["sliding_attention", "full_attention"] * 18
    windowed = plan(written(tmp_path, layer_types=kinds, sliding_window=1024, use_sliding_window=True), 2**37, 4096)
    assert windowed.request_bytes == 18 * 8 * 128 * 2 * 2 * (1024 + 4096)


def test_a_model_that_is_too_large_gets_as_many_gpus_as_it_needs(tmp_path: Path) -> None:
    planned = plan(written(tmp_path), bytes_of("12GB"), 4096)
    assert planned.gpus == {"bf16": 2, "fp8": 1, "int4": 1}
    assert any(flag.text == "--tensor-parallel-size 2" for flag in recommend(planned, "latency"))


@given(st.integers(4, 200), st.integers(1, 40_960), st.integers(1, 64), st.integers(1, 16), st.sampled_from([64, 128]))
def test_what_is_planned_fits(memory: int, context: int, layers: int, heads: int, head: int) -> None:
    from transformers import Qwen3Config

    from agent.policy import plan as planning

    config = Qwen3Config(num_hidden_layers=layers, num_key_value_heads=heads, head_dim=head)
    request, weights = cache_bytes(config, context), 10**9 * layers
    gpus = planning.fewest_gpus(weights + request, memory * 2**30)
    room = gpus * planning.usable(memory * 2**30)
    assert weights + request <= room < SHARE * gpus * memory * 2**30
    assert gpus == 1 or weights + request > room // 2


@pytest.mark.parametrize("goal", GOALS)
def test_every_flag_has_a_reason_and_is_one_of_vllms(goal: str) -> None:
    flags = recommend(Plan("m", 1, {"bf16": 2, "fp8": 1}, 1, 8, 1, {"bf16": 4, "fp8": 2}, {"bf16": 9, "fp8": 9}), goal)
    assert all(flag.reason for flag in flags)
    arguments = pytest.importorskip("vllm.engine.arg_utils")
    parser = arguments.EngineArgs.add_cli_args(__import__("argparse").ArgumentParser())
    known = {option for action in parser._actions for option in action.option_strings}
    assert {flag.text.split()[0] for flag in flags} <= known


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("80GB", 80 * 2**30), ("24 GiB", 24 * 2**30), ("1.5t", 3 * 2**39), ("81920M", 80 * 2**30), ("512B", 512)],
)
def test_sizes_are_read_as_people_write_them(text: str, wanted: int) -> None:
    assert bytes_of(text) == wanted


@pytest.mark.parametrize("text", ["", "GB", "-3GB", "0GB", "80 apples", "1e9", "9" * 400 + "GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a size like 80GB"):
        bytes_of(text)


def test_a_context_that_the_model_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="reads 40,960 tokens"):
        plan(written(tmp_path), bytes_of("80GB"), tokens_of("128k"))


def test_a_size_without_a_unit_is_given_one() -> None:
    with pytest.raises(SettingsError, match="'24' has no unit; write 24GB"):
        bytes_of("24")


def test_without_a_context_it_is_32k_or_what_the_model_reads(tmp_path: Path) -> None:
    assert plan(written(tmp_path), bytes_of("80GB")).context == 32_768
    assert plan(written(tmp_path, max_position_embeddings=4096), bytes_of("80GB")).context == 4096


def test_at_the_lowest_cost_as_many_requests_run_as_fit_in_the_smaller_cache(tmp_path: Path) -> None:
    planned = plan(written(tmp_path), bytes_of("24GB"))
    room = planned.gpus["fp8"] * usable(planned.gpu_bytes) - planned.weight_bytes["fp8"]
    fit = room // (planned.request_bytes // 2)
    texts = [flag.text for flag in recommend(planned, "cost")]
    assert "--kv-cache-dtype fp8" in texts
    assert f"--max-num-seqs {fit}" in texts or f"--max-num-seqs {fit - 1}" in texts


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("", "has no config.json"), ("gone", "is no folder"), ("a/../b", "is no folder")],
)
def test_a_folder_without_a_configuration_is_refused(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        plan(str(tmp_path / name), bytes_of("80GB"), 4096)


def test_a_name_on_the_hub_is_left_as_it_is_and_a_folder_becomes_its_whole_path(tmp_path: Path) -> None:
    assert folder_or_name("Qwen/Qwen3-8B") == "Qwen/Qwen3-8B"
    assert folder_or_name(f"{written(tmp_path)}/../{tmp_path.name}") == str(tmp_path)


def test_a_configuration_that_would_run_code_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    code = {"AutoConfig": "made.Config", "AutoModelForCausalLM": "made.Model"}
    (tmp_path / "made.py").write_text("raise SystemExit('ran')")
    with pytest.raises(SettingsError, match="trust_remote_code"):
        plan(written(tmp_path, model_type="made", auto_map=code), bytes_of("80GB"), 4096)


@pytest.mark.parametrize("wrong", [{"num_hidden_layers": "x"}, {"num_attention_heads": 0, "head_dim": None}])
def test_a_configuration_that_makes_no_sense_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="cannot be"):
        plan(written(tmp_path, **wrong), bytes_of("80GB"), 4096)


def test_another_goal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no goal 'speed'"):
        recommend(plan(written(tmp_path), bytes_of("80GB"), 4096), "speed")


@pytest.mark.parametrize(
    ("count", "text"), [(17, "17 B"), (2048, "2.0 KiB"), (80 * 2**30, "80.0 GiB"), (2**41, "2,048.0 GiB")]
)
def test_sizes_are_written_as_people_read_them(count: int, text: str) -> None:
    assert size(count) == text
