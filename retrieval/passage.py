"""A document and a passage of it, with the exact place it came from. Every part of this package speaks these two."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """A text that can be searched: what a loader made of a file, or what a program handed in."""

    title: str  # the first heading, or the file name; one line
    source: str  # path or URI, as the person gave it
    text: str  # the extracted text; all offsets count its characters


@dataclass(frozen=True, slots=True)
class Passage:
    """A contiguous piece of one document: ``document_text[start:end] == text``, always."""

    text: str
    source: str  # path or URI of the document, as the person gave it
    start: int  # offset of the first character in the document's extracted text
    end: int  # offset after the last character
    score: float = 0.0  # the fused or reranked score it was found with; comparable within one search only
    title: str = ""  # the document's title or file name, for showing
