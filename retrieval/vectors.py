"""Nearest vectors, exactly: a flat FAISS index, on the GPU where faiss reports one. Stores nothing itself.

Exact search over a million vectors of 384 numbers takes tens of milliseconds: there is no approximate index to tune.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from typing import Any, Literal

import numpy as np

Metric = Literal["cosine", "inner_product"]

_GPU_SCRATCH_BYTES = 64 << 20  # faiss takes 1.5 GB by default; one query needs next to none
_gpu_lock = threading.Lock()  # indexes that share GPU resources must be used by one thread at a time


class VectorIndex:
    """N vectors known by their row 0..N-1. ``device`` says where they are: "cpu" or "gpu"."""

    def __init__(self, vectors_N_D: np.ndarray, metric: Metric = "cosine") -> None:
        import faiss

        self._metric: Metric = metric
        vectors_N_D = self._prepared(vectors_N_D)
        flat = faiss.IndexFlatIP(vectors_N_D.shape[1])
        flat.add(vectors_N_D)
        self._index, self.device = _on_best_device(flat)

    def search(self, vector_D: np.ndarray, k: int) -> list[int]:
        """Rows of the ``k`` nearest vectors (all, where there are fewer), nearest first."""
        query_1_D = self._prepared(vector_D[None])
        with _gpu_lock if self.device == "gpu" else contextlib.nullcontext():
            _, rows_1_k = self._index.search(query_1_D, min(k, self._index.ntotal))
        return [row for row in rows_1_k[0].tolist() if row >= 0]

    def _prepared(self, vectors_N_D: np.ndarray) -> np.ndarray:
        vectors_N_D = np.ascontiguousarray(vectors_N_D, dtype=np.float32)
        if self._metric == "inner_product":
            return vectors_N_D
        lengths_N_1 = np.linalg.norm(vectors_N_D, axis=1, keepdims=True)
        return vectors_N_D / np.maximum(lengths_N_1, 1e-12)


def _on_best_device(flat: Any) -> tuple[Any, str]:
    """Move a flat index to the first GPU; it stays on the CPU, with a warning, where the GPU has no room for it."""
    import faiss

    if faiss.get_num_gpus() == 0:
        return flat, "cpu"
    try:
        with _gpu_lock:
            return faiss.index_cpu_to_gpu(_gpu_resources(), 0, flat), "gpu"
    except RuntimeError as error:
        logging.getLogger(__name__).warning("the vectors stay on the CPU: %s", error)
        return flat, "cpu"


@functools.cache
def _gpu_resources() -> Any:
    """Made once and kept: an index must not outlive the resources it was made with."""
    import faiss

    resources = faiss.StandardGpuResources()
    resources.setTempMemory(_GPU_SCRATCH_BYTES)
    return resources
