"""``ponder calibrate``: when auto effort may stop, fitted to the model and the verifiers at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.options import BaseUrl, ModelName, settings_for

if TYPE_CHECKING:
    from agent.records import PolicyVersion
    from agent.settings import Settings
    from rl.evaluate import Suite
    from rl.thresholds import Asked, Fit

ROW = "{:>9} {:>7} {:>9} {:>16} {:>22} {:>9}"


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    app.command()(calibrate)


def calibrate(
    suite: Annotated[str, typer.Argument(help="As for eval: what people will ask, in the shares they will.")] = "all",
    questions: Annotated[int, typer.Option(min=2, help="Questions of each tier.")] = 20,
    seed: Annotated[int, typer.Option(help="Which questions; evaluate on others.")] = 77,
    concurrent: Annotated[int, typer.Option(min=1, help="Questions under way at once.")] = 16,
    model: ModelName = None,
    base_url: BaseUrl = None,
    plot: Annotated[Path | None, typer.Option(help="Where to draw accuracy against tokens, as PNG.")] = None,
) -> None:
    """Find out when auto effort may stop: attempts at questions, a fit on half of them, a level on the rest."""
    import asyncio

    from agent import thresholds
    from rl.plots import levels_plot
    from tui.evaluation import suites_asked

    settings, suites = settings_for(model=model, base_url=base_url), suites_asked(suite, questions, seed, "held_out")
    fit, version, weights = asyncio.run(_fit(settings, suites, concurrent))
    print(table(fit))
    found = {"suites": suite, "questions": questions, "seed": seed, "accuracy": fit.best.accuracy, "high": fit.high}
    found |= {"tokens_of_high": fit.best.against_high.token_ratio, "calibration_error": fit.error}
    quick = fit.quick_weights if fit.best.quick else ()
    kept = thresholds.Thresholds(fit.weights, fit.best.enough, weights, quick, found)
    file = thresholds.write(settings.home, version, kept)
    if plot:
        levels_plot(fit, plot)
    print(f"Kept in {file} for {version}; use it with: ponder ask --effort auto ...")


def table(fit: Fit) -> str:
    """Every level that was tried; the one that was taken has a star."""
    head = ROW.format("stops at", "quick", "accuracy", "tokens/question", "against high (95 %)", "tokens")
    lines = [f"high effort: {fit.high:.3f}; calibration error {fit.error:.3f}", head]
    for level in fit.levels:
        paired, mark = level.against_high, " *" if level is fit.best else ""
        points = [f"{100 * value:+.1f}" for value in (paired.difference, *paired.interval)]
        difference = f"{points[0]} ({points[1]} to {points[2]})"
        cells = (
            f"{level.enough:.3f}",
            "yes" if level.quick else "no",
            f"{level.accuracy:.3f}",
            f"{level.tokens:.0f}",
            difference,
        )
        lines.append(ROW.format(*cells, f"{paired.token_ratio:.2f}") + mark)
    return "\n".join(lines)


async def _fit(
    settings: Settings, suites: Sequence[Suite], concurrent: int
) -> tuple[Fit, PolicyVersion, dict[str, float]]:
    from dataclasses import replace

    from agent.assemble import assemble, open_encoder
    from agent.effort import EFFORTS
    from agent.search.attempts import BestOfN, Single
    from agent.search.bridges import CLOSE
    from rl.evaluate import Harness, draw_pools
    from rl.thresholds import Asked, auto_of, fit
    from tui.evaluation import counter
    from tui.progress import bar

    found: list[Asked] = []
    with bar() as draw:
        async with assemble(settings) as agent:
            harness = Harness(replace(agent, checkpointer=None), open_encoder(settings), concurrent)
            drawn = BestOfN(auto_of(agent.weights).n), Single(CLOSE)
            efforts = [replace(EFFORTS["auto"], strategy=strategy) for strategy in drawn]
            for suite in suites:
                tasks = suite.tasks
                report = counter(draw, f"{suite.family}/{suite.tier}", 2 * len(tasks))
                pools, quick = [await draw_pools(harness, tasks, effort, report) for effort in efforts]
                found += [Asked(*each) for each in zip(pools, quick, strict=True)]
            version = agent.policy.at(None).version
            return await fit(found, agent.weights), version, dict(agent.weights)
