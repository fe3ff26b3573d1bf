"""What LangGraph's checkpoints hold: ids and small values only. The log is the truth about what was sampled."""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from agent.records import Ending, Path


class AttemptState(TypedDict):
    """One attempt on its way: the node at (candidate, 0, 0, ...) of length ``steps`` is its last."""

    candidate: int
    steps: int
    repairs: int
    retries: int  # steps that broke off half way
    tokens: int  # sampled so far
    passages: int  # found so far: citations number on from there
    ending: str  # of the last node; "" before the first, OVER or AGAIN where something else decides what follows
    limit: str  # of the budget, that it ran into; "" where it has not
    failure: str  # why the policy could not go on, in a sentence; "" where it could


class RunState(TypedDict):
    """The whole run."""

    finished: Annotated[list[int], operator.add]  # candidates whose attempt has ended
    failures: Annotated[list[str], operator.add]  # one sentence for each attempt that the policy failed
    limits: Annotated[dict[str, str], operator.or_]  # that were run into, by candidate; of the whole run under RUN
    wave: int  # how many attempts to make next
    chosen: list[int] | None


OVER = "over"  # the budget allows no further step
AGAIN = "again"  # the last step broke off, and is asked for again
RUN = "run"
REPAIRABLE = frozenset({Ending.EMPTY, Ending.UNCLOSED_THOUGHT, Ending.BAD_CALL})


def attempt_state(candidate: int) -> AttemptState:
    """Before its first step."""
    return AttemptState(
        candidate=candidate, steps=0, repairs=0, retries=0, tokens=0, passages=0, ending="", limit="", failure=""
    )


def path_of(candidate: int, steps: int) -> Path:
    """The path of a candidate's step number ``steps`` (1 is its first)."""
    return (candidate, *([0] * (steps - 1)))
