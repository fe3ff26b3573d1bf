"""What the tests of retrieval share: a real encoder that is quick to load, and a folder of documents."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest


class WordEncoder:
    """Texts as counts of their hashed words: deterministic, and texts that share words are near each other."""

    def __init__(self, name: str = "words", size: int = 64) -> None:
        self.name = name
        self.fingerprint = f"{name}/{size}"
        self.size = size
        self.encoded: list[str] = []  # every document text it was asked for, in order

    def encode(self, texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        if not query:
            self.encoded.extend(texts)
        vectors = np.zeros((len(texts), self.size), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, hashlib.md5(word.encode()).digest()[0] % self.size] += 1
        return vectors


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test puts its index."""
    return tmp_path / "index"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Three documents in a folder."""
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (docs / "bridge.md").write_text("# The Long Bridge\n\nIt was designed by Odile Marchetti and is 236 metres long.\n")
    (docs / "mill.txt").write_text("The paper mill was founded in 1748 and makes 26,000 tonnes a year.\n")
    (docs / "deep" / "library.md").write_text("# Tolland Library\n\nThe library holds 118,000 books.\n")
    return docs
