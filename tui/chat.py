"""A plain conversation, line by line. The terminal app is its own thing; this one works everywhere."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from rich.console import Console

from agent.assemble import assemble
from agent.events import Finished
from agent.run import Ask, QuestionError, stream
from tui.printer import Printer

if TYPE_CHECKING:
    from agent.context import Agent
    from agent.effort import Effort
    from agent.settings import Settings


async def talk(settings: Settings, effort: Effort) -> None:
    """Ask what is typed, in one thread, until an empty line or the end of input. Ctrl-C stops the answer at hand."""
    console = Console(highlight=False, soft_wrap=True)
    thread: str | None = None
    async with assemble(settings) as agent:
        console.print(
            f"Ponder, {agent.policy.version}, effort {effort.name}. An empty line ends it.", style="dim", markup=False
        )
        while question := (await asyncio.to_thread(read_line, console)).strip():
            try:
                thread = await turn(agent, question, Ask(effort, thread), console)
            except QuestionError as error:
                console.print(str(error), style="yellow", markup=False)


async def turn(agent: Agent, question: str, how: Ask, console: Console) -> str | None:
    """One question and its answer; the thread it belongs to."""
    printer, thread = Printer(console), how.thread_id
    async with aclosing(stream(agent, question, how)) as events:
        async for event in events:
            printer.show(event)
            if isinstance(event, Finished):
                thread = event.run.thread_id
                printer.ending(event.run)
    return thread


def read_line(console: Console) -> str:
    try:
        return console.input("\n› ", markup=False)
    except EOFError:
        return ""
