"""Every command of ``ponder``. Heavy imports are inside the commands, so that ``ponder --help`` answers in a blink."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui import (
    bench,
    calibrating,
    collecting,
    doors,
    evaluation,
    grpo,
    improving,
    learning,
    log,
    mcp_commands,
    saying,
    serving,
    training,
    versions,
)
from tui.options import (
    AsJson,
    BaseUrl,
    EffortName,
    ModelName,
    MostCost,
    MostSeconds,
    MostTokens,
    PromptName,
    effort_within,
    print_json,
    settings_for,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from agent.approval import Approver
    from agent.context import Agent
    from agent.events import Event
    from agent.records import Run
    from agent.settings import Settings

app = typer.Typer(
    help="A self-hosted reasoning agent that gets better from its own work.",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
log_app = typer.Typer(help="What was asked, sampled and answered.", no_args_is_help=True, rich_markup_mode=None)
train_app = typer.Typer(help="Make or improve a model.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(log_app, name="log")
app.add_typer(train_app, name="train")
app.add_typer(serving.app, name="model")
app.add_typer(bench.app, name="bench")
app.add_typer(mcp_commands.app, name="mcp")


INTERRUPTED = 130  # what a shell makes of SIGINT


def main() -> None:
    """Run a command; a failure is one sentence on standard error and an exit code that is not 0."""
    from typer.exceptions import TyperException

    logging.getLogger("ponder").setLevel(logging.ERROR)  # what is only a warning stands in the run's own words
    logging.getLogger("ponder.mcp").setLevel(logging.WARNING)  # but for tools that cannot be had
    logging.getLogger("ponder.mcp").addHandler(Told())
    try:
        code = app(standalone_mode=False)  # Typer makes 130 of Ctrl-C, and 1 of a reader that has gone
    except TyperException as error:
        error.show()  # type: ignore[attr-defined] - every one that it raises has it
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if (known := sentence(error)) is None:
            raise
        from tui.printer import printable

        print(f"ponder: {printable(known)}", file=sys.stderr)
        code = getattr(error, "exit_code", 1)
    if code == INTERRUPTED:
        print("Interrupted; what was finished is kept.", file=sys.stderr)
    sys.exit(code)


class Told(logging.Handler):
    """A warning as one line on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        from tui.printer import on_a_line, printable

        print(f"ponder: {printable(on_a_line(record.getMessage()))}", file=sys.stderr)


def sentence(error: Exception) -> str | None:
    """What to tell a person who can act on the error; None for a defect."""
    from agent.errors import PonderError
    from retrieval.errors import RetrievalError
    from tools.tool import ToolSetupError
    from verifiers.verdict import VerifierError

    if isinstance(error, PonderError | RetrievalError | ToolSetupError | VerifierError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'A file'} cannot be used ({error.strerror}); choose another place."
    if isinstance(error, ModuleNotFoundError):
        return f"The package {error.name} is missing: `make ask` installs what answering takes, `make test` all."
    return None


@app.callback()
def version(
    shown: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if shown:
        from importlib.metadata import version as installed

        print(installed("ponder"))
        raise typer.Exit


# --- asking -----------------------------------------------------------------------------------------------------------


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    effort: EffortName = None,
    model: ModelName = None,
    base_url: BaseUrl = None,
    prompt: PromptName = None,
    thread: Annotated[str | None, typer.Option(help="Go on with this thread, or begin it.")] = None,
    seed: Annotated[int | None, typer.Option(help="The root seed: the same seed gives the same run.")] = None,
    most_tokens: MostTokens = None,
    most_seconds: MostSeconds = None,
    most_cost: MostCost = None,
    as_json: AsJson = False,
) -> None:
    """Ask a question, and watch how the answer comes about."""
    import asyncio
    from dataclasses import replace

    from agent.run import asked_by, refuse_empty, stream

    limits = {"most_tokens": most_tokens, "most_seconds": most_seconds, "most_cost": most_cost}
    settings = settings_for(effort=effort, model=model, base_url=base_url, prompt=prompt, **limits)
    question = sys.stdin.buffer.read().decode(errors="replace") if question == "-" else question
    refuse_empty(question)
    how = asked_by(settings, effort_within(settings), thread, seed)

    def begin(agent: Agent, asker: Approver | None) -> AsyncGenerator[Event, None]:
        return stream(agent, question, replace(how, approver=asker))

    run = asyncio.run(follow(settings, begin, as_json))
    if run.answer is None:
        raise typer.Exit(1)


@app.command()
def resume(run_id: str, model: ModelName = None, base_url: BaseUrl = None, as_json: AsJson = False) -> None:
    """Finish a run that a killed process left under way."""
    import asyncio

    from agent.assemble import open_log
    from agent.run import refuse_ended
    from agent.run import resume as resumed

    settings = settings_for(model=model, base_url=base_url)
    with open_log(settings) as store:
        run_id = store.whole_id(run_id)
        refuse_ended(store.run(run_id))
    run = asyncio.run(follow(settings, lambda agent, asker: resumed(agent, run_id, asker), as_json))
    if run.answer is None:
        raise typer.Exit(1)


@app.command()
def chat(
    effort: EffortName = None,
    model: ModelName = None,
    base_url: BaseUrl = None,
    prompt: PromptName = None,
    plain: Annotated[bool, typer.Option("--plain", help="Line by line, as where there is no terminal.")] = False,
) -> None:
    """Talk, see how it thinks, and teach it. F1 shows the keys; --plain, an empty line or Ctrl-D ends it."""
    settings = settings_for(effort=effort, model=model, base_url=base_url, prompt=prompt)
    how = effort_within(settings)
    if plain or not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        from tui.chat import talk

        return talk(settings, how)
    from tui.app import PonderApp
    from tui.source import Here

    PonderApp(Here(settings, how), how.name).run()
    return None


async def follow(settings: Settings, begin: Any, as_json: bool) -> Run:
    """Show the stream of events that ``begin`` makes of an agent and who is asked, to its end; with ``as_json`` only
    the run at the end.
    """
    from contextlib import AsyncExitStack, aclosing

    from rich.console import Console

    from agent.events import Finished
    from tui.asking import AtTerminal, somebody_is_here
    from tui.chat import assembled
    from tui.printer import Printer

    printer = Printer(Console(stderr=as_json, highlight=False, soft_wrap=True))
    run: Run | None = None
    async with AsyncExitStack() as stack:
        agent = await assembled(settings, stack)
        asker = AtTerminal(printer) if somebody_is_here() else None
        events = await stack.enter_async_context(aclosing(begin(agent, asker)))
        event: Event
        async for event in events:
            if isinstance(event, Finished):
                run = event.run
            elif not as_json:
                printer.show(event)
    assert run is not None, "a stream of events ends with Finished"
    if as_json:
        from agent.export import run_to_json

        print_json(run_to_json(run))
    else:
        printer.ending(run)
    return run


# --- documents --------------------------------------------------------------------------------------------------------


@app.command()
def index(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders; none: those indexed before.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read documents (text, Markdown, HTML, PDF, office files) into the index that searches look in."""
    from dataclasses import asdict

    from agent.assemble import index_folder, open_encoder
    from retrieval.indexing import index as build
    from tui.printer import printable
    from tui.progress import bar

    settings = settings_for()
    with bar() as progress:
        report = build(paths or (), index_folder(settings), open_encoder(settings), progress=progress)
    if as_json:
        print_json(asdict(report))
        return
    for skipped in report.skipped:
        print(printable(f"skipped {skipped.source}: {skipped.reason}"), file=sys.stderr)
    print(
        f"{report.added} added, {report.updated} updated, {report.unchanged} unchanged, {report.removed} removed, "
        f"{len(report.skipped)} skipped; "
        f"{report.chunks} passages in {report.seconds:.1f} s"
    )


@app.command()
def search(
    query: str, k: Annotated[int, typer.Option("-k", min=1, help="How many passages.")] = 5, as_json: AsJson = False
) -> None:
    """Find passages in the indexed documents."""
    from dataclasses import asdict

    from agent.assemble import open_retriever
    from tui.printer import printable

    passages = open_retriever(settings_for()).search(query, k)
    if as_json:
        print_json({"passages": [asdict(passage) for passage in passages]})
        return
    for i, passage in enumerate(passages, 1):
        print(printable(f"[{i}] {passage.title} ({passage.source}:{passage.start}-{passage.end}, {passage.score:.3f})"))
        print(printable(passage.text) + "\n")
    if not passages:
        print("No passages found.")


# --- settings and the machine -----------------------------------------------------------------------------------------


@app.command()
def trust(folder: Annotated[Path, typer.Argument()] = Path()) -> None:
    """Use the ponder.toml of a folder from now on, as it stands; it may start programs."""
    from agent.settings import trust as trusted

    print(f"{trusted(folder)} is trusted until it changes.")


@app.command()
def doctor() -> None:
    """Say what works on this machine and what does not."""
    import asyncio

    from tui.doctor import examine

    raise typer.Exit(0 if asyncio.run(examine(settings_for())) else 1)


# commands that have a file of their own
for module in (doors, log, saying, versions, collecting, improving, calibrating, evaluation, training, grpo, learning):
    module.add_to(app, log_app, train_app)
