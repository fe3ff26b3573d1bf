"""What a person says of runs afterwards: how good one was, what to call it, whether it may be learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tui.log import Thread
from tui.options import settings_for

if TYPE_CHECKING:
    from agent.records import Path, Run
    from agent.store import RunFilter, Store


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    for command in (feedback, tag, consent):
        log_app.command()(command)


def feedback(
    run_id: str,
    value: Annotated[float | None, typer.Option(min=-1.0, max=1.0, help="How good the answer was.")] = None,
    comment: str = "",
    prefer: Annotated[
        str | None, typer.Option(help="The attempt that was better than the chosen one, as `ponder log show` has it.")
    ] = None,
) -> None:
    """Say what a run was worth: `ponder train` can ask for it, and learn from what was preferred."""
    from agent.errors import SettingsError
    from agent.records import Feedback

    if value is None and not comment and prefer is None:
        raise SettingsError("Say something of the run: --value, --comment or --prefer.")
    with opened() as log:
        run = log.run(log.whole_id(run_id))
        log.add_feedback(Feedback(run.run_id, value, comment, None if prefer is None else attempt_of(run, prefer)))
    print(f"noted of run {run.run_id}")


def tag(run_id: str, names: Annotated[list[str], typer.Argument(help="Instead of those that it has.")]) -> None:
    """Call a run something, for `ponder train --tags`."""
    with opened() as log:
        run = log.run(log.whole_id(run_id))
        log.describe(one(run.run_id), {"tags": names})
    print(f"run {run.run_id}: {', '.join(names)}")


def consent(
    run_id: Annotated[str | None, typer.Argument(help="The run; or name a thread.")] = None,
    thread: Thread = None,
    no: Annotated[bool, typer.Option("--no/--yes", help="Whether it must not be learned from.")] = True,
) -> None:
    """Keep a run out of every training, and with it its thread; --yes takes that back."""
    from agent.errors import NotInLog, SettingsError
    from agent.store import RunFilter

    if not (run_id or thread):
        raise SettingsError("Say what must not be learned from: a run or --thread.")
    with opened() as log:
        which = one(log.whole_id(run_id)) if run_id else RunFilter(thread_id=thread)
        count = log.describe(which, {"train": "no" if no else None})
    if not count:
        raise NotInLog(
            f"There is no such run in the log ({run_id or thread}); `ponder log list` shows those there are."
        )
    what = ("stays out of" if count == 1 else "stay out of") if no else "may be learned from in"
    print(f"{count} run{'s' * (count != 1)} {what} every training")


def opened() -> Store:
    from agent.assemble import open_log

    return open_log(settings_for())


def one(run_id: str) -> RunFilter:
    from agent.store import RunFilter

    return RunFilter(run_id=run_id)


def attempt_of(run: Run, text: str) -> Path:
    """The last node of the attempt that begins with the path written so. Raises ``SettingsError``."""
    from agent.errors import SettingsError

    leaves = [attempt[-1].path for attempt in run.trajectories()]
    names = [".".join(map(str, leaf)) for leaf in leaves]
    for name, leaf in zip(names, leaves, strict=True):
        if f"{name}.".startswith(f"{text}."):
            return leaf
    raise SettingsError(f"There is no attempt {text!r} in run {run.run_id}; its attempts are {', '.join(names)}.")
