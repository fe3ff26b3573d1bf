"""Which runs of the log are learned from: those that a person asks for, and that may be; the rest is counted by reason.

What is held out never trains: neither a run of a held-out task, nor a question that stands in one (``Finder``). A run
whose thread or owner said ``train: no`` stays out, and so does the second of two runs that drew the very same tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from agent.records import Run
from agent.store import RunFilter, Store
from rl.contamination import Finder
from rl.groups import Found, Group, Rewards, StepRewards, groups_of
from rl.tasks.task import Task

Tell = Callable[[int, int], None]  # how many are done, of how many
CONSENT = "train"  # the key of a run's metadata; "no" keeps it out, and with it its thread


@dataclass(frozen=True, slots=True)
class Wanted:
    """Runs that every given field admits."""

    runs: RunFilter = field(default_factory=RunFilter)
    run_ids: Sequence[str] | None = None  # these, in this order; None: whichever, the oldest first
    efforts: Sequence[str] = ()
    tags: Sequence[str] = ()  # all of which a run must have
    feedback: float | None = None  # the least that people said of it, on average; runs that nobody judged stay out
    families: Sequence[str] = ()  # of generated tasks: "strings", "strings/4"
    task_ids: Collection[str] = ()  # of other tasks that are wanted, too


def chosen(log: Store, wanted: Wanted) -> tuple[list[Run], Counter[str]]:
    """Runs without their nodes, oldest first or in the order in which they are named, and why others are left out."""
    left_out: Counter[str] = Counter()
    runs, kept = named(wanted, log.runs(wanted.runs)[::-1]), []
    silent = {run.thread_id for run in log.runs() if refuses(run)}
    for run in runs:
        if why := refused(log, run, wanted, silent):
            left_out[why] += 1
        else:
            kept.append(run)
    return kept, left_out


def named(wanted: Wanted, runs: list[Run]) -> list[Run]:
    """When a run was begun depends on what was killed; whoever names runs gets the same order every time."""
    if wanted.run_ids is None:
        return runs
    known = {run.run_id: run for run in runs}
    return [known[run_id] for run_id in dict.fromkeys(wanted.run_ids) if run_id in known]


def refused(log: Store, run: Run, wanted: Wanted, silent: Iterable[str]) -> str | None:
    """Why the run is left out; None where it is not."""
    task_id = str(run.metadata.get("task_id", ""))
    if run.thread_id in silent:
        return "somebody said: train no"
    if "/held_out/" in task_id or task_id.startswith("handwritten/"):
        return "its task is held out"
    if run.status in ("running", "failed"):
        return f"the run is {run.status}"
    if wanted.efforts and run.effort not in wanted.efforts:
        return "of another effort"
    if not set(wanted.tags) <= set(run.metadata.get("tags", ())):
        return "without the tags"
    if (wanted.families or wanted.task_ids) and not asks(wanted, task_id):
        return "of another family"
    if wanted.feedback is not None and liked(log, run) < wanted.feedback:
        return "people said nothing, or less"
    return None


def asks(wanted: Wanted, task_id: str) -> bool:
    return task_id in wanted.task_ids or any(task_id.startswith(f"{family}/") for family in wanted.families)


def refuses(run: Run) -> bool:
    return str(run.metadata.get(CONSENT, "yes")).lower() in ("no", "false")


def liked(log: Store, run: Run) -> float:
    """The mean of what people said of it, -1 to 1; -inf where nobody did."""
    said = [each.value for each in log.feedback(run.run_id) if each.value is not None]
    return sum(said) / len(said) if said else float("-inf")


async def learnable(
    log: Store,
    wanted: Wanted,
    rewards: Callable[[Run], Awaitable[Rewards]],
    held_out: Iterable[Task] = (),
    tell: Tell = lambda done, total: None,
    steps: Callable[[Run], Awaitable[StepRewards]] | None = None,
) -> Found:
    """The groups of all runs that are chosen, and what was left out, by reason. ``steps`` rewards those, too."""
    runs, left_out = chosen(log, wanted)
    finder, known = Finder(held_out), dict[object, Group]()
    for done, listed in enumerate(runs, 1):
        if finder.stands_in(listed.question):
            left_out["its question stands in a held-out task"] += 1
        else:
            run = log.run(listed.run_id)
            found = groups_of(run, await rewards(run), await steps(run) if steps else None)
            left_out += found.left_out
            for group in found.groups:
                left_out["drawn in another run, token for token"] += keep(known, group)
        tell(done, len(runs))
    return Found(tuple(known.values()), +left_out)


def keep(known: dict[object, Group], group: Group) -> int:
    """Of two groups of the same draws the larger one; how many members that leaves out."""
    first = group.members[0]
    prompt = first.token_ids[: first.learn.index(True)]
    key = (prompt, group.policy, group.temperature, group.seed)
    other = known.get(key)
    if other is None or len(other.members) < len(group.members):
        known[key] = group
    return min(len(group.members), len(other.members)) if other else 0
