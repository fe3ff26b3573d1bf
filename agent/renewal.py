"""An agent that stays open for long, brought up to date: documents that were indexed, a version that was promoted.

Runs under way keep what they began with; the next one takes what is there. A served model looks after its versions by
itself (``policy.served``). For doors, which ask ``now`` before each question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.assemble import assemble, index_folder, own_policy, own_tools
from agent.policy.embedded import EmbeddedPolicy

if TYPE_CHECKING:
    from agent.context import Agent
    from agent.policy.policy import Policy
    from agent.settings import Settings

State = tuple[int, int] | None  # of a file: when it was written, and its size; None: it is not there


class Renewed:
    """An agent, as it is now."""

    def __init__(self, agent: Agent, settings: Settings) -> None:
        self._agent, self._settings = agent, settings
        self._documents, self._versions = self._states()
        self._renewing = asyncio.Lock()
        self._loaded: list[Policy] = []  # all of them stay: runs may still ask the earlier ones

    @property
    def agent(self) -> Agent:
        """As it was last."""
        return self._agent

    async def now(self) -> Agent:
        """The agent with what has changed since. Raises what loading it does; then the old one stays."""
        if (self._documents, self._versions) != self._states():
            async with self._renewing:
                await self._renew()
        return self._agent

    async def _renew(self) -> None:
        documents, versions = self._states()
        agent, settings = self._agent, self._settings
        if documents != self._documents:
            tools = await asyncio.to_thread(own_tools, settings)
            agent = replace(agent, toolbox=agent.toolbox.with_own(tools))
        if versions != self._versions and isinstance(agent.policy, EmbeddedPolicy):
            policy = await asyncio.to_thread(own_policy, settings)
            self._loaded.append(policy)
            agent = replace(agent, policy=policy)
        self._agent, self._documents, self._versions = agent, documents, versions

    def _states(self) -> tuple[State, State]:
        home = self._settings.home
        return state_of(index_folder(self._settings) / "library.db"), state_of(home / "versions" / "current.json")

    async def close(self) -> None:
        """What was loaded here is of no use from then on."""
        for policy in self._loaded:
            await policy.close()


def state_of(file: Path) -> State:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@asynccontextmanager
async def assembled(settings: Settings) -> AsyncIterator[Renewed]:
    """As ``assemble``, for an agent that stays open."""
    async with assemble(settings) as agent:
        renewed = Renewed(agent, settings)
        try:
            yield renewed
        finally:
            await renewed.close()
