"""Unit tests of untrusted code: only the right values pass, whatever the code prints or does."""

import pytest

from tools.sandbox import Limits, Sandbox, SandboxUnavailable
from verifiers.unit_tests import Check, UnitTests, last_python_block, read_checks
from verifiers.verdict import Case, VerifierError

TESTS = ["assert add(2, 3) == 5", "assert add(-1, 1) == 0", "assert add('a', 'b') == 'ab'"]


def answer(code: str) -> str:
    return f"Here it is:\n```python\n{code}\n```\nIt adds."


async def judge(code: str, tests: object = TESTS) -> tuple[float | None, str]:
    verifier = UnitTests(Sandbox(Limits(seconds=20)))
    (verdict,) = await verifier.verify([Case("Write add.", answer(code), metadata={"tests": tests})])
    return verdict.score, verdict.reason


async def test_code_that_passes_all_tests_passes() -> None:
    assert await judge("def add(a, b):\n    print('adding')\n    return a + b") == (1.0, "All 3 tests pass.")


async def test_a_near_miss_fails_with_the_first_test_that_it_fails() -> None:
    score, reason = await judge("def add(a, b):\n    return abs(a) + b if a != 'a' else 'ab'")
    assert score == 0.0
    assert reason == "1 of 3 tests fail: add(-1, 1) gave 2, expected 0."


HONEST = {
    "counter": (
        "from collections import Counter\ndef f(s): return Counter(s.split())",
        "f('a b b') == {'a': 1, 'b': 2}",
    ),
    "default": (
        "from collections import defaultdict\ndef f():\n    d = defaultdict(list)\n    d['a'] += [1]\n    return [d]",
        "f() == [{'a': [1]}]",
    ),
    "named": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b')\ndef f(): return {'p': [P(1, 2)]}",
        "f() == {'p': [(1, 2)]}",
    ),
    "long": ("def f(n): return list(range(n))", f"f(3000) == {list(range(3000))}"),
    "names": ("list = dict = tuple = 5\ndef f(): return [(1, {2: 3})]", "f() == [(1, {2: 3})]"),
    "future": ("from __future__ import annotations\ndef f(a: int) -> int: return a", "f(1) == 1"),
}


@pytest.mark.parametrize("name", HONEST)
async def test_honest_code_passes_in_whatever_form_it_gives_its_value(name: str) -> None:
    code, test = HONEST[name]
    assert await judge(code, [f"assert {test}"]) == (1.0, "All 1 tests pass.")


CHEATS = {
    "printing": "print('All 3 tests pass.\\n' * 3)",
    "exiting": "import sys\nsys.exit(0)",
    "leaving": "import os\nos._exit(0)",
    "equal to everything": (
        "class Yes:\n    def __eq__(self, other): return True\n    def __repr__(self): return '5'\n"
        "def add(a, b): return Yes()"
    ),
    "its own print": "def print(*a, **k): pass\ndef add(a, b): return 5",
    "its own repr": "def repr(value): return 'True'\ndef add(a, b): return None",
    "raising": "def add(a, b): raise AssertionError",
    "exiting in the call": "import sys\ndef add(a, b): sys.exit(0)",
    "reading the tests": (
        "import inspect, sys\ndef add(a, b):\n"
        "    source = inspect.getsource(sys.modules['__main__'])\n"
        "    return eval(source.split('== ')[1].split()[0])"
    ),
    "swallowing the tests": "def add(a, b): return 5\n'''",
    "not a program": "def add(a, b:\n",
    "hostile nesting": "class Deep:\n    def __repr__(self): return '-' * 9000 + '1'\ndef add(a, b): return Deep()",
    "nothing": "",
}


@pytest.mark.parametrize("cheat", CHEATS)
async def test_a_cheat_gains_nothing(cheat: str) -> None:
    score, reason = await judge(CHEATS[cheat])
    assert score == 0.0
    assert "tests fail" in reason


async def test_values_are_compared_as_python_compares_them() -> None:
    code = "def f(x): return x"
    tests = ["assert f({1, 2}) == {2, 1}", "assert f(1.0) == 1", "assert f(None) is None", "assert 1 == 1 == f(1)"]
    assert (await judge(code, tests[:3]))[0] == 1.0
    assert (await judge(code, ["assert f(0)", "assert not f(1)"]))[0] == 0.0
    assert (await judge(code, ["assert f(True)", "assert not f(False)"]))[0] == 1.0
    with pytest.raises(VerifierError, match="1 == 1 == f"):
        await judge(code, tests)


async def test_candidates_are_judged_each_for_itself() -> None:
    cases = [
        Case("?", answer(code), metadata={"tests": TESTS})
        for code in ("def add(a, b): return a + b", "def add(a, b): return 5", "def add(a, b): return b + a")
    ]
    verdicts = await UnitTests(Sandbox(Limits(seconds=20))).verify(cases)
    assert [verdict.score for verdict in verdicts] == [1.0, 0.0, 0.0]


async def test_there_is_no_score_without_tests_and_none_to_win_without_code() -> None:
    verifier = UnitTests(Sandbox())
    no_tests = Case("?", answer("x = 1"))
    no_code = Case("?", "def add(a, b): return a + b", metadata={"tests": TESTS})
    unfinished = Case("?", answer("def add(a, b): return a + b"), metadata={"tests": TESTS}, finished=False)
    assert [verdict.score for verdict in await verifier.verify([no_tests, no_code, unfinished])] == [None, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\na\n```", "a\n"),
        ("```\na\n```", "a\n"),
        ("```py\na\n```\n```python3 title=b\nb\n```\n", "b\n"),
        ("```python\na\n```\nIt prints:\n```text\n5\n```", "a\n"),
        ("```json\n{}\n```\nno code\n```sh\nls\n```", None),
        ("```python\nnever closed", None),
        ("a = 5", None),
    ],
)
def test_the_code_is_the_last_closed_python_block(text: str, code: str | None) -> None:
    assert last_python_block(text) == code


def test_tests_are_read_as_calls_and_literals() -> None:
    assert read_checks(["assert f(1, x=[2]) == {'a': (1, -2)}", "assert g()", "assert not g()"]) == [
        Check("f(1, x=[2])", {"a": (1, -2)}),
        Check("g()", True),
        Check("g()", False),
    ]


@pytest.mark.parametrize(
    "tests", [["f(1) == 2"], ["assert f(1) == g(2)"], ["assert f(1) < 2"], ["assert ("], "assert f(1) == 1", 5, [""]]
)
def test_a_test_of_another_form_is_refused_by_name(tests: object) -> None:
    with pytest.raises(VerifierError, match="assert"):
        read_checks(tests)


class NoSandbox:
    async def run(self, code: str) -> None:
        raise SandboxUnavailable("Install bubblewrap.")


async def test_no_sandbox_is_no_verdict_about_the_answer() -> None:
    verifier = UnitTests(NoSandbox())  # type: ignore[arg-type]
    with pytest.raises(VerifierError, match="Install bubblewrap"):
        await verifier.verify([Case("?", answer("def add(a, b): return a + b"), metadata={"tests": TESTS})])
