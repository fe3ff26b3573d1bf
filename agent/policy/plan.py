"""Will it fit? What a model's weights and a request's cache take on a GPU, and the flags of vLLM that follow from it.

Counted from the model's own configuration: weights by building the model without memory for it (PyTorch's device
"meta"), the cache from the shapes of its attention. Nothing is loaded and no GPU is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import SettingsError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

GOALS = ("latency", "throughput", "cost")
WEIGHT_BYTES = {"bf16": 2.0, "fp8": 1.0, "int4": 0.53}  # a parameter; int4 with a 16-bit scale for each group of 64
SHARE = 0.9  # of a GPU's memory that vLLM takes (--gpu-memory-utilization)
WORKSPACE = 2 * 2**30  # bytes of it for activations and CUDA graphs on each GPU
CONTEXT = 32 * 2**10  # tokens of a request, where the model reads as many
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a model takes."""

    model: str
    parameters: int
    weight_bytes: dict[str, int]  # by precision
    request_bytes: int  # cache of one request of ``context`` tokens, 16 bit
    context: int  # tokens
    gpu_bytes: int
    gpus: dict[str, int]  # by precision: the fewest GPUs, a power of two, that hold it and one request
    requests: dict[str, int]  # by precision: how many requests of ``context`` tokens fit on those GPUs together


@dataclass(frozen=True, slots=True)
class Flag:
    """A recommendation."""

    text: str
    reason: str


def plan(model: str, gpu_bytes: int, context: int | None = None) -> Plan:
    """For requests of ``context`` tokens, or of 32k or what the model reads.

    Raises ``SettingsError`` where the model's configuration cannot be read or has no such context.
    """
    config = configuration(model)
    longest = getattr(config, "max_position_embeddings", None)
    if longest is None:
        raise SettingsError(
            f"{model} ({config.model_type}) keeps no cache of a known shape; take a decoder-only model."
        )
    context = min(CONTEXT, longest) if context is None else context
    if not 0 < context <= longest:
        raise SettingsError(f"{model} reads {longest:,} tokens; take a --context of at most that.")
    parameters, request = count_parameters(config), cache_bytes(config, context)
    weights = {precision: round(parameters * each) for precision, each in WEIGHT_BYTES.items()}
    gpus = {precision: fewest_gpus(size + request, gpu_bytes) for precision, size in weights.items()}
    room = {precision: gpus[precision] * usable(gpu_bytes) - size for precision, size in weights.items()}
    requests = {precision: left // request for precision, left in room.items()}
    return Plan(model, parameters, weights, request, context, gpu_bytes, gpus, requests)


def folder_or_name(model: str) -> str:
    """The whole path of a folder of weights, or a name on the hub as it is. Raises ``SettingsError``."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise SettingsError(f"{model} has no config.json; give a folder with a model's configuration and weights.")
        return str(folder.resolve())
    if model.startswith(("/", ".", "~")) or model.count("/") > 1 or not model.strip():
        raise SettingsError(f"{model!r} is no folder; give one, or a name on the hub like Qwen/Qwen3-8B.")
    return model


def configuration(model: str) -> PretrainedConfig:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder_or_name(model), trust_remote_code=False).get_text_config()
    except SettingsError:
        raise
    except Exception as error:  # a configuration with wrong types raises what its library likes
        reason = " ".join(str(error).split())
        raise SettingsError(f"The configuration of {model} cannot be read ({reason}); give its folder.") from error


def count_parameters(config: PretrainedConfig) -> int:
    """All of them; for a mixture of experts also those that a token does not use."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        return sum(p.numel() for p in model.parameters())
    except Exception as error:
        raise SettingsError(
            f"A {config.model_type} cannot be counted ({error}); take a causal language model."
        ) from error


def cache_bytes(config: Any, tokens: int, element: int = 2) -> int:
    """Keys and values of one request: layers x key-value heads x head size x 2 x bytes x tokens.

    A layer with a sliding window keeps no more than its window; one with linear attention nothing that grows.
    Multi-head latent attention (DeepSeek-V2, 2024) keeps one compressed vector a token and layer instead.
    """
    return sum(element * width * min(tokens, kept) for width, kept in layers(config, tokens))


def layers(config: Any, tokens: int) -> Iterator[tuple[int, int]]:
    """(numbers a token, tokens kept) for each layer."""
    if latent := getattr(config, "kv_lora_rank", None):
        width = latent + config.qk_rope_head_dim
    else:
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        width = 2 * (getattr(config, "num_key_value_heads", None) or config.num_attention_heads) * head
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    for kind in kinds:
        if kind == "linear_attention":
            continue
        yield width, (config.sliding_window or tokens) if kind == "sliding_attention" else tokens


def usable(gpu_bytes: int) -> int:
    return int(gpu_bytes * SHARE) - WORKSPACE


def fewest_gpus(needed: int, gpu_bytes: int) -> int:
    if usable(gpu_bytes) <= 0:
        raise SettingsError(f"A GPU of {size(gpu_bytes)} leaves no room after vLLM's workspace; take a larger one.")
    gpus = 1
    while gpus * usable(gpu_bytes) < needed:
        gpus *= 2
    return gpus


def recommend(plan: Plan, goal: str) -> list[Flag]:
    """vLLM's flags for a goal, and the reason for each. Raises ``SettingsError`` for another goal."""
    if goal not in GOALS:
        raise SettingsError(f"There is no goal {goal!r}; take one of {', '.join(GOALS)}.")
    precision = "bf16" if goal != "cost" else "fp8"
    gpus, fit = plan.gpus[precision], plan.requests[precision]
    flags = [Flag(f"--max-model-len {plan.context}", "no room is kept for longer requests")]
    if gpus > 1:
        held = size(plan.weight_bytes[precision])
        flags.append(Flag(f"--tensor-parallel-size {gpus}", f"{held} of weights do not fit on fewer GPUs"))
    if goal == "latency":
        flags += [
            Flag("--performance-mode interactivity", "small batches get kernels and CUDA graphs of their own"),
            Flag(f"--max-num-seqs {max(1, min(16, fit))}", "few at once, so that each token comes soon"),
            Flag("--max-num-batched-tokens 2048", "a long prompt cannot hold up the others' tokens for long"),
            Flag(
                '--speculative-config \'{"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}\'',
                "answers that repeat their prompt come several tokens at a time; the distribution stays the same",
            ),
        ]
    else:
        full = "what fits at full length in a cache of fp8" if goal == "cost" else "twice what fits: most end before"
        flags += [
            Flag("--performance-mode throughput", "larger batches"),
            Flag(f"--max-num-seqs {max(1, min(1024, 2 * fit))}", full),  # fp8 takes half of 16 bit
            Flag("--max-num-batched-tokens 16384", "prompts are read in large parts"),
        ]
    if goal == "cost":
        flags += [
            Flag("--quantization fp8", "half of the weights' memory; from compute capability 8.9 on"),
            Flag("--kv-cache-dtype fp8", "twice as many requests in the same cache"),
            Flag("--gpu-memory-utilization 0.95", "nothing else runs on this GPU"),
        ]
    return flags


def bytes_of(text: str) -> int:
    """``80GB``, ``24 GiB`` or ``81920M`` as bytes, all in powers of 1,024. Raises ``SettingsError``."""
    if text.strip().isdecimal():
        raise SettingsError(f"{text!r} has no unit; write {text.strip()}GB.")
    return _number(text, r"(?:i?b)?", "a size like 80GB")


def tokens_of(text: str) -> int:
    """``32k`` or ``32768`` as tokens, in powers of 1,024. Raises ``SettingsError``."""
    return _number(text, "", "a number of tokens like 32k")


def _number(text: str, ending: str, wanted: str) -> int:
    found = re.fullmatch(rf"(\d{{1,15}}(?:\.\d{{1,15}})?)\s*([kmgt]?){ending}", text.strip().lower())
    if not found or not float(found[1]):
        raise SettingsError(f"{text!r} is not {wanted}.")
    return int(float(found[1]) * UNITS[found[2]])


def size(count: float) -> str:
    """Bytes as a person reads them."""
    units = ["B", "KiB", "MiB", "GiB"]
    while count >= 1024 and len(units) > 1:
        count, units = count / 1024, units[1:]
    return f"{count:.0f} B" if units[0] == "B" else f"{count:,.1f} {units[0]}"
