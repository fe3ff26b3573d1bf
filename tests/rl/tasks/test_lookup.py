"""Lookups: numbered passages as the search tool prints them, citations that hold, and searches that really find."""

import re

import pytest

from retrieval.passage import Passage
from retrieval.retriever import Retriever
from rl.tasks.lookup import NOT_FOUND, PASSAGES, TIERS
from rl.tasks.suite import generate
from rl.tasks.task import Split, Task
from tools.search import numbered

EACH = 60
SPLITS: tuple[Split, Split] = ("train", "held_out")
TOOLS = {1: ["search"], 2: ["search", "search"], 3: ["search", "search", "calculator"]}


def tasks(tier: int) -> list[Task]:
    made = [generate("lookup", tier, split, 8, index) for split in SPLITS for index in range(EACH)]
    return [task for task in made if "search" in task.tools]


def found(task: Task) -> list[list[tuple[int, str, str]]]:
    """(number, title, text) of the passages of each search."""
    shown = [step.results[0] for step in task.demonstration if step.calls and step.calls[0][0] == "search"]
    form = r"^\[(\d+)\] (.*)\n((?:# .*\n\n)?.*)$"  # a passage of Markdown begins with its title
    return [[(int(n), title, text) for n, title, text in re.findall(form, t, re.M)] for t in shown]


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_is_what_has_to_be_called(tier: int) -> None:
    for task in tasks(tier):
        assert [name for step in task.demonstration for name, _ in step.calls] == TOOLS[tier], task.task_id


@pytest.mark.parametrize("tier", TIERS)
def test_results_are_numbered_on_and_printed_as_the_search_tool_prints_them(tier: int) -> None:
    for task in tasks(tier):
        first = 1
        for step in task.demonstration:
            if step.calls and step.calls[0][0] == "search":
                shown = found(task)[first // PASSAGES]
                passages = [Passage(text, "", 0, len(text), title=title) for _, title, text in shown]
                assert step.results[0] == numbered(passages, first)
                assert len(passages) == PASSAGES
                first += PASSAGES


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_shown_is_in_the_tasks_documents(tier: int) -> None:
    for task in tasks(tier):
        documents = {(document.title, document.text) for document in task.documents}
        assert {(title, text) for search in found(task) for _, title, text in search} <= documents


@pytest.mark.parametrize("tier", TIERS)
def test_a_cited_passage_holds_what_is_said(tier: int) -> None:
    for task in tasks(tier):
        answer = task.demonstration[-1].text
        if answer == NOT_FOUND:
            continue
        passages = {number: f"{title} {text}" for search in found(task) for number, title, text in search}
        for sentence, number in re.findall(r"([^\[\]]+) \[(\d+)\]", answer):
            value = sentence.rpartition(" is ")[2] if " is " in sentence else re.findall(r"[\d,]+", sentence)[-1]
            assert value in passages[int(number)], task.task_id
        if tier < 3:
            last = max(map(int, re.findall(r"\[(\d+)\]", answer)))
            assert task.gold in passages[last]


def test_what_no_document_says_is_in_none_of_them() -> None:
    unanswerable = [task for task in tasks(1) if task.gold == "not found"]
    assert len(unanswerable) >= 4
    for task in unanswerable:
        [asked] = [step.calls[0][1]["query"] for step in task.demonstration if step.calls]
        assert not any(asked == document.title for document in task.documents)


def test_without_documents_there_is_no_search_tool_and_no_call() -> None:
    made = [generate("lookup", tier, "held_out", 8, index) for tier in TIERS for index in range(EACH)]
    without = [task for task in made if "search" not in task.tools]
    assert len(without) >= 4
    for task in without:
        assert task.documents == ()
        assert [step.calls for step in task.demonstration] == [()]


@pytest.mark.parametrize("tier", TIERS)
def test_the_real_search_finds_the_article_that_is_asked_for(tier: int) -> None:
    searches = hits = 0
    for task in tasks(tier)[::4]:
        if task.gold == "not found":
            continue
        retriever = Retriever.over(task.documents)  # by words alone, which is the harder case
        for step in task.demonstration:
            if step.calls and step.calls[0][0] == "search":
                query = step.calls[0][1]["query"]
                words = query.split()
                starts = [" ".join(words[:k]) for k in range(len(words), 0, -1)]
                subject = next(start for start in starts if any(start in d.text for d in task.documents))
                hits += any(subject in passage.text for passage in retriever.search(query, PASSAGES))
                searches += 1
    assert searches >= 20
    assert hits == searches
