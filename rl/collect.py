"""Fresh attempts for a training, made as users' are: through ``run``, with an effort, into the log.

A training from the log needs none of it; ``ponder collect`` asks, and so does ``ponder train grpo --collect``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from agent.assemble import assemble, open_encoder
from agent.effort import Effort
from agent.settings import Settings
from rl.evaluate import Harness, Report, ask_all
from rl.tasks.task import Task


@asynccontextmanager
async def asking(
    settings: Settings, concurrent: int = 16, reference_share: float | None = None
) -> AsyncIterator[Harness]:
    """Who is asked: the settings' agent, and as many runs drawn whole as they say, where nothing else is said."""
    async with assemble(settings) as agent:
        share = settings.reference_share if reference_share is None else reference_share
        yield Harness(replace(agent, checkpointer=None), open_encoder(settings), concurrent, share)


async def collect(harness: Harness, tasks: Sequence[Task], effort: Effort, report: Report) -> list[str]:
    """The runs' ids, in the order of the tasks. A run that the log has already is not made again.

    Raises ``EvaluationError`` where the model could not be asked.
    """
    return [run.run_id for run in await ask_all(harness, tasks, effort, report)]
