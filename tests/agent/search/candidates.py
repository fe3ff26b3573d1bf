"""Candidates as a test writes them."""

from agent.records import Ending
from agent.search.strategy import Candidate


def answered(*answers: str | None, scores: tuple[float | None, ...] = ()) -> list[Candidate]:
    """Candidates 0, 1, ... with these answers; None came to none."""
    scores = scores or (None,) * len(answers)
    return [
        Candidate((i,), Ending.EMPTY if answer is None else Ending.ANSWER, answer, score, start=(i,))
        for i, (answer, score) in enumerate(zip(answers, scores, strict=True))
    ]
