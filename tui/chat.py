"""A plain conversation, line by line. The terminal app is its own thing; this one works everywhere."""

from __future__ import annotations

import asyncio
import io
import sys
import uuid
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from agent.assemble import assemble
from agent.errors import QuestionError
from agent.events import Finished
from agent.run import Ask, asked_by, stream
from tui.asking import AtTerminal, somebody_is_here
from tui.printer import Printer
from tui.progress import loading

if TYPE_CHECKING:
    from agent.context import Agent
    from agent.effort import Effort
    from agent.settings import Settings


async def assembled(settings: Settings, stack: AsyncExitStack) -> Agent:
    """The agent, until the stack closes it."""
    with loading():
        return await stack.enter_async_context(assemble(settings))


def talk(settings: Settings, effort: Effort) -> None:
    """Ask what is typed, in one thread, until an empty line or the end of input.

    Ctrl-C stops the answer at hand and the conversation goes on; at the prompt it ends it. Lines are read outside the
    event loop, because nothing could interrupt a thread that waits for one.
    """
    console = Console(highlight=False, soft_wrap=True)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a byte that is no text must not end the conversation
    how = asked_by(settings, effort, uuid.uuid4().hex[:12])
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        agent = runner.run(assembled(settings, stack))
        try:
            greeting = f"Ponder, {agent.policy.version}, effort {effort.name}. An empty line ends it."
            console.print(greeting, style="dim", markup=False)
            while question := read_line(console).strip():
                try:
                    runner.run(turn(agent, question, how, console))
                except QuestionError as error:
                    console.print(str(error), style="yellow", markup=False)
                except KeyboardInterrupt:
                    console.print("Stopped; what was produced is in the log.", style="yellow")
        finally:
            runner.run(stack.aclose())


async def turn(agent: Agent, question: str, how: Ask, console: Console) -> None:
    """One question and its answer."""
    printer = Printer(console)
    asker = AtTerminal(printer) if somebody_is_here() else None
    async with aclosing(stream(agent, question, replace(how, approver=asker))) as events:
        async for event in events:
            if isinstance(event, Finished):
                printer.ending(event.run)
            else:
                printer.show(event)


def read_line(console: Console) -> str:
    try:
        return console.input("\n> ", markup=False)
    except EOFError:
        return ""
