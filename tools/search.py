"""The tool ``search``: numbered passages for a query, from whatever can find them (``retrieval``'s retriever does)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from retrieval.errors import RetrievalError
from retrieval.passage import Passage
from tools.tool import Tool, ToolError, ToolOutput, in_thread, tool

NOTHING_FOUND = "No passages found."


class Searcher(Protocol):
    """Finds passages. It is called from a thread, by several calls at once."""

    def search(self, query: str, k: int) -> list[Passage]:
        """At most ``k`` passages, best first."""
        ...


def search_tool(searcher: Searcher, k: int = 3) -> Tool:
    """The tool over ``searcher``, showing ``k`` passages; a citation [i] is the result's ``passages[i - 1]``."""

    @tool
    async def search(query: str) -> ToolOutput:
        """Search the indexed documents and return numbered passages."""
        if not query.strip():
            raise ToolError("The query is empty; say in a few words what to look for.")
        try:
            passages = await in_thread(searcher.search, query, k)
        except RetrievalError as error:
            raise ToolError(str(error)) from error
        return ToolOutput(numbered(passages), tuple(passages))

    return search


def numbered(passages: Sequence[Passage], first: int = 1) -> str:
    """What the model reads: ``[i] title`` and the text below it, a blank line between; i begins at ``first``."""
    shown = [f"[{i}] {_heading(passage)}\n{passage.text}" for i, passage in enumerate(passages, first)]
    return "\n\n".join(shown) or NOTHING_FOUND


def _heading(passage: Passage) -> str:
    """One line, because a document's title is not ours."""
    return " ".join((passage.title or passage.source).split())
