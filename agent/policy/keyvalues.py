"""Where the keys and values of a batch stand, and the attention over them. Only ``batch`` uses it.

Static tensors with a length per row, instead of a cache that is concatenated at every token. What is computed for a row
does not depend on the other rows; that it is also bit for bit the same was measured, see ``padded_length``.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import PretrainedConfig
from transformers.cache_utils import Cache

ATTENTION = "ponder_rows"  # the name of `attend` in Transformers' register


def padded_length(tokens: int) -> int:
    """How many keys to attend to where the longest row has ``tokens``: 128, 384 or 512 above a multiple of 512.

    The CPU kernel goes over keys in blocks of 512, and a last block of 256 or 320 is summed in another order than one
    of 128, 384, 448 or 512 (torch 2.13, MKL 2024.2, AVX-512). With these sizes a row has the same bits in any company.
    """
    blocks, rest = divmod(tokens - 1, 512)
    return blocks * 512 + next(size for size in (128, 384, 512) if size > rest)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as Transformers calls it: query [R, H, Q, D], key and value [B, H_kv, T, D] -> [R, Q, H, D].

    Rows past B are padding and get zeros. In a decoding step the queries that share a key head stand as that head's
    queries, so that keys are not copied for each of them.
    """
    rows, heads, queries, size = query.shape
    if queries > 1:
        out = scaled_dot_product_attention(query, key, value, attention_mask, scale=scaling, enable_gqa=True)
        return out.transpose(1, 2).contiguous(), None
    real, key_heads = key.shape[:2]
    grouped = query[:real].reshape(real, key_heads, heads // key_heads, size)
    out = scaled_dot_product_attention(grouped, key, value, attention_mask, scale=scaling)
    return pad(out.reshape(real, 1, heads, size), (0, 0, 0, 0, 0, 0, 0, rows - real)), None


class KeyValues(Cache):
    """Keys and values of a batch, [L, 2, R, H_kv, T, D]; R and T grow as they are needed."""

    def __init__(self, config: PretrainedConfig, like: torch.Tensor) -> None:
        super().__init__(layers=[])
        heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        key_heads = getattr(config, "num_key_value_heads", None) or heads
        self._like = like  # a tensor of the device and type to use
        self.tensor = like.new_zeros(config.num_hidden_layers, 2, 0, key_heads, 0, size)
        self.mask = like.new_zeros(0, 0)  # [R, T]: 0 where a key stands, minus infinity elsewhere
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._target: Any = None
        self._source: Any = None
        self._read: Any = None

    def reserve(self, rows: int, tokens: int) -> None:
        """Have room for ``tokens`` in each of ``rows``; what is there stays."""
        layers, two, had_rows, heads, had_tokens, size = self.tensor.shape
        if rows <= had_rows and tokens <= had_tokens:
            return
        rows = had_rows if rows <= had_rows else max(rows, 2 * had_rows)
        tokens = had_tokens if tokens <= had_tokens else -(-tokens // 512) * 512
        grown = self._like.new_zeros(layers, two, rows, heads, tokens, size)
        grown[:, :, :had_rows, :, :had_tokens] = self.tensor
        mask = self._like.new_full((rows, tokens), -torch.inf)
        mask[:had_rows, :had_tokens] = self.mask
        self.tensor, self.mask = grown, mask
        self._layers = [(layer[0], layer[1]) for layer in grown]

    def step(self, positions_B: torch.Tensor, longest: int) -> torch.Tensor:
        """The next forward pass has one token in each of the first B rows; returns its mask [B, 1, 1, T]."""
        rows, length = len(positions_B), padded_length(longest)
        self.reserve(rows, length)
        rows_B = torch.arange(rows, device=positions_B.device)
        self._target = (rows_B, slice(None), positions_B)
        self._source = (slice(rows), slice(None), 0)
        self._read = (slice(rows), slice(None), slice(length))
        self.mask[rows_B, positions_B] = 0
        return self.mask[:rows, None, None, :length]

    def extend(self, start: int, end: int) -> torch.Tensor:
        """The next forward pass has tokens ``start`` to ``end`` of row 0; returns its mask [1, 1, Q, T]."""
        self.reserve(1, end)
        self._target, self._source = (0, slice(None), slice(start, end)), 0
        self._read = (slice(1), slice(None), slice(end))
        self.mask[0, start:end] = 0
        future = self._like.new_full((end - start, end), -torch.inf)
        return future.triu_(start + 1)[None, None]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = self._layers[layer_idx]
        keys[self._target] = key_states[self._source]
        values[self._target] = value_states[self._source]
        return keys[self._read], values[self._read]

    def put(self, row: int, other: KeyValues, other_row: int, tokens: int) -> None:
        """Copy the first ``tokens`` of another's row into ``row``."""
        self.reserve(row + 1, tokens)
        self.tensor[:, :, row, :, :tokens] = other.tensor[:, :, other_row, :, :tokens]
        self.mask[row, :tokens] = 0
        self.mask[row, tokens:] = -torch.inf

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0  # positions and masks are always given


class PrefixCache:
    """Keys and values of the whole chunks of recent prompts, by the tokens up to each chunk's end.

    Chunks always start at multiples of ``chunk``, so a chunk has the same bits whether it was found here or computed.
    """

    def __init__(self, chunk: int, capacity_bytes: int) -> None:
        self._chunk = chunk
        self._capacity = capacity_bytes
        self._bytes = 0
        self._blocks: OrderedDict[bytes, torch.Tensor] = OrderedDict()

    def find(self, prompt: Sequence[int]) -> list[torch.Tensor]:
        """The chunks [L, 2, H_kv, chunk, D] that ``prompt`` starts with, one token at least left to compute."""
        found: list[bytes] = []
        for key in self._keys(prompt[:-1]):
            if key not in self._blocks:
                break
            found.append(key)
        for key in reversed(found):  # the first chunk is used last: it is the one to keep longest
            self._blocks.move_to_end(key)
        return [self._blocks[key] for key in found]

    def add(self, prompt: Sequence[int], block: torch.Tensor) -> None:
        """Keep the last whole chunk of ``prompt``; the chunks that were not used for longest make room."""
        key = self._keys(prompt)[-1]
        if key in self._blocks or block.nbytes > self._capacity:
            return
        self._blocks[key] = block
        self._bytes += block.nbytes
        while self._bytes > self._capacity:
            self._bytes -= self._blocks.popitem(last=False)[1].nbytes

    def _keys(self, prompt: Sequence[int]) -> list[bytes]:
        """A chain of digests, one for each whole chunk."""
        digest, keys = hashlib.sha256(), []
        for end in range(self._chunk, len(prompt) + 1, self._chunk):
            digest.update(array("q", prompt[end - self._chunk : end]).tobytes())
            keys.append(digest.digest())
        return keys
