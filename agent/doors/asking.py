"""People are asked through a door: a call waits here until somebody says whether it is to be made."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agent.approval import Approval
from agent.events import ApprovalNeeded
from agent.records import Run


@dataclass(slots=True)
class Approvals:
    """Questions of this process's runs that wait for a person, each by its run and its own id."""

    _waiting: dict[tuple[str, str], tuple[ApprovalNeeded, asyncio.Future[Approval]]] = field(default_factory=dict)

    async def ask(self, run: Run, needed: ApprovalNeeded) -> Approval:
        """Waits for ``give``; an ``Approver``."""
        question = run.run_id, needed.id
        word: asyncio.Future[Approval] = asyncio.get_running_loop().create_future()
        self._waiting[question] = needed, word
        try:
            return await word
        finally:
            del self._waiting[question]

    def waiting(self, run_id: str) -> list[ApprovalNeeded]:
        """The questions of a run that wait, in the order in which they were met."""
        return [needed for (run, _), (needed, word) in self._waiting.items() if run == run_id and not word.done()]

    def give(self, run_id: str, question: str, word: Approval) -> bool:
        """Whether that question was waiting for it."""
        _, future = self._waiting.get((run_id, question), (None, None))
        if future is None or future.done():
            return False
        future.set_result(word)
        return True
