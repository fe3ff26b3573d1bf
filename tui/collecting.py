"""``ponder collect``: questions of the training split, asked as a user asks, so that the log has what to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tui.options import BaseUrl, ModelName, effort_named, settings_for

if TYPE_CHECKING:
    from agent.settings import Settings
    from tui.progress import Draw


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    app.command()(collect)


Questions = Annotated[int, typer.Option(min=1, help="Of each tier; of a file, a sample.")]


def collect(
    suite: Annotated[
        str, typer.Argument(help="A family, or family/tier; all; hard; FILE.jsonl; module:function. By commas.")
    ],
    questions: Questions = 100,
    effort: Annotated[str, typer.Option("--effort", "-e", help="low, medium, high, max or auto.")] = "high",
    seed: Annotated[int, typer.Option(help="Which questions are generated, or drawn from a file.")] = 1,
    concurrent: Annotated[int, typer.Option(min=1, help="Questions under way at once.")] = 16,
    model: ModelName = None,
    base_url: BaseUrl = None,
) -> None:
    """Ask training questions into the log, for `ponder train` to learn from. Goes on where it stopped."""
    from tui.progress import bar

    settings = settings_for(model=model, base_url=base_url)
    with bar() as draw:
        run_ids = asked(settings, suite, questions, effort, seed, draw, concurrent)
    print(f"{len(run_ids)} questions are in the log; learn from them with: ponder train grpo FOLDER")


def asked(
    settings: Settings, suite: str, questions: int, effort: str, seed: int, draw: Draw, concurrent: int = 16
) -> list[str]:
    """The ids of the runs of those questions, made where the log has them not."""
    import asyncio

    from rl.collect import asking
    from rl.collect import collect as ask_into_log
    from rl.tasks.suite import add_families
    from tui.evaluation import counter, suites_asked

    add_families(settings.tasks)
    how, tasks = effort_named(effort), [t for s in suites_asked(suite, questions, seed, "train") for t in s.tasks]

    async def collecting() -> list[str]:
        async with asking(settings, concurrent) as harness:
            return await ask_into_log(harness, tasks, how, counter(draw, f"collecting {suite}", len(tasks)))

    return asyncio.run(collecting())
