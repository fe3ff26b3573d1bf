"""Code that is run against its task's tests, in the sandbox."""

from typing import Any

import pytest

from rl.grade import grade
from rl.suites.formats import task_of
from tests.rl.suites.rows import HELPED, HUMANEVAL, TOLERANT, function


@pytest.mark.parametrize("row", [HUMANEVAL, TOLERANT, HELPED])
async def test_the_canonical_solution_passes_and_another_does_not(row: dict[str, Any]) -> None:
    right = function(row)
    wrong = right.replace(row["canonical_solution"], "    return None\n")
    assert await grade(task_of(row), [right, wrong, "I do not know.", None]) == [True, False, False, False]


@pytest.mark.parametrize("row", [HUMANEVAL, TOLERANT])
async def test_ending_before_the_tests_is_not_passing_them(row: dict[str, Any]) -> None:
    code = f"```python\nimport sys\n\ndef {row['entry_point']}(x):\n    sys.exit(0)\n```"
    assert await grade(task_of(row), [code]) == [False]
