"""``ponder log`` and ``ponder replay``: what was asked, sampled and answered."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.options import AsJson, BaseUrl, ModelName, print_json, settings_for

if TYPE_CHECKING:
    from agent.records import Node, Run
    from verifiers.verdict import Verdict


def day(which: str) -> Any:
    return typer.Option(formats=["%Y-%m-%d"], metavar="2026-01-31", help=f"Runs that began {which}.")


Thread = Annotated[str | None, typer.Option(help="Only this thread.")]


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    log_app.command("list")(list_runs)
    log_app.command()(show)
    log_app.command()(export)
    log_app.command()(delete)
    app.command()(replay)


def list_runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = 20,
    thread: Thread = None,
    every: Annotated[bool, typer.Option("--all", help="The questions of evaluations too.")] = False,
    as_json: AsJson = False,
) -> None:
    """The newest runs."""
    from agent.assemble import open_log
    from agent.export import run_to_json
    from agent.store import RunFilter
    from tui.printer import printable, shortened

    with open_log(settings_for()) as store:
        runs = store.runs(RunFilter(thread_id=thread, tasks=None if every else False), limit)
    if as_json:
        print_json({"runs": [run_to_json(run) for run in runs]})
        return
    for run in runs:
        answer = (run.answer or run.error or "").split("Answer:")[-1].strip()
        line = (
            f"{run.run_id}  {run.started_at[:19]}  {run.status:9} {run.effort:6} {run.usage.sampled_tokens:6} tokens  "
        )
        print(printable(line + f"{shortened(run.question)[:60]} → {shortened(answer)[:60]}"))


def show(run_id: str, as_json: AsJson = False) -> None:
    """One run with its whole tree; with --json every sampled token."""
    from agent.assemble import open_log
    from agent.export import run_to_json
    from tui.printer import printable, summary

    with open_log(settings_for()) as store:
        run = store.run(store.whole_id(run_id))
        feedback = store.feedback(run.run_id)
    if as_json:
        print_json(run_to_json(run) | {"feedback": [_plain(said) for said in feedback]})
        return
    how = f"{run.status}, {run.effort}, {run.strategy} ({run.stopping_rule}), {run.policy}, thread {run.thread_id}"
    how += ", drawn whole as a reference" if run.reference else ""
    how += f", prompt {run.settings['prompt']}" if "prompt" in run.settings else ""
    print(printable(f"{run.question}\n{how}"))
    for node in run.nodes:
        print(printable(_node_lines(run, node)))
    print(printable(f"\n{run.answer or run.error}\n{summary(run)}"))


def _plain(value: Any) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def _node_lines(run: Run, node: Node) -> str:
    mark = "*" if run.chosen is not None and run.chosen[: len(node.path)] == node.path else " "
    indent = "  " * len(node.path)
    lines = [f"{mark}{indent}{'.'.join(map(str, node.path))} {node.ending.value}, {len(node.sample.token_ids)} tokens"]
    lines += [f" {indent}  | {line}" for line in f"{node.thought}\n{node.text}".splitlines() if line.strip()]
    lines += [f" {indent}  {result.name}: {result.text}" for result in node.tool_results]
    lines += [f" {indent}  {verdict_text(verdict)}" for verdict in node.verdicts]
    return "\n".join(lines)


def verdict_text(verdict: Verdict) -> str:
    """What a verifier said; that it gave no score is said too, for it does not count as a zero."""
    score = "no score" if verdict.score is None else f"{verdict.score:.2f}"
    return f"{verdict.verifier} {score}  {' '.join(verdict.reason.split())}".rstrip()


def export(
    path: Path, thread: Thread = None, since: Annotated[datetime | None, day("on this day or later")] = None
) -> None:
    """Write every sample to a .parquet or .jsonl file, in the columns that trainers read."""
    from agent.assemble import open_log
    from agent.export import export as write
    from agent.store import RunFilter
    from tui.printer import printable

    with open_log(settings_for()) as store:
        which = RunFilter(thread_id=thread, since=since and since.date().isoformat())
        print(printable(f"{write(store, path, which)} samples written to {path}"))


def delete(
    run_id: Annotated[str | None, typer.Argument(help="The run; or name a thread or an age.")] = None,
    thread: Thread = None,
    before: Annotated[datetime | None, day("before this day")] = None,
) -> None:
    """Delete runs and all that hangs on them; their bytes are overwritten."""
    from agent.assemble import forget_checkpoints, open_log
    from agent.errors import NotInLog, SettingsError
    from agent.store import RunFilter

    if not (run_id or thread or before):
        raise SettingsError("Say what to delete: a run, --thread or --before.")
    settings = settings_for()
    with open_log(settings) as store:
        which = RunFilter(run_id=run_id, thread_id=thread, before=before and before.date().isoformat())
        gone = [run.run_id for run in store.runs(which)]
        count = store.delete(which)  # where a reader was in the way the first time, it is what erases the bytes
        forget_checkpoints(settings, gone)
    if run_id and not count:
        raise NotInLog(f"There is no run {run_id} in the log; `ponder log list` shows those there are.")
    print(f"{count} run{'s' * (count != 1)} deleted")


def replay(run_ids: list[str], model: ModelName = None, base_url: BaseUrl = None, as_json: AsJson = False) -> None:
    """Sample logged runs again, with the logged tool results, and compare token by token."""
    import asyncio

    settings = settings_for(model=model, base_url=base_url)
    reports = asyncio.run(_replay(settings, run_ids))
    if as_json:
        print_json({"runs": [_plain(report) | {"same": report.same} for report in reports]})
    else:
        for report in reports:
            print(f"{report.run_id}: {report.samples} samples, {report.tokens} tokens, {report.sentence}")
    if not all(report.same for report in reports):
        raise typer.Exit(1)


async def _replay(settings: Any, run_ids: list[str]) -> list[Any]:
    from agent.assemble import open_log, policy_of
    from agent.replay import replay as again

    with open_log(settings) as store:
        runs = [store.run(store.whole_id(run_id)) for run_id in run_ids]
    policy = await policy_of(settings)
    try:
        return [await again(policy, run) for run in runs]
    finally:
        await policy.close()
