"""The door: verifiers by name or from outside, and a panel of them at work."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from verifiers.registry import judge, load
from verifiers.verdict import Case, Verdict, Verifier, VerifierError

CASES = [Case("How many pens?", "Answer: 75", gold="75"), Case("How many pens?", "Answer: 84", gold="75")]


class Scripted:
    """Gives the score it was made with, or fails as it was told."""

    def __init__(
        self, name: str, score: float = 1.0, error: Exception | None = None, too_many: int = 0, says: str = ""
    ) -> None:
        self.name = name
        self._says = says or name
        self._score, self._error, self._too_many = score, error, too_many

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        if self._error:
            raise self._error
        return [Verdict(self._says, self._score) for _ in range(len(cases) + self._too_many)]


class Stuck:
    name = "stuck"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize(
    "name", ["exact", "math", "choice", "format", "grounding", "json_schema", "unit_tests", "consensus"]
)
async def test_a_verifier_is_found_by_the_name_that_its_verdicts_carry(name: str) -> None:
    verifier = load(name)
    assert verifier.name == name
    assert await verifier.verify([]) == []


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's own with a class, a function, an instance, and things that are no verifier."""
    (tmp_path / "my_verifiers.py").write_text(
        "from verifiers.verdict import Verdict\n"
        "class Mine:\n"
        "    name = 'mine'\n"
        "    async def verify(self, cases):\n"
        "        return [Verdict('mine', 0.5) for _ in cases]\n"
        "def make(): return Mine()\n"
        "ready = Mine()\n"
        "number = 5\n"
        "class Nameless:\n"
        "    async def verify(self, cases): return []\n"
    )
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ponder.verifiers]\nmy_own = my_verifiers:Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "my_verifiers"


@pytest.mark.parametrize("spec", ["my_verifiers:Mine", "my_verifiers:make", "my_verifiers:ready", "my_own"])
async def test_a_users_own_verifier_works_like_the_built_in_ones(module: str, spec: str) -> None:
    assert [verdict.score for verdict in await load(spec).verify(CASES)] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing", r"no verifier called 'nothing'; take one of exact, math.* judge, judge_pointwise, process_reward"),
        ("no_such_module:thing", "cannot be loaded"),
        ("my_verifiers:missing", "cannot be loaded"),
        ("my_verifiers:number", "cannot be loaded"),
        ("my_verifiers:Nameless", "is no verifier"),
        (":", "cannot be loaded"),
    ],
)
def test_what_cannot_be_used_says_why(module: str, spec: str, message: str) -> None:
    with pytest.raises(VerifierError, match=message):
        load(spec)


async def test_a_panel_gives_each_case_a_verdict_of_each_verifier_in_order() -> None:
    panel: list[Verifier] = [load("exact"), load("consensus"), Scripted("mine", 0.25)]
    judged = await judge(panel, CASES)
    assert [[(verdict.verifier, verdict.score) for verdict in of_case] for of_case in judged] == [
        [("exact", 1.0), ("consensus", 0.5), ("mine", 0.25)],
        [("exact", 0.0), ("consensus", 0.5), ("mine", 0.25)],
    ]
    assert await judge([], CASES) == [(), ()]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (Scripted("broken", error=ZeroDivisionError("oops")), "ZeroDivisionError: oops"),
        (Scripted("broken", error=VerifierError("Install it.")), "Install it."),
        (Scripted("broken", too_many=1), "3 verdicts for 2 candidates"),
        (Scripted("broken", says="consensus"), "something else than verdicts in its own name"),
        (Stuck(), "longer than 0.05 s"),
    ],
)
async def test_a_broken_verifier_costs_only_its_own_score(broken: Verifier, reason: str) -> None:
    judged = await judge([Scripted("good"), broken], CASES, deadline_seconds=0.05)
    for good, bad in judged:
        assert good.score == 1.0
        assert bad.score is None
        assert reason in bad.reason


async def test_cancelling_a_panel_is_not_a_verdict() -> None:
    task = asyncio.create_task(judge([Stuck()], CASES))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
