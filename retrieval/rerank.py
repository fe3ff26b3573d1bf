"""A second, slower look at the best passages: a cross-encoder reads question and passage together. Off by default."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from retrieval.encoder import find_model, loading


class Reranker(Protocol):
    """Scores passages for one question."""

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """One relevance per text; higher is better, comparable for this query only."""
        ...


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder from a folder; the weights are read by the first ``scores``."""

    def __init__(self, folder: Path, device: str | None = None) -> None:
        self._folder = folder
        self._device = device
        self._model: Any = None
        self._lock = threading.Lock()  # as for the encoder: its tokenizer is not for two threads at once

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        with self._lock:
            if self._model is None:
                self._model = self._load()
            pairs = [(query, text) for text in texts]
            return [float(score) for score in self._model.predict(pairs, show_progress_bar=False)]

    def _load(self) -> Any:
        from sentence_transformers import CrossEncoder

        with loading("reranker", self._folder):
            return CrossEncoder(str(self._folder), device=self._device, local_files_only=True, num_labels=1)


def open_reranker(name: str, device: str | None = None) -> CrossEncoderReranker:
    """The cross-encoder in the folder ``name``, or called so in the local cache or on the hub. Raises ModelNotFound."""
    return CrossEncoderReranker(find_model(name), device)
