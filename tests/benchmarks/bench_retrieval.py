"""How much of the text that answers a question is found: python tests/benchmarks/bench_retrieval.py DATA_FOLDER

DATA_FOLDER holds Markdown documents and questions.jsonl, a question a line with ``question``, ``corpus`` (a document's
name without .md) and ``references`` (``start_index`` and ``end_index`` in that document): the format of
chunking_evaluation. All documents are searched together. The figure is the share of a question's reference characters
that lie in its k passages, averaged over questions, with a bootstrap interval of 95 % over them; "characters" is how
much text the passages of a question are, because longer ones find more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from retrieval.chunker import DEFAULT_SIZE, Chunk, chunk_documents
from retrieval.encoder import DEFAULT_ENCODER, Encoder, open_encoder
from retrieval.fusion import RANK_CONSTANT, reciprocal_rank_fusion
from retrieval.lexical import LexicalIndex
from retrieval.loader import first_heading
from retrieval.passage import Document
from retrieval.vectors import VectorIndex

DEPTH = 50  # of each ranking that is fused, as in the retriever


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", default=DEFAULT_ENCODER, help="name or folder")
    parser.add_argument("-k", type=int, default=5, help="passages a question may have")
    parser.add_argument("--sizes", type=int, nargs="+", default=[DEFAULT_SIZE], help="chunk sizes to try")
    parser.add_argument("--constants", type=float, nargs="+", default=[RANK_CONSTANT, 60], help="of the fusion")
    given = parser.parse_args()
    documents = read_documents(given.folder)
    questions = [json.loads(line) for line in (given.folder / "questions.jsonl").read_text().splitlines()]
    encoder = open_encoder(given.encoder)
    asked = encoder.encode([question["question"] for question in questions], query=True)
    print(f"{len(questions)} questions, {len(documents)} documents, k = {given.k}, encoder {encoder.name}\n")
    print(f"{'chunks':<22} {'ranking':<14} {'recall':>6}  {'95 % interval':<16} {'characters':>10}")
    cuts = {"fixed, 800": cut_evenly(documents, 800)}
    cuts |= {f"structural, up to {size}": chunk_documents(documents, size) for size in given.sizes}
    for cut, (chunks, texts) in cuts.items():
        ranked = rankings(texts, questions, asked, encoder, given.constants)
        for ranking, rows in ranked.items():
            found = [[chunks[row] for row in best[: given.k]] for best in rows]
            report(f"{cut:<22} {ranking:<14}", documents, questions, found)


def read_documents(folder: Path) -> list[Document]:
    texts = {path: path.read_bytes().decode() for path in sorted(folder.glob("*.md"))}
    return [Document(first_heading(text) or path.name, path.stem, text) for path, text in texts.items()]


def cut_evenly(documents: list[Document], size: int) -> tuple[list[Chunk], list[str]]:
    """The usual baseline: every ``size`` characters, wherever that falls, and no title."""
    chunks = [
        Chunk(position, start, min(start + size, len(document.text)))
        for position, document in enumerate(documents)
        for start in range(0, len(document.text), size)
    ]
    return chunks, [documents[chunk.document].text[chunk.start : chunk.end] for chunk in chunks]


def rankings(
    texts: list[str], questions: list[dict], asked: np.ndarray, encoder: Encoder, constants: Iterable[float]
) -> dict[str, list[list[int]]]:
    """Rows best first, for each question, by name of the ranking."""
    lexical, vectors = LexicalIndex.build(texts), VectorIndex(encoder.encode(texts))
    words = [lexical.search(question["question"], DEPTH) for question in questions]
    meanings = [vectors.search(vector, DEPTH) for vector in asked]
    ranked = {"BM25": words, "dense": meanings}
    for constant in constants:
        fused = [reciprocal_rank_fusion(pair, constant) for pair in zip(words, meanings, strict=True)]
        ranked[f"fused, k = {constant:g}"] = [[row for row, _ in scored] for scored in fused]
    return ranked


def report(label: str, documents: list[Document], questions: list[dict], found: list[list[Chunk]]) -> None:
    recalls = np.array([recall(documents, q, chunks) for q, chunks in zip(questions, found, strict=True)])
    draws = np.random.default_rng(0).integers(len(recalls), size=(10_000, len(recalls)))
    low, high = np.percentile(recalls[draws].mean(axis=1), [2.5, 97.5])
    characters = np.mean([sum(chunk.end - chunk.start for chunk in chunks) for chunks in found])
    print(f"{label} {recalls.mean():6.3f}  [{low:.3f}, {high:.3f}]   {characters:10.0f}", flush=True)


def recall(documents: list[Document], question: dict, chunks: list[Chunk]) -> float:
    """The share of the question's reference characters that lie in ``chunks``."""
    wanted = {i for span in question["references"] for i in range(span["start_index"], span["end_index"])}
    read = [chunk for chunk in chunks if documents[chunk.document].source == question["corpus"]]
    return len(wanted & {i for chunk in read for i in range(chunk.start, chunk.end)}) / len(wanted)


if __name__ == "__main__":
    main()
