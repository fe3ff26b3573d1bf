"""Charts of metrics in characters: what is highest stands highest, whatever the width and the numbers."""

import math

from hypothesis import given
from hypothesis import strategies as st

from tui.charts import HEIGHT, NARROWEST, charts, panel, resampled

numbers = st.floats(-1e30, 1e30) | st.sampled_from([math.nan, math.inf, -math.inf])


def heights(lines: list[str]) -> list[int]:
    """Of each column of dots, from the left, the height of its highest dot; -1 where it has none."""
    found = []
    for place in range(2 * len(lines[0])):
        bits = [(0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)][place % 2]
        dots = [ord(line[place // 2]) - 0x2800 & bit for line in lines for bit in bits]
        found.append(next((len(dots) - 1 - i for i, dot in enumerate(dots) if dot), -1))
    return found


def test_a_line_goes_from_the_least_to_the_greatest_value() -> None:
    title, *lines = panel("loss", [float(i) for i in range(500)], 30)
    assert title.rstrip() == "loss 499 (0 to 5e+02)"
    rising = heights(lines)
    assert rising == sorted(rising)
    assert (rising[0], rising[-1]) == (0, 4 * HEIGHT - 1)
    falling = heights(panel("loss", [1.0, 0.0], 20)[1:])
    assert falling == sorted(falling, reverse=True)
    assert (falling[0], falling[-1]) == (4 * HEIGHT - 1, 0)


def test_what_does_not_change_is_a_straight_line_and_what_is_no_number_none() -> None:
    assert set(heights(panel("clipped", [0.5] * 9, 10)[1:])) == {0}
    assert set(heights(panel("loss", [math.nan, math.inf], 10)[1:])) == {-1}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(2, 100))
def test_however_many_values_there_are_as_many_come_out_as_are_wanted(values: list[float], count: int) -> None:
    found = resampled(values, count)
    assert len(found) == count
    assert min(values) - 1e-6 <= min(found)
    assert max(found) <= max(values) + 1e-6
    assert resampled(values, len(values)) == values or len(values) < 2


@given(st.lists(st.fixed_dictionaries({"loss": numbers, "gradient_norm": numbers}), max_size=8), st.integers(0, 300))
def test_lines_fit_the_width_and_come_with_the_second_step(metrics: list[dict[str, float]], width: int) -> None:
    lines = charts(metrics, width)
    assert all(len(line) <= width for line in lines)
    assert bool(lines) == (len(metrics) > 1 and width >= NARROWEST)


def test_losses_and_rewards_come_first_and_what_only_counts_is_left_out() -> None:
    line = {"step": 1, "tokens": 3, "seconds": 2.0, "clipped": 0.1, "gradient_norm": 1.0, "reward": 0.5, "loss": 2.0}
    titles = charts([line, line], 2 * NARROWEST)[:: HEIGHT + 1]
    assert [title.split() for title in titles] == [
        ["loss", "2", "(2", "to", "2)", "reward", "0.5", "(0.5", "to", "0.5)"],
        ["gradient", "norm", "1", "(1", "to", "1)", "clipped", "0.1", "(0.1", "to", "0.1)"],
    ]
