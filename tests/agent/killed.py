"""What the processes do that ``test_resume`` kills. All their imports are here, so that they are made once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import langgraph.checkpoint.sqlite.aio

import agent.policy.embedded
import verifiers.registry
from agent.assemble import assemble
from agent.run import resume, stream
from agent.search.attempts import BestOfN
from agent.settings import Settings
from tests.agent.scripted import heard, how

LATER = (agent.policy.embedded, langgraph.checkpoint.sqlite.aio, verifiers.registry)  # what ``assemble`` will import
QUESTION = "How many pens?"
ASKED = how(BestOfN(8), sample_tokens=300)


def go_on(home: Path, model_folder: Path) -> None:
    """Ask the question in ``home``, or resume its run where that is under way."""
    asyncio.run(_go_on(Settings(home=home, model=str(model_folder))))


async def _go_on(settings: Settings) -> None:
    async with assemble(settings) as agent:
        begun = agent.store.runs()
        if not begun:
            await heard(stream(agent, QUESTION, ASKED))
        elif begun[0].status == "running":
            await heard(resume(agent, begun[0].run_id))
