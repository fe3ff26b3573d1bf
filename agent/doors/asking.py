"""People are asked through the REST door: a call waits here until somebody says whether it is to be made."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agent.approval import Approval
from agent.events import ApprovalNeeded
from agent.records import Path, Run

Call = tuple[str, Path, int]  # a run, a node, which of its calls


@dataclass(slots=True)
class Approvals:
    """Calls of this process's runs that wait for a person."""

    _waiting: dict[Call, tuple[ApprovalNeeded, asyncio.Future[Approval]]] = field(default_factory=dict)

    async def ask(self, run: Run, needed: ApprovalNeeded) -> Approval:
        """Waits for ``give``; an ``Approver``."""
        call = run.run_id, needed.path, needed.index
        word: asyncio.Future[Approval] = asyncio.get_running_loop().create_future()
        self._waiting[call] = needed, word
        try:
            return await word
        finally:
            del self._waiting[call]

    def waiting(self, run_id: str) -> list[ApprovalNeeded]:
        """The calls of a run that wait, in the order in which they were met."""
        return [needed for (run, _, _), (needed, word) in self._waiting.items() if run == run_id and not word.done()]

    def give(self, run_id: str, path: Path, index: int, word: Approval) -> bool:
        """Whether that call was waiting for it."""
        _, future = self._waiting.get((run_id, path, index), (None, None))
        if future is None or future.done():
            return False
        future.set_result(word)
        return True
