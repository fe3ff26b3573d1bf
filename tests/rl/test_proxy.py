"""Gold against proxy: what the best-scored of N attempts is, without bias."""

from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.proxy import best_of

ATTEMPTS = st.lists(st.tuples(st.sampled_from([None, 0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=1, max_size=7)


@given(ATTEMPTS, st.data())
def test_it_is_the_mean_over_every_choice_of_n(attempts: list[tuple[float | None, bool]], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(attempts)))
    scores, right = [score for score, _ in attempts], [right for _, right in attempts]

    def first_best(chosen: tuple[int, ...]) -> int:
        return max(chosen, key=lambda i: (-1.0 if scores[i] is None else scores[i], -i))

    winners = [first_best(chosen) for chosen in combinations(range(len(attempts)), n)]
    gold, proxy = best_of(scores, right, n)
    assert gold == pytest.approx(mean(right[i] for i in winners))
    assert proxy == pytest.approx(mean(scores[i] or 0.0 for i in winners))


def test_a_verifier_that_knows_finds_the_right_one_and_one_that_is_misled_never_does() -> None:
    right = [False, True, False, False]
    assert best_of([0.1, 0.9, 0.2, 0.3], right, 4) == (1.0, 0.9)
    assert best_of([0.8, 0.1, 0.9, 0.3], right, 4) == (0.0, 0.9)


def test_of_one_it_is_the_mean_of_all() -> None:
    gold, proxy = best_of([0.0, 1.0, 0.5, 0.5], [False, True, False, True], 1)
    assert (gold, proxy) == (0.5, 0.5)
