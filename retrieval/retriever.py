"""The door of this package: a question in, passages out. From an index on disk, or over documents in memory.

BM25 finds the words, the encoder finds the meaning, reciprocal rank fusion joins the two rankings, and a cross-encoder
may look at the best of them again. Called by the search tool, `ponder search` and the evaluation harness.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.chunker import DEFAULT_SIZE, Chunk, chunk_documents
from retrieval.encoder import Encoder
from retrieval.errors import EncoderMismatch
from retrieval.fusion import reciprocal_rank_fusion
from retrieval.lexical import LexicalIndex
from retrieval.library import read_snapshot
from retrieval.passage import Document, Passage
from retrieval.rerank import Reranker
from retrieval.vectors import Metric, VectorIndex

_CANDIDATES = 50  # of each ranking; deeper changed nothing, 10 lost a point
_RERANKED = 20  # of the fused ranking


@dataclass(frozen=True, eq=False)
class Retriever:
    """Passages of a fixed set of documents, held in memory. Made by ``open`` or ``over``; threads may share it."""

    documents: Sequence[Document]
    chunks: Sequence[Chunk]
    lexical: LexicalIndex
    vectors: VectorIndex | None = None  # with an encoder, or not at all
    encoder: Encoder | None = None
    reranker: Reranker | None = None

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        encoder: Encoder | None = None,
        reranker: Reranker | None = None,
        metric: Metric = "cosine",
    ) -> Retriever:
        """What the index in ``folder`` holds now; later changes need another ``open``. Without an encoder: BM25 alone.

        Raises IndexNotFound, IndexUnusable, EncoderMismatch.
        """
        found = read_snapshot(folder, with_vectors=encoder is not None)
        vectors = None
        if encoder is not None and found.vectors_N_D is not None:
            if found.meta["fingerprint"] != encoder.fingerprint:
                raise EncoderMismatch(
                    f"The index in {folder} was made with other weights ({found.meta['encoder']}) than {encoder.name}: "
                    "set the encoder to those, or index again."
                )
            vectors = VectorIndex(found.vectors_N_D, metric)
        return cls(found.documents, found.chunks, LexicalIndex.restore(found.lexical), vectors, encoder, reranker)

    @classmethod
    def over(
        cls,
        documents: Sequence[Document],
        encoder: Encoder | None = None,
        reranker: Reranker | None = None,
        chunk_size: int = DEFAULT_SIZE,
    ) -> Retriever:
        """A retriever over documents at hand, with nothing on disk. Without an encoder: BM25 alone."""
        chunks, texts = chunk_documents(documents, chunk_size)
        vectors = VectorIndex(encoder.encode(texts)) if encoder and texts else None
        return cls(documents, chunks, LexicalIndex.build(texts), vectors, encoder, reranker)

    @property
    def method(self) -> str:
        """How it ranks, in words; where that is by BM25 alone, also why."""
        if self.encoder is None:
            method = "BM25 alone (no encoder was given)"
        elif self.vectors is None:
            method = "BM25 alone (the index holds no vectors)"
        else:
            method = f"BM25 and {self.encoder.name}, fused"
        return f"{method}, reranked" if self.reranker else method

    def search(self, query: str, k: int = 5) -> list[Passage]:
        """The ``k`` best passages for ``query``, best first, no text twice. Fewer, or none, where fewer are found."""
        query = query.encode("utf-8", "replace").decode()  # half a surrogate pair would stop the tokenizer
        if k < 1 or not query.strip():
            return []
        if self.reranker is None:
            return [self._passage(row, score) for row, score in self._distinct(query, k)]
        rows = [row for row, _ in self._distinct(query, max(_RERANKED, k))]
        scores = self.reranker.scores(query, [self._passage(row).text for row in rows]) if rows else []
        best = sorted(zip(rows, scores, strict=True), key=lambda scored: -scored[1])[:k]
        return [self._passage(row, score) for row, score in best]

    def _distinct(self, query: str, count: int) -> list[tuple[int, float]]:
        """(row, score) of the best candidates, best first, no text twice."""
        depth = max(_CANDIDATES, 2 * count)
        while True:
            found: dict[str, tuple[int, float]] = {}
            for row, score in self._fused(query, depth):
                found.setdefault(self._passage(row).text, (row, score))
            if len(found) >= count or depth >= len(self.chunks):
                return list(found.values())[:count]
            depth *= 4  # a text that is there many times has taken the places of others

    def _fused(self, query: str, depth: int) -> list[tuple[int, float]]:
        """The fused ranking of the ``depth`` best of each ranking."""
        rankings = [self.lexical.search(query, depth)]
        if self.encoder is not None and self.vectors is not None:
            rankings.append(self.vectors.search(self.encoder.encode([query], query=True)[0], depth))
        return reciprocal_rank_fusion(rankings)

    def _passage(self, row: int, score: float = 0.0) -> Passage:
        chunk = self.chunks[row]
        document = self.documents[chunk.document]
        text = document.text[chunk.start : chunk.end]
        return Passage(text, document.source, chunk.start, chunk.end, score, document.title)
