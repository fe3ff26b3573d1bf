"""Whether an answer is right."""

from dataclasses import replace

import pytest

from rl.grade import GradeError, grade, graded, is_right
from rl.suites.formats import task_of
from rl.tasks.task import Task
from tests.rl.suites.rows import GSM8K, MATH, MMLU, OWN

PENS = Task("t", "arithmetic", 2, "How many pens does Tom have?", "1250", ())
DECLINED = Task("t", "smalltalk", 1, "Sing!", "declined", (), metadata={"says": "I can't do that"})


@pytest.mark.parametrize(
    "answer", ["Answer: 1250", "So.\n\nAnswer: 1,250 pens", "1\n\n**Answer: 1250.0**", r"\boxed{1250}"]
)
def test_equal_values_are_right_however_they_are_written(answer: str) -> None:
    assert is_right(PENS, answer)


@pytest.mark.parametrize("answer", [None, "", "1250", "Answer: 125", "Answer: 1250 cups", "Answer: 1250\nAnswer: 1"])
def test_anything_else_is_wrong(answer: str | None) -> None:
    assert not is_right(PENS, answer)


def test_a_sentence_that_is_wanted_may_stand_anywhere_in_any_case() -> None:
    assert is_right(DECLINED, "Sorry, i can't do that: I am small.")
    assert not is_right(DECLINED, "I can do that.")
    assert not is_right(DECLINED, "I can't do thatch.")


# --- tasks that name their checker ------------------------------------------------------------------------------------


async def test_a_generated_task_is_graded_by_its_rule() -> None:
    assert await grade(PENS, ["Answer: 1250", None, "Answer: 1"]) == [True, False, False]


async def test_a_task_is_graded_by_the_checker_that_it_names() -> None:
    assert await grade(task_of(GSM8K), ["Answer: 1017 pens", r"\boxed{1,017.0}", "Answer: 17"]) == [True, True, False]
    assert await grade(task_of(MATH), ["Answer: 0.5", r"Answer: \frac{2}{4}", None]) == [True, True, False]
    assert await grade(task_of(MMLU), ["Answer: C", "Answer: B", "Answer: Venus"]) == [True, False, False]
    assert await grade(task_of(OWN), ["Answer: paris", "Answer: Rome"]) == [True, False]


async def test_tests_of_a_persons_own_are_run() -> None:
    tests = {"tests": ["assert add(2, 3) == 5"]}
    task = task_of({"question": "Write add(a, b).", "checker": "unit_tests", "metadata": tests})
    code = "```python\ndef add(a, b):\n    return a {} b\n```"
    assert await grade(task, [code.format("+"), code.format("-")]) == [True, False]


async def test_many_tasks_are_graded_in_order_and_each_is_reported() -> None:
    tasks, reports = [task_of(OWN), PENS, task_of(MMLU)], list[None]()
    answers = ["Answer: Paris", None, "Answer: C"]
    assert await graded(tasks, answers, lambda: reports.append(None)) == [True, False, True]
    assert len(reports) == 3


async def test_a_checker_that_cannot_work_makes_no_answer_wrong() -> None:
    task = replace(task_of(OWN), checker="nosuch")
    with pytest.raises(GradeError, match=r"own/[0-9a-f]{16} could not be graded: There is no verifier called 'nosuch'"):
        await grade(task, ["Answer: Paris"])
    untested = replace(task, checker="unit_tests")
    with pytest.raises(GradeError, match="could not be graded by unit_tests: The task has no tests"):
        await grade(untested, ["Answer: Paris"])


def test_the_rule_of_generated_tasks_does_not_grade_others() -> None:
    with pytest.raises(ValueError, match="graded by exact, through grade"):
        is_right(task_of(OWN), "Answer: Paris")
