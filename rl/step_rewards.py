"""What a process reward model says of each step of a logged attempt, and at which of its tokens the steps end.

Nothing is sampled here: ``ponder train grpo --step-weight`` reads the log again with a model that judges steps, and
``advantage.step_advantages`` says what a token gets of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.graph import case_of, steps_of
from agent.policy.reading import Splitter
from agent.policy.renderer import Renderer
from agent.records import Ending, Node, Run
from rl.groups import StepRewards
from verifiers.verdict import Verifier


@dataclass(frozen=True, slots=True)
class StepJudge:
    """Who says how good steps are, and how the log's tokens are read."""

    verifier: Verifier  # whose verdicts have ``steps``
    renderer: Renderer  # of the model that drew the samples
    delimiter: str  # what ends a step inside a thought


async def step_rewards_of(run: Run, by: StepJudge) -> StepRewards:
    """By the path of a node: after how many of its sampled tokens each of its steps ends, and how likely it is right.

    A node of which nothing was said is left out. A step is judged by what stands before it, so that the first attempt
    through a node speaks for the others.
    """
    attempts = run.trajectories()
    verdicts = await by.verifier.verify([case_of(run.question, attempt, by.delimiter) for attempt in attempts])
    found = dict[tuple[int, ...], tuple[tuple[int, float], ...]]()
    for attempt, verdict in zip(attempts, verdicts, strict=True):
        if verdict.score is None:
            continue
        scores = iter(verdict.steps)
        for node, ends in zip(attempt, ends_of(attempt, by.renderer, by.delimiter), strict=True):
            judged = tuple((end, next(scores)) for end in ends)
            found.setdefault(node.path, judged)
    return found


def ends_of(attempt: Sequence[Node], renderer: Renderer, delimiter: str) -> Iterator[list[int]]:
    """Of each node: after how many of its tokens each of its steps (``steps_of``) ends, in their order.

    Calls and the answer end with the node.
    """
    turn: list[int] = []  # what a node goes on with, where the one before it ended inside the thought
    for node in attempt:
        count = len(steps_of([node], delimiter))
        thought = thought_ends(node.sample.token_ids, renderer.splitter(turn), delimiter)
        last = len(node.sample.token_ids)
        yield [*thought[:count], *[last] * (count - len(thought))]
        turn = [*turn, *node.sample.token_ids] if node.ending is Ending.STEP else []


def thought_ends(token_ids: Sequence[int], splitter: Splitter, delimiter: str) -> list[int]:
    """After how many tokens each step of the thought ends; blank ones are none."""
    ends: list[int] = []
    begun, seen = "", 0  # the step under way, and the tokens up to its last text
    for place, token in enumerate(token_ids, 1):
        for kind, piece in splitter.feed([token]):
            if kind == "thought":
                *whole, begun = f"{begun}{piece}".split(delimiter)
                ends += [place] * sum(bool(step.strip()) for step in whole)
                seen = place
    rest = "".join(piece for kind, piece in splitter.finish() if kind == "thought")
    return [*ends, len(token_ids) if rest else seen] if (begun + rest).strip() else ends
