"""HumanEval (Chen et al. 2021): ``prompt`` (a function without its body), ``entry_point``, ``test``.

Where every statement of the test's ``check`` compares a call with a literal, they become lines for
``verifiers.unit_tests``, and what they expect never enters the sandbox. Any other test (a loop, a tolerance, a helper)
is run there beside the code, as HumanEval's own harness does. ``rl.suites.function_tests`` does both.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from rl.suites.row import Row, RowError, task_from, text
from rl.tasks.task import Task
from verifiers.unit_tests import read_checks
from verifiers.verdict import VerifierError

NAME = "humaneval"
ASK = "Complete this Python function. Give the whole function in one Python code block."


class OtherForm(Exception):
    """A test that is more than comparing calls with literals."""


def fits(row: Row) -> bool:
    return {"prompt", "entry_point", "test"} <= row.keys()


def read(row: Row) -> Task:
    prompt, name, test = text(row, "prompt"), text(row, "entry_point"), text(row, "test")
    begins = [match.start() for match in re.finditer(rf"^(?:async )?def {re.escape(name)}\b", prompt, re.MULTILINE)]
    if not begins:
        raise RowError(f"has a prompt without `def {name[:40]}`")
    metadata: dict[str, object] = {"before": prompt[: begins[-1]], "as_published": prompt}
    check = check_of(test)
    try:
        metadata["tests"] = tuple(lines(check, name))
    except OtherForm:
        metadata["program"] = f"{test}\n\ncheck({name})\n"
    question = f"{ASK}\n\n```python\n{prompt.rstrip()}\n```"
    return task_from(NAME, row, question, str(row.get("canonical_solution", "")), "function_tests", metadata=metadata)


def check_of(test: str) -> ast.FunctionDef:
    """Raises ``RowError`` where there is none, or several."""
    try:
        found = [each for each in ast.parse(test).body if isinstance(each, ast.FunctionDef) and each.name == "check"]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError("has a test that is no Python") from error
    if len(found) != 1 or len(found[0].args.args) != 1:
        raise RowError("has a test without one `def check(candidate)`")
    return found[0]


def lines(check: ast.FunctionDef, name: str) -> Iterator[str]:
    """``assert name(...) == literal`` for each comparison. Raises ``OtherForm``, also where there is none."""
    comparisons = [statement for statement in check.body if not says_nothing(statement)]
    if not comparisons:
        raise OtherForm
    for statement in comparisons:
        yield line(statement, check.args.args[0].arg, name)


def says_nothing(statement: ast.stmt) -> bool:
    """``pass``, a text, and ``assert True``, of which HumanEval has many."""
    value = statement.test if isinstance(statement, ast.Assert) else getattr(statement, "value", None)
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr | ast.Assert) and isinstance(value, ast.Constant) and bool(value.value)
    )


def line(statement: ast.stmt, candidate: str, name: str) -> str:
    if not (isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Compare)):
        raise OtherForm
    for node in ast.walk(statement.test):
        if isinstance(node, ast.Name) and node.id == candidate:
            node.id = name
        elif isinstance(node, ast.Name) and not hasattr(builtins, node.id):
            raise OtherForm  # a name of the test's own
    written = f"assert {ast.unparse(statement.test)}"
    try:
        read_checks([written])
    except VerifierError as error:
        raise OtherForm from error
    return written
