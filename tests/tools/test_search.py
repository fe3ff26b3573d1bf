import pytest

from retrieval.errors import IndexNotFound
from retrieval.passage import Passage
from tools.search import NOTHING_FOUND, numbered, search_tool
from tools.toolbox import Toolbox


class Shelf:
    def __init__(self, found: list[Passage] | Exception):
        self.found = found
        self.asked: list[tuple[str, int]] = []

    def search(self, query: str, k: int) -> list[Passage]:
        self.asked.append((query, k))
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


PASSAGES = [
    Passage("It lies in Peru.", "a.md", 0, 16, title="Lima"),
    Passage("It has two rivers.\nBoth are long.", "docs/b.txt", 4, 37),
]


async def test_passages_are_numbered_under_their_title_or_else_their_source():
    shelf = Shelf(PASSAGES)
    result = await Toolbox([search_tool(shelf, k=2)]).call("search", {"query": "Lima"}, 5)
    assert result.output == "[1] Lima\nIt lies in Peru.\n\n[2] docs/b.txt\nIt has two rivers.\nBoth are long."
    assert result.passages == tuple(PASSAGES)
    assert shelf.asked == [("Lima", 2)]


async def test_nothing_found_is_said():
    result = await Toolbox([search_tool(Shelf([]))]).call("search", {"query": "Lima"}, 5)
    assert (result.output, result.passages) == (NOTHING_FOUND, ())


async def test_an_empty_query_and_a_missing_index_are_errors_that_say_what_to_do():
    box = Toolbox([search_tool(Shelf(IndexNotFound("No index; run ponder index.")))])
    assert "query is empty" in ((await box.call("search", {"query": " "}, 5)).error or "")
    assert (await box.call("search", {"query": "x"}, 5)).error == "No index; run ponder index."


@pytest.mark.parametrize("title", ["a\nb", "a\r\n  b ", "a\u2028b"])
def test_a_title_stays_on_its_line(title):
    assert numbered([Passage("t", "s", 0, 1, title=title)]).splitlines() == ["[1] a b", "t"]


def test_numbers_can_go_on_from_an_earlier_search():
    assert numbered(PASSAGES[:1], 4) == "[4] Lima\nIt lies in Peru."
