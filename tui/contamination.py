"""What ``ponder eval --contamination`` finds, and how it is shown: beside the results, never in place of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl.contamination import Overlap
    from rl.evaluate import Suite
    from rl.results import Result

WORST = 5  # questions that are listed
SHOWN = 80  # characters of each


def overlaps_with(data: str, suites: Sequence[Suite]) -> list[Overlap]:
    """Of every question that is asked, how much of it is in the training text ``data``."""
    from functools import partial

    from rl.contamination import Finder, read_training
    from tui.progress import bar

    finder = Finder(task for suite in suites for task in suite.tasks)
    with bar() as draw:
        read_training(data, finder, partial(draw, label=f"reading {data}"))
    return finder.overlaps()


def summary(data: str, overlaps: Sequence[Overlap], results: Sequence[Result]) -> dict[str, Any]:
    """Plain values, for JSON."""
    from dataclasses import asdict

    from rl.contamination import parted

    dirty = [each for each in overlaps if each.share]
    rows = []
    for result in results:
        overlapping, clean = (part.summary() if part.outcomes else None for part in parted(result, overlaps))
        rows.append({"overlapping": overlapping, "clean": clean})
    share = len(dirty) / len(overlaps) if overlaps else 0.0
    return {
        "training": data, "questions": len(overlaps), "overlapping": len(dirty), "share": share,
        "worst": [asdict(each) for each in dirty[:WORST]], "results": rows,
    }  # fmt: skip


def section(data: str, overlaps: Sequence[Overlap], results: Sequence[Result]) -> str:
    """Markdown."""
    from rl.contamination import parted
    from tui.printer import printable

    dirty = [each for each in overlaps if each.share]
    share = len(dirty) / max(1, len(overlaps))
    lines = [f"{len(dirty)} of {len(overlaps)} questions ({share:.3f}) overlap with {printable(data)}.", ""]
    if not dirty:
        return lines[0]
    told = [name for name in ("prompt", "perturbed") if any(getattr(result, name) for result in results)]
    names = ["suite", "tier", *told, "effort", "strategy"]
    columns = [*names, "overlapping", "accuracy (95 %)", "others", "accuracy (95 %)"]
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for result in results:
        cells = [getattr(result, name) for name in names]
        cells += [cell for part in parted(result, overlaps) for cell in (part.questions, accuracy(part))]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "| most of it found | first in | question |", "|---|---|---|"]
    for each in dirty[:WORST]:
        text = printable(" ".join(each.text.split())[:SHOWN]).replace("|", "\\|")
        lines.append(f"| {each.share:.3f} | {printable(each.where)} | {text} |")
    return "\n".join(lines)


def accuracy(result: Result) -> str:
    low, high = result.interval
    return f"{result.accuracy:.3f} ({low:.3f} to {high:.3f})" if result.outcomes else "-"
