"""What one serving process serves: the server that new runs take, and those that finish the runs that began with them.

It follows the registry. A promoted adapter is loaded into the running server. Promoted weights get a server of their
own on another port: once that answers, the note names it and new runs take it; the old one ends after its last run.
With ``swap``, for a GPU that cannot hold both, the old one ends first and new runs wait. What cannot be started or
loaded is taken back in the registry, with its reason, and what was served goes on. ``tui.serving`` runs it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx

from agent.errors import PonderError
from agent.policy import adapters, note, registry, server
from agent.policy.adapters import LAST_RUN, AdapterError, Loaded
from agent.policy.note import Note, Role
from agent.policy.registry import Target
from agent.policy.server import HOST, Serving, whatever_happens

T = TypeVar("T")
LOOK = 0.5  # seconds between looks at what is promoted, and at what still runs
# Seconds without a run and a request after which nobody is taken to hold a version any more: whoever has just asked for
# it logs its run within milliseconds, and an evaluation keeps to one with short pauses between its runs.
QUIET = 5.0
GAUGES = ("vllm:num_requests_running", "vllm:num_requests_waiting")
InUse = Callable[[str, str | None], int]


@dataclass(eq=False, slots=True)
class Watched:
    """One vLLM, started again after a crash until it is no longer wanted."""

    serving: Serving
    target: Target
    folders: dict[str, str] = field(default_factory=dict)  # of its adapters, while another one's are remembered
    up: asyncio.Event = field(default_factory=asyncio.Event)  # it has answered once
    starting_since: float | None = None  # seconds of the epoch
    context_length: int | None = None
    task: asyncio.Task[None] | None = None
    leaving: asyncio.Task[None] | None = None  # that waits for its last run

    @property
    def name(self) -> str:
        return self.serving.name or self.serving.model


class Deployment:
    """The servers of one process. ``run`` is called once; ``tell`` hears what happens.

    ``in_use`` counts the runs under way of a model, or of one adapter of it.
    """

    def __init__(self, home: Path, serving: Serving, in_use: InUse, tell: Callable[[str], None], swap: bool) -> None:
        self._home, self._serving, self._in_use, self._tell, self._swap = home, serving, in_use, tell, swap
        self._role: Role = "server" if serving.step_tag_id is None else "process_reward"
        self._leaving: dict[str, Watched] = {}
        self._unloading: dict[str, asyncio.Task[None]] = {}  # by adapter
        self._refused: Target | None = None  # not tried again until another one is wanted
        self._problem = ""  # the last one that was told

    async def run(self) -> None:
        """Serve, and follow the registry, until cancelled. Raises ``AlreadyServing``, ``ServerFailed``, ..."""
        server.refuse_ours(self._serving.extra)
        self._current = self._watched(await self._wanted(), self._serving.port)
        with note.left(self._home, self._note(self._current, time.time()), self._role):
            try:
                self._start(self._current)
                await self._unless_ended(self._current.up.wait())
                while True:
                    await self._unless_ended(asyncio.sleep(LOOK))
                    if self._role == "server":
                        await self._follow()
            finally:
                await whatever_happens(self._end_all())

    # --- what is wanted -----------------------------------------------------------------------------------------------

    async def _wanted(self) -> Target:
        root = self._serving.model
        if self._role != "server":
            return Target(root, root)
        return await asyncio.to_thread(registry.target, self._home, root)

    async def _follow(self) -> None:
        try:
            wanted = await self._wanted()
        except PonderError as error:
            return self._tell_once(str(error))
        taken = self._current.target
        if wanted in (taken, self._refused):
            return
        self._refused = None
        try:
            await (self._adapt(wanted) if wanted.name == taken.name else self._replace(wanted))
        except PonderError as error:
            if self._current.task and self._current.task.done():
                raise  # nothing is served any more, whatever was wanted
            self._refused = wanted
            undone = await asyncio.to_thread(registry.undo, self._home, wanted, taken, str(error))
            self._tell_once(f"{wanted.version or wanted.name} is not served{', and taken back' * undone}: {error}")

    async def _adapt(self, wanted: Target) -> None:
        """Another adapter on the same weights, or none."""
        now, before = self._current, self._current.target.adapter
        if wanted.adapter:
            await self._let_stay(wanted.adapter)
            await adapters.load(self._home, self._note(now), registry.weights_of(self._home, wanted.adapter))
        else:
            await adapters.change(self._home, lambda loaded: replace(loaded, current=None))
        now.target = wanted
        self._publish()
        if before:
            self._unloading[before] = asyncio.create_task(self._unload(now, before))
        self._tell(f"new runs take {wanted.adapter or wanted.name}")

    async def _let_stay(self, adapter: str) -> None:
        if task := self._unloading.pop(adapter, None):
            task.cancel()
            await asyncio.wait([task])

    async def _unload(self, having: Watched, adapter: str) -> None:
        in_use = quiet(lambda: self._in_use(having.name, adapter))
        try:
            await adapters.unload(self._home, self._note(having), adapter, lambda name: in_use())
        except AdapterError as error:
            self._tell_once(str(error))
        self._unloading.pop(adapter, None)

    # --- other weights ------------------------------------------------------------------------------------------------

    async def _replace(self, wanted: Target) -> None:
        if wanted.name in self._leaving:
            return await self._take_back(self._leaving[wanted.name], wanted)
        new = self._watched(wanted, self._free_port())
        if self._swap:
            return await self._swap_for(new)
        self._start(new)
        try:
            if not await self._unless_ended(self._is_up(new), self._current, new):
                return  # something else is wanted by now
        except BaseException:
            await whatever_happens(self._end(new))
            raise
        await self._switch(new)

    async def _swap_for(self, new: Watched) -> None:
        """New runs are told of the new one, and ask it until it answers; the old one ends before it is started."""
        old = self._current
        await self._switch(new)
        assert old.leaving is not None
        await asyncio.wait([old.leaving])
        self._start(new)
        try:
            await self._unless_ended(new.up.wait())
        except PonderError as error:
            await whatever_happens(self._end(new))
            self._refused = new.target
            self._current = again = self._watched(old.target, self._free_port())
            await adapters.change(self._home, lambda _: Loaded(old.folders, old.target.adapter, old.name))
            self._publish()
            await asyncio.to_thread(registry.undo, self._home, new.target, old.target, str(error))
            self._tell_once(f"{new.target.version or new.name} is not served, and taken back: {error}")
            self._start(again)
            await self._unless_ended(again.up.wait())

    async def _take_back(self, watched: Watched, wanted: Target) -> None:
        """One that has not ended yet answers new runs again."""
        assert watched.leaving is not None
        watched.leaving.cancel()
        await asyncio.wait([watched.leaving])
        if watched.name not in self._leaving:  # it was over already
            return
        watched.target = wanted
        if wanted.adapter:
            folder = registry.weights_of(self._home, wanted.adapter)
            place, _ = adapters.kept(self._home, folder, registry.NAME)
            watched.folders[wanted.adapter] = str(place)
        if refused := await adapters.give(self._note(watched), watched.folders):
            raise next(iter(refused.values()))
        del self._leaving[watched.name]
        await self._switch(watched)

    async def _switch(self, new: Watched) -> None:
        """From here on new runs take it. The note says so with its adapter, before what is loaded is remembered."""
        for task in self._unloading.values():
            task.cancel()
        await asyncio.gather(*self._unloading.values(), return_exceptions=True)
        self._unloading.clear()
        old, self._current = self._current, new
        before = adapters.loaded(self._home)
        old.folders = dict(before.folders) if before.model in (None, old.name) else old.folders
        self._leaving[old.name] = old
        self._publish()
        await adapters.change(self._home, lambda _: Loaded(new.folders, new.target.adapter, new.name))
        old.leaving = asyncio.create_task(self._leave(old))
        self._tell(f"new runs take {new.target.version or new.name} at {new.serving.base_url}")

    async def _leave(self, old: Watched) -> None:
        """Wait for its last run, and end it."""
        busy, end = quiet(lambda: self._in_use(old.name, None)), time.monotonic() + LAST_RUN
        while old.task and not old.task.done() and (await self._requests(old) or busy()):
            if time.monotonic() > end:
                runs = self._in_use(old.name, None)
                self._tell(f"{old.name} is ended while {runs} runs that began {LAST_RUN:.0f} s ago still use it")
                break
            await asyncio.sleep(LOOK)
        await whatever_happens(self._end(old))

    # --- one server ---------------------------------------------------------------------------------------------------

    def _watched(self, target: Target, port: int) -> Watched:
        name = "" if target.name == target.model else target.name
        log = self._serving.log.with_name(f"vllm-{name}.log") if name else self._serving.log
        watched = Watched(replace(self._serving, model=target.model, name=name, port=port, log=log), target)
        watched.starting_since = time.time()
        return watched

    def _start(self, watched: Watched) -> None:
        def tell(line: str) -> None:
            self._tell(line if watched is self._current else f"{watched.name}: {line}")

        ready, starting = partial(self._ready, watched), partial(self._starting, watched)
        watched.task = asyncio.create_task(server.watch(watched.serving, tell, ready, starting))

    def _starting(self, watched: Watched) -> None:
        watched.starting_since = time.time()
        self._publish()

    async def _ready(self, watched: Watched) -> None:
        """It gets its adapters, also after a crash."""
        now = self._note(watched)
        if self._role == "server":
            await self._equip(watched, now)
            length = (await adapters.cards(now))[0].get("max_model_len")
            watched.context_length = length if type(length) is int else None
        watched.starting_since = None
        if watched is self._current:
            self._publish()
            place = note.folder(self._home, self._role)
            self._tell(f"{watched.name} is served at {now.base_url}; its key is in {place}/note.json")
        watched.up.set()

    async def _equip(self, watched: Watched, now: Note) -> None:
        first, adapter = not watched.up.is_set(), watched.target.adapter
        folder = registry.weights_of(self._home, adapter) if first and adapter else None
        if watched is self._current:
            known = registry.versions(self._home) if first else []
            retired = [version.id for version in known if version.state == "retired"]
            for problem in await adapters.load_again(self._home, now, retired):
                self._tell(problem)
            if folder:
                await adapters.load(self._home, now, folder)
            return
        if folder and adapter:
            watched.folders[adapter] = str(adapters.kept(self._home, folder, registry.NAME)[0])
        if refused := await adapters.give(now, watched.folders):
            raise next(iter(refused.values()))

    async def _end(self, watched: Watched) -> None:
        if watched.task:
            watched.task.cancel()
            await asyncio.gather(watched.task, return_exceptions=True)
        if watched.up.is_set() and watched.serving.log != self._serving.log:
            watched.serving.log.unlink(missing_ok=True)
        if self._leaving.get(watched.name) is watched:
            del self._leaving[watched.name]
            self._publish()

    async def _end_all(self) -> None:
        waiting = [task for each in self._leaving.values() if (task := each.leaving)]
        for task in (*waiting, *self._unloading.values()):
            task.cancel()
        await asyncio.gather(*waiting, *self._unloading.values(), return_exceptions=True)
        await asyncio.gather(*map(self._end, [self._current, *self._leaving.values()]))

    def _free_port(self) -> int:
        """The one that was asked for, where it is free."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken = {each.serving.port for each in (self._current, *self._leaving.values())}
            try:
                probe.bind((HOST, 0 if self._serving.port in taken else self._serving.port))
            except OSError:
                probe.bind((HOST, 0))
            return probe.getsockname()[1]

    # --- what others see ----------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        note.write(self._home, self._note(self._current, self._current.starting_since), self._role)

    def _note(self, watched: Watched, starting_since: float | None = None) -> Note:
        serving = watched.serving
        return Note(
            serving.base_url,
            serving.api_key,
            watched.name,
            os.getpid(),
            str(serving.log),
            starting_since,
            weights=serving.model,
            root=self._serving.model if self._role == "server" else "",
            adapter=watched.target.adapter,
            context_length=watched.context_length,
            leaving=tuple(each.serving.base_url for each in self._leaving.values()),
        )

    def _tell_once(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._tell(problem)

    # --- waiting ------------------------------------------------------------------------------------------------------

    async def _is_up(self, new: Watched) -> bool:
        """Wait until it answers; False where another version is wanted by then."""
        while not new.up.is_set():
            if await self._wanted() != new.target:
                await self._end(new)
                return False
            with suppress(TimeoutError):
                await asyncio.wait_for(new.up.wait(), LOOK)
        return True

    async def _unless_ended(self, work: Awaitable[T], *watched: Watched) -> T:
        """Wait for ``work``. Raises what a server that was given up meanwhile ended with."""
        task = asyncio.ensure_future(work)
        servers = [each.task for each in watched or (self._current,) if each.task]
        try:
            await asyncio.wait([task, *servers], return_when=asyncio.FIRST_COMPLETED)
            for ended in servers:
                if ended.done() and not ended.cancelled():
                    ended.result()
            return await task
        finally:
            task.cancel()

    async def _requests(self, watched: Watched) -> float:
        """How many it has that are not answered yet; 0 where it does not say."""
        try:
            async with adapters.client_of(self._note(watched), server.LOOK) as client:
                said = (await client.get(f"{watched.serving.base_url.removesuffix('/v1')}/metrics")).text
        except (AdapterError, httpx.HTTPError):
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in said.splitlines() if line.startswith(GAUGES))


def quiet(in_use: Callable[[], int], seconds: float | None = None) -> Callable[[], int]:
    """Like ``in_use``, but 0 only after it has been 0 at every look for so many seconds."""
    used = time.monotonic()

    def still() -> int:
        nonlocal used
        if runs := in_use():
            used = time.monotonic()
        return runs or int(time.monotonic() - used < (QUIET if seconds is None else seconds))

    return still
