"""The policy for what ``ponder model serve`` serves: every new run takes the server that its note names at that moment.

A run keeps the server that it began with, and so does whoever asked for a version; ``deployment`` leaves that server up
until the last of them. ``assemble`` makes one where nobody named a model.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from agent.policy import adapters, note
from agent.policy.endpoint import Adapters, EndpointPolicy
from agent.policy.note import Note
from agent.policy.policy import Delta
from agent.policy.renderer import Renderer
from agent.policy.wire import Server
from agent.records import PolicyVersion, Sample, SamplingParams


class ServedPolicy:
    """Implements ``Policy``. ``first`` is connected to the server of ``found``; the others have its settings."""

    def __init__(self, home: Path, found: Note, first: EndpointPolicy) -> None:
        self._home = home
        self._first = self._newest = first
        self._policies = {_key(found): first}

    @property
    def version(self) -> PolicyVersion:
        return self._newest.at(None).version

    @property
    def renderer(self) -> Renderer:
        return self._newest.renderer

    @property
    def context_length(self) -> int:
        return self._newest.context_length

    def at(self, version: PolicyVersion | None) -> EndpointPolicy:
        """The server and the adapter that new runs take, or those of a version. Raises ``OtherVersion``."""
        if (found := note.read(self._home)) and _key(found) not in self._policies:
            self._policies[_key(found)] = self._connected(found)
        if found:
            self._newest = self._policies[_key(found)]
        having = [each for each in self._policies.values() if version and each.version.model == version.model]
        return (having[-1] if having else self._newest).at(version)

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        return await self.at(None).sample(prompt_token_ids, params, n)

    async def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        async with aclosing(self.at(None).stream(prompt_token_ids, params, n)) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        for policy in self._policies.values():
            await policy.close()

    def _connected(self, found: Note) -> EndpointPolicy:
        """Nothing is asked of the server: what a connection finds out stands in the note, or is as it was."""
        length = found.context_length or self._first.context_length
        server = Server(found.base_url, found.model, found.api_key, length, self._first.deadlines, kept=True)
        renderer = Renderer.load(found.weights or found.model)
        return self._first.elsewhere(server, renderer, adapters_of(self._home, found))


def adapters_of(home: Path, found: Note) -> Adapters:
    """What the note's folder says of its server's adapters."""
    return Adapters(
        current=lambda: adapters.current_of(home, _now(home, found)),
        known=lambda: adapters.known_of(home, _now(home, found)),
        serving=lambda: note.serves(home, found),
    )


def _now(home: Path, then: Note) -> Note:
    """The server's note as it stands; the last one where another's stands in its place."""
    now = note.read(home)
    return now if now and _key(now) == _key(then) else then


def _key(found: Note) -> tuple[str, str, int]:
    return found.base_url, found.model, found.pid
