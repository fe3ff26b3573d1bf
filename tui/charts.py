"""Line charts of a training's metrics in characters of braille, as its commands show them under their bar.

A pure function of metrics and width; ``tui.progress`` draws what it gives. Textual's ``Sparkline`` fills the area below
its values, has colours that mean good and bad, and fails on a loss that is no number. ``training.png`` is the picture
to keep.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

HEIGHT = 4  # lines of a panel, without its title
NARROWEST, ROWS = 36, 2  # columns of a panel; rows of panels
FIRST = ("loss", "reward", "accura", "margin", "norm", "kl")  # which come first, by a part of their names
NEVER = ("step", "tokens", "new_tokens", "seconds", "epoch", "learning_rate")
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a character's two columns, from the top


def charts(metrics: Sequence[Mapping[str, float]], width: int) -> list[str]:
    """Lines of at most ``width`` characters: a panel for each metric of the last step, as far as there is room.

    Nothing before there are two steps. A panel's title has the last value, and the least and the greatest.
    """
    if len(metrics) < 2 or width < NARROWEST:
        return []
    columns = width // NARROWEST
    names = sorted(metrics[-1].keys() - {*NEVER}, key=lambda name: (rank(name), name))[: ROWS * columns]
    size = width // columns - 2
    panels = [panel(name, [line.get(name, math.nan) for line in metrics], size) for name in names]
    rows = (panels[start : start + columns] for start in range(0, len(panels), columns))
    return ["  ".join(parts).rstrip() for row in rows for parts in zip(*row, strict=True)]


def rank(name: str) -> int:
    return next((place for place, part in enumerate(FIRST) if part in name), len(FIRST))


def panel(name: str, values: Sequence[float], width: int) -> list[str]:
    """A title and ``HEIGHT`` lines of so many characters; values that are no number are left out."""
    known = [value for value in values if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    title = f"{name.replace('_', ' ')} {values[-1]:.3g} ({low:.2g} to {high:.2g})"
    return [title[:width].ljust(width), *line_of(resampled(known, 2 * width), low, high, width)]


def resampled(values: Sequence[float], count: int) -> list[float]:
    """So many: means of neighbours where there are more, else the line between the values."""
    if len(values) > count:
        ends = [place * len(values) // count for place in range(count + 1)]
        return [sum(values[a:b]) / (b - a) for a, b in pairwise(ends)]
    if len(values) < 2:
        return [*values] * count
    found = []
    for place in range(count):
        left, share = divmod(place * (len(values) - 1), count - 1)
        right = values[min(left + 1, len(values) - 1)]
        found.append(values[left] + (right - values[left]) * share / (count - 1))
    return found


def line_of(heights: Sequence[float], low: float, high: float, width: int) -> list[str]:
    """The line through two heights a character, without gaps, in ``HEIGHT`` lines."""
    cells, top = [[0x2800] * width for _ in range(HEIGHT)], 4 * HEIGHT - 1
    dots = [round((value - low) / ((high - low) or 1.0) * top) for value in heights]
    for place, (before, dot) in enumerate(zip(dots[:1] + dots, dots, strict=False)):
        step = 1 if dot > before else -1
        for y in {dot, *range(before + step, dot, step)} if dot != before else {dot}:
            cells[(top - y) // 4][place // 2] |= DOTS[place % 2][(top - y) % 4]
    return ["".join(map(chr, row)) for row in cells]
