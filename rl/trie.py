"""The samples of groups as one tree of tokens: what several have in common goes through the model once.

Tokens stand in depth-first order, so that a token sees exactly those before it whose subtree it is in. Runs of tokens
without a branch are segments; attention goes segment by segment over the ones above it. Loss and gradient are those of
separate sequences, because every place of every sequence is a token of the tree (``places``) and its log-probability is
looked up there: what several share is added up by the gradient, whatever each makes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
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


# --- through the model ------------------------------------------------------------------------------------------------

ATTENTION = "ponder_trie"  # its name in Transformers' registry; with no mask of that name, the model makes none


def logprobs(model: PreTrainedModel, trie: Trie, wanted_W: torch.Tensor, temperature_W: torch.Tensor) -> torch.Tensor:
    """Natural log-probabilities [W] of those tokens of the tree, float32, each after what stands above it.

    ``wanted_W`` are indices of tokens that have a parent, ``temperature_W`` is what each was drawn at.
    """
    AttentionInterface.register(ATTENTION, attention)
    model.set_attn_implementation(ATTENTION)
    token_ids_N, depths_N, parents_N = (
        torch.tensor(values, device=model.device) for values in (trie.token_ids, trie.depths, trie.parents)
    )
    hidden_N_D = model.base_model(
        input_ids=token_ids_N[None], position_ids=depths_N[None], use_cache=False, trie=trie
    ).last_hidden_state[0]
    head: Any = model.get_output_embeddings()
    logits_W_V = head(hidden_N_D[parents_N[wanted_W]]).float() / temperature_W[:, None]
    return -torch.nn.functional.cross_entropy(logits_W_V, token_ids_N[wanted_W], reduction="none")


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
    """Each segment looks at those above it and, causally, at itself; [1, N, H, D].

    Two plain products, the queries of a key-value head side by side, as in ``sft.product_attention``.
    """
    H, D = query_1_H_N_D.shape[1], query_1_H_N_D.shape[3]
    K = key_1_K_N_D.shape[1]
    sizes = [segment.stop - segment.start for segment in trie.segments]
    queries, keys, values = (each[0].split(sizes, 1) for each in (query_1_H_N_D * scaling, key_1_K_N_D, value_1_K_N_D))
    found = []
    for own, segment in enumerate(trie.segments):
        n = sizes[own]
        seen = (*segment.above, own)
        key_K_S_D = torch.cat([keys[i] for i in seen], 1)
        value_K_S_D = torch.cat([values[i] for i in seen], 1)
        scores = queries[own].reshape(K, H // K * n, D) @ key_K_S_D.transpose(1, 2)
        scores = scores.view(K, H // K, n, -1) + later(n, key_K_S_D.shape[1], scores)
        weights = scores.softmax(-1).to(value_K_S_D.dtype).view(K, H // K * n, -1)
        found.append((weights @ value_K_S_D).view(H, n, D))
    return torch.cat(found, 1).transpose(0, 1)[None], None


def later(n: int, seen: int, like: torch.Tensor) -> torch.Tensor:
    """What is added to the scores of the last ``n`` of ``seen`` tokens [n, seen]: minus infinity for later ones."""
    hidden_n_S = torch.ones(n, seen, dtype=torch.bool, device=like.device).triu(seen - n + 1)
    return torch.zeros(n, seen, dtype=like.dtype, device=like.device).masked_fill(hidden_n_S, -torch.inf)
