"""Do the embedded model and vLLM say the same, and does vLLM log what a plain forward pass gives?

    python tests/evidence/parity.py [PROMPTS]

Greedy tokens of both on 200 held-out prompts must be the same; where they part, the two tokens and the distance of
their log-probabilities are listed: a distance of rounding (1e-4) is no difference. Log-probabilities of samples that
vLLM drew in float32 at temperatures 1 and 0.7 must agree with Transformers' forward pass over the same ids to 1e-5.
That pass is in float64, so that the distance is vLLM's own; beside it stands how far Transformers in float32 is.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from agent.assemble import MINI
from agent.policy.connect import connect
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.endpoint import EndpointPolicy
from agent.records import Sample, SamplingParams
from rl.demonstrations import SYSTEM_PROMPT
from rl.sft import tool_schemas
from rl.tasks.suite import mixture
from tests.evidence.served import serving

ROUNDING, TOLERANCE = 1e-4, 1e-5
GREEDY = SamplingParams(0.0, max_tokens=80)


def logits_of(model: torch.nn.Module, prompt: list[int], tokens: tuple[int, ...]) -> torch.Tensor:
    """Logits [T, V] of a plain forward pass, in float64."""
    with torch.inference_mode():
        return model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1].double()


def log_probabilities(model: torch.nn.Module, prompt: list[int], sample: Sample) -> torch.Tensor:
    """Of the sampled tokens [T], under the distribution that they were drawn from."""
    logits_T_V = logits_of(model, prompt, sample.token_ids) / sample.params.temperature
    return torch.log_softmax(logits_T_V, -1).gather(1, torch.tensor(sample.token_ids)[:, None])[:, 0]


def parted(model: torch.nn.Module, ours: Sample, theirs: Sample) -> float:
    """How far the two tokens are apart, in log-probability, where two greedy answers first differ."""
    pairs = zip(ours.token_ids, theirs.token_ids, strict=False)
    place = next(i for i, (a, b) in enumerate(pairs) if a != b)
    logits_T_V = logits_of(model, list(ours.prompt_token_ids), ours.token_ids[: place + 1])
    a, b = ours.token_ids[place], theirs.token_ids[place]
    apart = float(abs(logits_T_V[place, a] - logits_T_V[place, b]))
    print(f"  token {place}: {a} and {b}, {apart:.1e} apart")
    return apart


def differences(
    single: torch.nn.Module, exact: torch.nn.Module, prompt: list[int], sample: Sample
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """By token [T]: vLLM from float64, Transformers in float32 from float64, and the two float32 from each other."""
    logged_T = torch.tensor(sample.logprobs, dtype=torch.float64)
    single_T, exact_T = (log_probabilities(model, prompt, sample) for model in (single, exact))
    return (logged_T - exact_T).abs(), (single_T - exact_T).abs(), (logged_T - single_T).abs()


async def main(count: int, home: Path) -> bool:
    model, exact = (AutoModelForCausalLM.from_pretrained(MINI, dtype=dtype) for dtype in (torch.float32, torch.float64))
    embedded = EmbeddedPolicy.load(MINI)
    schemas = tool_schemas()
    with serving(home, "--max-model-len", "4096") as note:
        served = await connect(note.base_url, note.model, note.api_key)
        assert isinstance(served, EndpointPolicy)
        prompts = []
        for index in range(count):
            task = mixture(21, index, "held_out")
            messages = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": task.question}]
            prompts.append(embedded.renderer.start(messages, [schemas[name] for name in task.tools]))
        greedy = [await asyncio.gather(*(policy.sample(p, GREEDY) for p in prompts)) for policy in (embedded, served)]
        differ = [(a, b) for [a], [b] in zip(*greedy, strict=True) if a.token_ids != b.token_ids]
        print(f"{count} greedy prompts, {sum(len(a.token_ids) for [a] in greedy[0])} tokens: {len(differ)} differ")
        good = all(parted(model, a, b) < ROUNDING for a, b in differ)
        for temperature in (1.0, 0.7):
            asked = [SamplingParams(temperature, max_tokens=80, seed=seed) for seed in range(count)]
            pairs = zip(prompts, asked, strict=True)
            drawn = await asyncio.gather(*(served.sample(prompt, params) for prompt, params in pairs))
            rows = zip(prompts, drawn, strict=True)
            found = [differences(model, exact, prompt, sample) for prompt, [sample] in rows]
            vllm_S, transformers_S, apart_S = (torch.cat(column) for column in zip(*found, strict=True))
            print(
                f"temperature {temperature}: {count} samples, {len(vllm_S)} tokens. From float64 vLLM is at most "
                f"{vllm_S.max():.2e} away (99.9 % within {vllm_S.quantile(0.999):.1e}), Transformers in float32 "
                f"{transformers_S.max():.2e}; from each other {apart_S.max():.2e}"
            )
            good &= float(vllm_S.max()) <= TOLERANCE
        await served.close()
    await embedded.close()
    return good


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(not asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, Path(folder))))
