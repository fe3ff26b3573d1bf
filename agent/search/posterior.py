"""How likely the answer that leads a vote goes on leading it. Pure functions of counts."""

from __future__ import annotations

import math


def leader_stays(first: int, second: int, left: int | None = None) -> float:
    """The probability that the leader of two answers still leads when ``left`` more votes for either have come.

    With ``left`` None, when endlessly many have: P(p > 1/2) for the leader's share p ~ Beta(first + 1, second + 1), as
    in Adaptive-Consistency (Aggarwal et al. 2023). Else the leader's further votes are beta-binomial, and a draw at the
    end counts half: nobody knows yet of which answer the model will have been surer.
    """
    if left is None:  # for whole numbers, a tail of a binomial distribution: sum_{j <= first} C(m, j) / 2^m
        m = first + second + 1
        return sum(math.comb(m, j) for j in range(first + 1)) / 2**m
    leads = {
        k: first + k - (second + left - k) for k in range(left + 1)
    }  # at the end, with k more votes for the leader
    share = {k: 1.0 if lead > 0 else 0.5 for k, lead in leads.items() if lead >= 0}
    return min(1.0, math.fsum(share[k] * _beta_binomial(k, left, first + 1, second + 1) for k in share))


def _beta_binomial(k: int, n: int, a: int, b: int) -> float:
    """The probability of ``k`` of ``n`` for a share that is Beta(a, b), a and b whole numbers."""
    return math.comb(k + a - 1, k) * math.comb(n - k + b - 1, n - k) / math.comb(n + a + b - 1, n)
