"""How overlaps are shown beside the results."""

from rl.contamination import Overlap
from rl.results import Outcome, Result
from tui.contamination import section

OVERLAPS = [Overlap("a", "Why?", 1.0, "x:1"), Overlap("b", "How?", 0.0, "")]


def row(prompt: str = "", perturbed: str = "") -> Result:
    outcomes = (Outcome("a", 1.0, 10.0, 1.0), Outcome("b", 0.0, 10.0, 1.0))
    return Result("own", 0, "low", "single", outcomes, prompt=prompt, perturbed=perturbed)


def heads(*results: Result) -> tuple[list[str], list[list[str]]]:
    """The columns that tell rows apart, and what each row has there."""
    lines = [line.strip("| ").split(" | ") for line in section("x", OVERLAPS, results).splitlines()[2:]]
    names = lines[0].index("overlapping")
    return lines[0][:names], [line[:names] for line in lines[2 : 2 + len(results)]]


def test_rows_of_other_prompts_and_versions_are_told_apart() -> None:
    assert heads(row()) == (["suite", "tier", "effort", "strategy"], [["own", "0", "low", "single"]])
    names, rows = heads(row("plain", "original"), row("plain", "names"), row("terse", "original"))
    assert names == ["suite", "tier", "prompt", "perturbed", "effort", "strategy"]
    assert [each[2:4] for each in rows] == [["plain", "original"], ["plain", "names"], ["terse", "original"]]
