"""A thread that is longer than half of the context goes on from a summary of its beginning.

The summary is a run of the thread like any other: the model is asked for it, its tokens are in the log, and it is
deleted with what it sums up. It is made once: the next questions go on from it, until the thread is too long again;
then it and what came after it are summed up together. Where no summary comes of it, the beginning is left out.
``opening`` reads what there is of a thread; ``run`` asks for what is wanted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.context import Agent
from agent.opening import exchange, fitting, messages_of, said_before
from agent.prompting import PROMPTS
from agent.records import Run

WORDS = 0.5  # of a summary for each token that it may have


@dataclass(frozen=True, slots=True)
class Wanted:
    """A summary that is to be asked for."""

    question: str
    messages: tuple[Mapping[str, Any], ...]  # the conversation that ends with it
    covers: list[str]  # the runs that it will cover


def wanted_summary(agent: Agent, run: Run, kept: int) -> Wanted | None:
    """Of the thread before ``run``, of which the ``kept`` newest turns fit; None: nothing is left to sum up.

    A summary has room for an eighth of the context, and as much as fits an eighth stays as it was said: the next
    questions are not to need another one. What is too long to be read at once is summed up in parts.
    """
    said, length = said_before(agent, run), agent.policy.context_length
    alone = len(agent.policy.renderer.start(messages_of(agent, run, ()), agent.toolbox.schemas()))
    stay = min(kept, fitting(agent, said.runs, min(length // 8, length // 2 - length // 8 - alone)))
    oldest = said.runs[stay:][::-1]
    begun = [said.summary] if said.summary else []
    covered = oldest[: max(1, fitting(agent, [*begun, *oldest], length // 2) - len(begun))]
    if not covered:
        return None
    question = (PROMPTS / "summary.txt").read_text().strip().format(words=int(WORDS * length / 8))
    messages = [message for past in (*begun, *covered) for message in exchange(past)]
    covers = [*said.covered, *(each.run_id for each in covered)]
    return Wanted(question, (*messages, {"role": "user", "content": question}), covers)
