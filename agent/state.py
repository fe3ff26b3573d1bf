"""What LangGraph's checkpoints hold: ids and small values only. The log is the truth about what was sampled."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Annotated, TypedDict

from agent.records import Ending, Path
from agent.search.strategy import Grow


class Growth(TypedDict):
    """One child of a ``Grow``."""

    start: list[int]  # the path of its first node
    to: str  # where it ends: ``strategy.To``
    bridge: str  # what stands before its first node
    most: int | None  # tokens that its first node may have, where that is less than the budget's


class AttemptState(TypedDict):
    """One growth on its way: the node at its start + (0, 0, ...), ``steps`` nodes in all, is its last."""

    growth: Growth  # one key for what never changes: LangGraph looks at each key at each step
    steps: int
    repairs: int
    retries: int  # steps that broke off half way
    tokens: int  # sampled so far
    ending: str  # of the last node; "" before the first; OVER, ACTED or AGAIN where something else decides what follows
    limit: str  # of the budget, that it ran into; "" where it has not
    failure: str  # why the policy could not go on, in a sentence; "" where it could


class Ended(TypedDict):
    """A growth that has ended."""

    start: list[int]
    end: list[int]  # the path of its last node; [] where there is none


class RunState(TypedDict):
    """The whole run."""

    ended: Annotated[list[Ended], operator.add]
    failures: Annotated[list[str], operator.add]  # one sentence for each attempt that the policy failed
    limits: Annotated[dict[str, str], operator.or_]  # that were run into, by ``key``; of the whole run under RUN
    wave: list[AttemptState]  # what to grow next
    chosen: list[int] | None


OVER = "over"  # the budget allows no further step
ACTED = "acted"  # its calls have been made, and it ends there
AGAIN = "again"  # the last step broke off, and is asked for again
RUN = "run"
REPAIRABLE = frozenset({Ending.EMPTY, Ending.UNCLOSED_THOUGHT, Ending.BAD_CALL})


def growths(plan: Sequence[Grow], ended: Sequence[Ended]) -> list[AttemptState]:
    """Each child that is to be grown, before its first step. Children are numbered on from those that there are."""
    states: list[AttemptState] = []
    for grow in plan:
        paths = [*(each["end"] or each["start"] for each in ended), *(state["growth"]["start"] for state in states)]
        first = next_child(grow.parent, paths)
        states += [attempt_state((*grow.parent, first + i), grow) for i in range(grow.count)]
    return states


def next_child(parent: Path, paths: Sequence[Sequence[int]]) -> int:
    """One more than the highest child of ``parent`` that one of these paths goes through."""
    depth = len(parent)
    return max((path[depth] + 1 for path in paths if len(path) > depth and tuple(path[:depth]) == parent), default=0)


def attempt_state(start: Path, grow: Grow) -> AttemptState:
    growth = Growth(start=list(start), to=grow.to, bridge=grow.bridge, most=grow.tokens)
    return AttemptState(growth=growth, steps=0, repairs=0, retries=0, tokens=0, ending="", limit="", failure="")


def path_of(start: Sequence[int], steps: int) -> Path:
    """The path of a growth's node number ``steps`` (1 is its first)."""
    return (*start, *([0] * (steps - 1)))


def key(path: Sequence[int]) -> str:
    """A path as the key of a JSON object."""
    return ".".join(map(str, path))
