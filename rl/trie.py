"""The samples of groups as one tree of tokens: what several have in common goes through the model once.

Tokens stand in depth-first order, so that a token sees exactly those before it whose subtree it is in. Runs of tokens
without a branch are segments; attention goes segment by segment over the ones above it. Loss and gradient are those of
separate sequences, because every place of every sequence is a token of the tree (``places``) and its log-probability is
looked up there: what several share is added up by the gradient, whatever each makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from transformers import AttentionInterface

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens [start, stop) of the tree; the segments that they see, from the root down."""

    start: int
    stop: int
    above: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trie:
    """N tokens in depth-first order."""

    token_ids: tuple[int, ...]
    parents: tuple[int, ...]  # of each token; -1 of a first one
    depths: tuple[int, ...]  # how many tokens stand above each: its position id
    ends: tuple[int, ...]  # token i's subtree is [i, ends[i])
    segments: tuple[Segment, ...]
    places: tuple[tuple[int, ...], ...]  # of each sequence's tokens, in the order in which the sequences were given

    def __len__(self) -> int:
        return len(self.token_ids)


def build(sequences: Sequence[Sequence[int]]) -> Trie:
    """Merge sequences by their prefixes. Raises ``ValueError`` for an empty one."""
    if not all(sequences):
        raise ValueError("an empty sequence has no place in a tree")
    token_ids: list[int] = []
    parents: list[int] = []
    depths: list[int] = []
    places: list[tuple[int, ...]] = [()] * len(sequences)
    before: Sequence[int] = ()
    path: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda i: tuple(sequences[i])):  # sorted: a subtree is one piece
        sequence = sequences[index]
        shared = common(before, sequence)
        del path[shared:]
        for token_id in sequence[shared:]:
            parents.append(path[-1] if path else -1)
            depths.append(len(path))
            path.append(len(token_ids))
            token_ids.append(token_id)
        places[index], before = tuple(path), sequence
    return Trie(
        tuple(token_ids), tuple(parents), tuple(depths), ends_of(parents), tuple(segments_of(parents)), tuple(places)
    )


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many leading tokens they share."""
    most = min(len(one), len(other))
    return next((i for i in range(most) if one[i] != other[i]), most)


def ends_of(parents: Sequence[int]) -> tuple[int, ...]:
    ends = list(range(1, len(parents) + 1))
    for token in range(len(parents) - 1, -1, -1):
        if parents[token] >= 0:
            ends[parents[token]] = max(ends[parents[token]], ends[token])
    return tuple(ends)


def segments_of(parents: Sequence[int]) -> Iterator[Segment]:
    """A segment begins after a branch, and wherever the token before is not the parent."""
    children = [0] * len(parents)
    for parent in parents:
        if parent >= 0:
            children[parent] += 1
    begins = [
        token for token, parent in enumerate(parents) if parent < 0 or parent != token - 1 or children[parent] > 1
    ]
    number: dict[int, int] = {}  # of the segment that ends with a token
    made: list[Segment] = []
    for start, stop in zip(begins, [*begins[1:], len(parents)], strict=True):
        above = number.get(parents[start])
        made.append(Segment(start, stop, () if above is None else (*made[above].above, above)))
        number[stop - 1] = len(made) - 1
    yield from made


T = TypeVar("T")


def parts(rows: Sequence[T], sequences: Callable[[T], Sequence[Sequence[int]]], most: int) -> list[list[T]]:
    """The rows in parts whose trees have at most so many tokens, or are of one row."""
    found: list[list[T]] = []
    room = 0
    for row in rows:
        size = len(build(sequences(row)))
        if not found or size > room:
            found.append([])
            room = most
        found[-1].append(row)
        room -= size
    return found


# --- through the model ------------------------------------------------------------------------------------------------

# Their names in Transformers' registry; with no mask of that name, the model makes none.
ATTENTION, FLEX = "ponder_trie", "ponder_trie_flex"


def logprobs(model: PreTrainedModel, trie: Trie, wanted_W: torch.Tensor, temperature_W: torch.Tensor) -> torch.Tensor:
    """Natural log-probabilities [W] of those tokens of the tree, float32, each after what stands above it.

    ``wanted_W`` are indices of tokens that have a parent, ``temperature_W`` is what each was drawn at.
    """
    token_ids_N, parents_N = (torch.tensor(values, device=model.device) for values in (trie.token_ids, trie.parents))
    head: Any = model.get_output_embeddings()
    logits_W_V = head(hidden(model, trie)[parents_N[wanted_W]]).float() / temperature_W[:, None]
    return -torch.nn.functional.cross_entropy(logits_W_V, token_ids_N[wanted_W], reduction="none")


def hidden(model: PreTrainedModel, trie: Trie) -> torch.Tensor:
    """What the model's head reads at each token of the tree, [N, D]."""
    token_ids_N, depths_N = (torch.tensor(values, device=model.device) for values in (trie.token_ids, trie.depths))
    return model.base_model(
        input_ids=token_ids_N[None], position_ids=depths_N[None], use_cache=False, **attend_with(model, trie)
    ).last_hidden_state[0]


def attend_with(model: PreTrainedModel, trie: Trie) -> dict[str, Any]:
    """Choose the attention for the model's device; what it is to be called with."""
    if model.device.type == "cuda":
        AttentionInterface.register(FLEX, flex)
        model.set_attn_implementation(FLEX)
        return {"block_mask": visible(trie, model.device)}
    AttentionInterface.register(ATTENTION, attention)
    model.set_attn_implementation(ATTENTION)
    return {"trie": trie}


def attention(
    module: torch.nn.Module,
    query_1_H_N_D: torch.Tensor,
    key_1_K_N_D: torch.Tensor,
    value_1_K_N_D: torch.Tensor,
    attention_mask: None,
    scaling: float,
    trie: Trie,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Each segment looks at those above it and, causally, at itself; [1, N, H, D]."""
    sizes = [segment.stop - segment.start for segment in trie.segments]
    queries, keys, values = (each[0].split(sizes, 1) for each in (query_1_H_N_D * scaling, key_1_K_N_D, value_1_K_N_D))
    found = []
    for own, segment in enumerate(trie.segments):
        if segment.above:
            seen = (*segment.above, own)
            keys_K_S_D, values_K_S_D = (torch.cat([each[i] for i in seen], 1) for each in (keys, values))
            found.append(below(queries[own], keys_K_S_D, values_K_S_D))
        else:
            found.append(first(queries[own], keys[own], values[own]))
    return torch.cat(found, 1).transpose(0, 1)[None], None


def first(query_H_n_D: torch.Tensor, key_K_n_D: torch.Tensor, value_K_n_D: torch.Tensor) -> torch.Tensor:
    """Of a segment with none above it: torch's own, which leaves out the half that is hidden; [H, n, D].

    On 2,048 tokens it takes a third of the time of two products.
    """
    return torch.nn.functional.scaled_dot_product_attention(
        query_H_n_D[None], key_K_n_D[None], value_K_n_D[None], is_causal=True, scale=1.0, enable_gqa=True
    )[0]


def below(query_H_n_D: torch.Tensor, key_K_S_D: torch.Tensor, value_K_S_D: torch.Tensor) -> torch.Tensor:
    """Of a segment whose n tokens are the last of the S that they see; [H, n, D].

    Two plain products, the queries of a key-value head side by side, as in ``sft.product_attention``.
    """
    (H, n, D), (K, S, _) = query_H_n_D.shape, key_K_S_D.shape
    scores = query_H_n_D.reshape(K, H // K * n, D) @ key_K_S_D.transpose(1, 2)
    weights = (scores.view(K, H // K, n, S) + later(n, S, scores)).softmax(-1).to(value_K_S_D.dtype)
    return (weights.view(K, H // K * n, S) @ value_K_S_D).view(H, n, D)


def flex(
    module: torch.nn.Module,
    query_1_H_N_D: torch.Tensor,
    key_1_K_N_D: torch.Tensor,
    value_1_K_N_D: torch.Tensor,
    attention_mask: None,
    scaling: float,
    block_mask: BlockMask,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The same on a GPU in one kernel, which skips blocks in which nothing is seen; [1, N, H, D]."""
    attend = compiled() if query_1_H_N_D.is_cuda else flex_attention
    found = attend(query_1_H_N_D, key_1_K_N_D, value_1_K_N_D, block_mask=block_mask, scale=scaling, enable_gqa=True)
    return cast(torch.Tensor, found).transpose(1, 2), None


@cache
def compiled() -> Callable[..., Any]:
    """Without compilation it would make all N x N scores."""
    return torch.compile(flex_attention, dynamic=True)


def visible(trie: Trie, device: torch.device) -> BlockMask:
    """Token q sees k where k is not later and q is in k's subtree."""
    ends_N = torch.tensor(trie.ends, device=device)

    def sees(b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return (k <= q) & (q < ends_N[k])

    return create_block_mask(sees, None, None, len(trie), len(trie), device=device)


def later(n: int, seen: int, like: torch.Tensor) -> torch.Tensor:
    """What is added to the scores of the last ``n`` of ``seen`` tokens [n, seen]: minus infinity for later ones."""
    hidden_n_S = torch.ones(n, seen, dtype=torch.bool, device=like.device).triu(seen - n + 1)
    return torch.zeros(n, seen, dtype=like.dtype, device=like.device).masked_fill(hidden_n_S, -torch.inf)
