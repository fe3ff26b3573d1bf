"""What the agent looks things up in, for doors: passages and whole documents, by the names that a person knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.assemble import open_retriever
from retrieval.errors import IndexNotFound

if TYPE_CHECKING:
    from agent.doors.door import Door
    from retrieval.passage import Document, Passage

FOLDER = "documents"  # of the home, for what is uploaded


async def search(door: Door, query: str, k: int) -> list[Passage]:
    """The passages that a search of the agent's would find."""
    try:
        retriever = await asyncio.to_thread(open_retriever, door.settings)
    except IndexNotFound:
        return []
    found = await asyncio.to_thread(retriever.search, query, k)
    return [replace(passage, source=named(door, passage.source)) for passage in found]


async def documents(door: Door) -> Sequence[Document]:
    """All that is indexed."""
    try:
        retriever = await asyncio.to_thread(open_retriever, door.settings)
    except IndexNotFound:
        return []
    return [replace(document, source=named(door, document.source)) for document in retriever.documents]


def folder_of(door: Door) -> Path:
    folder = door.settings.home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def named(door: Door, source: str) -> str:
    """What was uploaded by its name: where that lies is nobody's business."""
    return Path(source).name if Path(source).is_relative_to(folder_of(door)) else source
