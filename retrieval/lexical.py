"""BM25 over passages: finds exact words, names and numbers, which embeddings blur. Stores nothing itself.

Built when an index is written, restored from its arrays when one is opened. English stop words are dropped; words are
not stemmed (tried: no gain once fused with an encoder).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence

import numpy as np


def _words(texts: Sequence[str]) -> list[list[str]]:
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it asks for its debug messages itself
    tokens = bm25s.tokenize(list(texts), stopwords="en", return_ids=False, show_progress=False)
    assert isinstance(tokens, list)
    return tokens


class LexicalIndex:
    """A BM25 index (Lucene's variant, k1 = 1.5, b = 0.75) over N passages, known by their row 0..N-1."""

    def __init__(self, index) -> None:
        self._index = index  # a bm25s.BM25, or None where there is no word to find

    @classmethod
    def build(cls, texts: Sequence[str]) -> LexicalIndex:
        import bm25s

        words = _words(texts)
        if not any(words):
            return cls(None)
        index = bm25s.BM25()
        index.index(words, show_progress=False)
        return cls(index)

    def search(self, query: str, k: int) -> list[int]:
        """Rows of at most ``k`` passages that share a word with ``query``, best first; ties go to the smaller row."""
        ids = self._index.get_tokens_ids(_words([query])[0]) if self._index else []
        if not ids:
            return []
        scores_N = self._index.get_scores_from_ids(ids)
        rows = np.flatnonzero(scores_N > 0)
        return rows[np.argsort(-scores_N[rows], kind="stable")[:k]].tolist()

    def arrays(self) -> dict[str, bytes]:
        """The index as named blobs, for ``restore``."""
        if self._index is None:
            return {}
        scores = self._index.scores
        return {
            "data": scores["data"].astype("<f4").tobytes(),
            "indices": scores["indices"].astype("<i4").tobytes(),
            "indptr": scores["indptr"].astype("<i8").tobytes(),
            "rows": str(scores["num_docs"]).encode(),
            "words": json.dumps(self._index.vocab_dict, ensure_ascii=False).encode(),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, bytes]) -> LexicalIndex:
        import bm25s

        if not arrays:
            return cls(None)
        index = bm25s.BM25()
        index.nonoccurrence_array = None  # of BM25L and BM25+, which this is not
        index.vocab_dict = json.loads(arrays["words"])
        index.scores = {
            "data": np.frombuffer(arrays["data"], "<f4"),
            "indices": np.frombuffer(arrays["indices"], "<i4"),
            "indptr": np.frombuffer(arrays["indptr"], "<i8"),
            "num_docs": int(arrays["rows"]),
        }
        return cls(index)
