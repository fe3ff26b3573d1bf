"""What becomes of a row of each format, and what is said of one that has none."""

from typing import Any

import pytest

from retrieval.passage import Document
from rl.suites.choices import ASK
from rl.suites.formats import task_of
from rl.suites.row import RowError
from tests.rl.suites.rows import GPQA, GSM8K, HELPED, HUMANEVAL, MATH, MMLU, OWN, TOLERANT

ALL: list[dict[str, Any]] = [GSM8K, MATH, MMLU, GPQA, HUMANEVAL, TOLERANT, HELPED, OWN]


@pytest.mark.parametrize("row", ALL)
def test_a_task_is_a_function_of_its_row_wherever_its_keys_stand(row: dict[str, Any]) -> None:
    task = task_of(row)
    assert task == task_of(dict(reversed(row.items())))
    assert task.task_id != task_of(row | {"note": "edited"}).task_id
    assert task.demonstration == ()
    assert "/train/" not in task.task_id


def test_a_line_with_more_columns_than_its_file_is_still_a_row() -> None:
    assert task_of({**OWN, None: ["more"]}).gold == "Paris"  # as csv.DictReader gives it


def test_a_key_without_a_value_is_no_key() -> None:
    assert task_of(OWN | {"checker": None, "documents": None}) == task_of(OWN)


@pytest.mark.parametrize(
    ("row", "gold", "checker"),
    [
        (GSM8K, "1,017", "math"),
        (MATH, r"\frac{1}{2}", "math"),
        (MMLU, "C", "choice"),
        (HUMANEVAL, "    return sum(values)\n", "function_tests"),
        (OWN, "Paris", "exact"),
    ],
)
def test_the_reference_is_that_of_the_format_and_the_question_does_not_hold_it(
    row: dict[str, Any], gold: str, checker: str
) -> None:
    task = task_of(row)
    assert (task.gold, task.checker) == (gold, checker)
    assert task.question.startswith(str(row.get("question", row.get("problem", "Complete"))))
    assert gold not in task.question or checker == "choice"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ([], "is no JSON object"),
        ({"text": "x", "label": 1}, r"fits no format \(its keys: label, text\)"),
        ({}, r"its keys: none"),
        (OWN | {"question": ""}, "asks nothing"),
        (OWN | {"question": 3}, "no text under 'question'"),
        (OWN | {"question": "half a \ud800"}, "half a character under 'question'"),
        (OWN | {"checker": "os:system"}, "take one of exact, math, choice, json_schema, unit_tests"),
        (OWN | {"checker": ["math"]}, "take one of exact"),
        (OWN | {"metadata": 1}, "metadata that is no object"),
        (OWN | {"checker": "unit_tests"}, 'no "tests"'),
        (OWN | {"checker": "unit_tests", "metadata": {"tests": ["assert f(1) > 0"]}}, "tests that cannot be read"),
        (OWN | {"checker": "json_schema"}, 'no "schema"'),
        (OWN | {"gold": float("nan")}, "has the gold nan, which is no number"),
        ({"question": "How many?", "answer": float("-inf")}, "has the answer -inf, which is no number"),
        (OWN | {"checker": "choice"}, "'Paris', which is no letter"),
        (OWN | {"documents": "x"}, "documents that are no list"),
        (OWN | {"documents": [1]}, "document 1 that is neither a text nor an object"),
        (OWN | {"tools": "search"}, "no list of texts under 'tools'"),
        (GSM8K | {"answer": "12 ####  "}, "nothing after ####"),
        (MATH | {"solution": "It is one."}, "no \\\\boxed"),
        (MMLU | {"answer": 4}, "the answer '4', which is none of its 4 choices"),
        (MMLU | {"answer": -1}, "none of its 4 choices"),
        (MMLU | {"answer": "E"}, "none of its 4 choices"),
        (MMLU | {"choices": "A, B"}, "no list of texts under 'choices'"),
        ({key: GPQA[key] for key in list(GPQA)[:4]}, "no text under 'Incorrect Answer 3'"),
        (HUMANEVAL | {"entry_point": "sums"}, "a prompt without `def sums`"),
        (HUMANEVAL | {"test": "def check(:"}, "a test that is no Python"),
        (HUMANEVAL | {"test": "assert total([1]) == 1"}, "a test without one `def check"),
    ],
)
def test_a_row_that_cannot_be_asked_says_why(row: object, says: str) -> None:
    with pytest.raises(RowError, match=says):
        task_of(row)


# --- MATH -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "tier"), [("Level 1", 1), ("Level 5", 5), (4, 4), ("Level ?", 0), (None, 0), (9, 0)])
def test_a_level_is_a_tier(level: object, tier: int) -> None:
    assert task_of(MATH | {"level": level}).tier == tier


@pytest.mark.parametrize(
    ("solution", "gold"),
    [
        (r"First \boxed{1}, then \boxed{2}.", "2"),
        (r"So $\boxed 5$.", "5"),
        (r"\boxed{\text{a } \{1\}}", r"\text{a } \{1\}"),
    ],
)
def test_the_last_box_holds_the_answer(solution: str, gold: str) -> None:
    assert task_of(MATH | {"solution": solution}).gold == gold


def test_an_answer_that_is_given_is_the_gold_one() -> None:
    assert task_of(MATH | {"answer": "0.5", "solution": "clear"}).gold == "0.5"


# --- multiple choice --------------------------------------------------------------------------------------------------


def test_choices_are_lettered_in_their_order() -> None:
    task = task_of(MMLU)
    assert task.question == f"{MMLU['question']}\n\nA) Venus\nB) Earth\nC) Mercury\nD) Mars\n\n{ASK}"
    assert task.metadata["subject"] == "astronomy"


@pytest.mark.parametrize("answer", [2, "2", "C", "c", 2.0, "2.0"])
def test_the_right_choice_may_be_an_index_or_a_letter(answer: object) -> None:
    assert task_of(MMLU | {"answer": answer}).gold == "C"


def test_where_the_right_choice_stands_tells_nothing() -> None:
    rows = [GPQA | {"Question": f"Which of these numbers is prime, in case {i}?"} for i in range(400)]
    golds = [task_of(row).gold for row in rows]
    assert all(70 <= golds.count(letter) <= 130 for letter in "ABCD")
    for row, gold in zip(rows[:20], golds, strict=False):
        assert f"{gold}) ninety-seven" in task_of(row).question


# --- HumanEval --------------------------------------------------------------------------------------------------------


def test_comparisons_with_literals_become_lines_and_anything_else_a_program() -> None:
    assert task_of(HUMANEVAL).metadata["tests"] == ("assert total([1, 2]) == 3", "assert total([]) == 0")
    for row in (TOLERANT, HELPED):
        metadata = task_of(row).metadata
        assert "tests" not in metadata
        assert str(metadata["program"]).endswith(f"check({row['entry_point']})\n")


def test_a_test_is_kept_from_the_model() -> None:
    for row in (HUMANEVAL, TOLERANT, HELPED):
        task = task_of(row)
        assert "assert" not in task.question
        assert row["canonical_solution"] not in task.question


# --- a person's own ---------------------------------------------------------------------------------------------------


def test_an_own_question_brings_its_documents_and_the_search_for_them() -> None:
    task = task_of(
        OWN | {"documents": ["Paris is its capital.", {"text": "Rome", "title": "Italy", "source": "it.md"}]}
    )
    assert task.documents == (
        Document("document 1", "document 1", "Paris is its capital."),
        Document("Italy", "it.md", "Rome"),
    )
    assert task.tools == ("calculator", "python", "search")
    assert task_of(OWN | {"tools": []}).tools == ()


def test_a_number_may_be_an_own_answer() -> None:
    assert task_of({"question": "What is 2 + 2?", "answer": 4, "checker": "math"}).gold == "4"
