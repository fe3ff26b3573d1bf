"""The tree of a group's tokens gives what separate sequences give, for less."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from rl.trie import attention, build, flex, logprobs, visible

SHAPE: dict[str, Any] = {
    "vocab_size": 11,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
}
groups = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9).map(tuple), min_size=1, max_size=6)


def model_of(family: str) -> PreTrainedModel:
    torch.manual_seed(0)
    made = Qwen3ForCausalLM(Qwen3Config(**SHAPE)) if family == "qwen3" else LlamaForCausalLM(LlamaConfig(**SHAPE))
    return made.double().eval()


@given(groups)
def test_every_sequence_is_a_path_of_the_tree(sequences: list[tuple[int, ...]]) -> None:
    trie = build(sequences)
    assert len(trie) == len({sequence[: i + 1] for sequence in sequences for i in range(len(sequence))})
    for sequence, places in zip(sequences, trie.places, strict=True):
        assert tuple(trie.token_ids[place] for place in places) == sequence
        assert [trie.depths[place] for place in places] == list(range(len(sequence)))
        assert [trie.parents[place] for place in places] == [-1, *places[:-1]]


@given(groups)
def test_a_token_sees_those_whose_subtree_it_is_in(sequences: list[tuple[int, ...]]) -> None:
    trie = build(sequences)
    for token in range(len(trie)):
        above, at = {token}, token
        while (at := trie.parents[at]) >= 0:
            above.add(at)
        assert above == {key for key in range(token + 1) if token < trie.ends[key]}
        [segment] = [each for each in trie.segments if each.start <= token < each.stop]
        seen = [range(trie.segments[i].start, trie.segments[i].stop) for i in segment.above]
        assert above == {key for keys in (*seen, range(segment.start, token + 1)) for key in keys}


def test_no_tree_of_nothing() -> None:
    with pytest.raises(ValueError, match="empty"):
        build([(1, 2), ()])


def separately(model: PreTrainedModel, sequences: list[tuple[int, ...]]) -> list[torch.Tensor]:
    """The log-probabilities of each sequence's tokens but the first, one sequence at a time."""
    model.set_attn_implementation("eager")
    found = []
    for sequence in sequences:
        token_ids_1_T = torch.tensor([sequence])
        logits_T_V = model(input_ids=token_ids_1_T).logits[0].float().log_softmax(-1)
        found.append(logits_T_V[:-1].gather(1, token_ids_1_T[0, 1:, None])[:, 0])
    return found


def gradient(model: PreTrainedModel) -> torch.Tensor:
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad(set_to_none=True)
    return found


@settings(max_examples=15)
@given(st.sampled_from(["qwen3", "llama"]), groups, st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_loss_and_gradient_are_those_of_separate_sequences(
    family: str, sequences: list[tuple[int, ...]], weights: list[float]
) -> None:
    """Weights of either sign at tokens that several share."""
    model, trie = model_of(family), build(sequences)
    apart = sum(w * each.sum() for w, each in zip(weights, separately(model, sequences), strict=False))
    shared: torch.Tensor = torch.zeros(len(trie))
    wanted = torch.tensor([token for token, parent in enumerate(trie.parents) if parent >= 0], dtype=torch.long)
    if not len(wanted):
        return
    shared = shared.index_put((wanted,), logprobs(model, trie, wanted, torch.ones(len(wanted))))
    together = sum(w * shared[list(p[1:])].sum() for w, p in zip(weights, trie.places, strict=False))
    assert isinstance(apart, torch.Tensor)
    assert isinstance(together, torch.Tensor)
    torch.testing.assert_close(together, apart, rtol=1e-6, atol=1e-6)
    together.backward()
    mine = gradient(model)
    apart.backward()
    theirs = gradient(model)
    assert (mine - theirs).norm() <= 1e-5 * max(1e-6, float(theirs.norm()))


def test_a_temperature_flattens() -> None:
    model, trie = model_of("qwen3"), build([(1, 2, 3)])
    wanted, flat = torch.tensor([1, 2]), torch.full((2,), 1e6)
    torch.testing.assert_close(logprobs(model, trie, wanted, flat).exp(), torch.full((2,), 1 / 11))


@settings(max_examples=15)
@given(groups)
def test_the_attention_of_a_gpu_gives_what_the_one_by_segments_gives(sequences: list[tuple[int, ...]]) -> None:
    """Uncompiled, as it runs without a GPU."""
    trie, drawn = build(sequences), torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, heads, len(trie), 16, generator=drawn) for heads in (4, 2, 2))
    by_segments, _ = attention(torch.nn.Module(), query, key, value, None, 0.3, trie)
    together, _ = flex(torch.nn.Module(), query, key, value, None, 0.3, visible(trie, query.device))
    torch.testing.assert_close(together, by_segments, rtol=1e-5, atol=1e-5)
