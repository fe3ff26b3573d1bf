"""What LangGraph's checkpoints hold: ids and small values only. The log is the truth about what was sampled."""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from agent.records import Ending, Path


class AttemptState(TypedDict):
    """One candidate on its way: the node at (candidate, 0, 0, ...) of length ``steps`` is its last."""

    candidate: int
    steps: int
    repairs: int
    ending: str  # of the last node; "" before the first, "over" where the budget allows no further step


class RunState(TypedDict):
    """The whole run."""

    finished: Annotated[list[int], operator.add]  # candidates whose attempt has ended
    failures: Annotated[list[str], operator.add]  # one sentence for each attempt that the policy failed
    wave: int  # how many attempts to make next
    chosen: list[int] | None


OVER = "over"
REPAIRABLE = frozenset({Ending.EMPTY, Ending.UNCLOSED_THOUGHT, Ending.BAD_CALL})


def path_of(candidate: int, steps: int) -> Path:
    """The path of a candidate's step number ``steps`` (1 is its first)."""
    return (candidate, *([0] * (steps - 1)))
