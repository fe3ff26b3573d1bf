"""``ponder eval``: how well the agent answers held-out questions, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.options import AsJson, BaseUrl, ModelName, effort_named, print_json, settings_for

if TYPE_CHECKING:
    from agent.settings import Settings
    from rl.evaluate import Result


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    app.command("eval")(evaluate)


def evaluate(
    suite: Annotated[str, typer.Argument(help="A family, or family/tier; several by commas; all; hard; handwritten.")],
    questions: Annotated[int, typer.Option(min=1, help="Questions of each tier.")] = 100,
    effort: Annotated[str, typer.Option(help="Efforts by commas.")] = "low",
    pool: Annotated[
        int, typer.Option(min=0, help="Draw so many attempts a question at temperature 1 and choose in every way.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Which questions are generated.")] = 1,
    concurrent: Annotated[int, typer.Option(min=1, help="Questions under way at once.")] = 16,
    model: ModelName = None,
    base_url: BaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Ask held-out questions of generated tasks, and report accuracy, tokens and seconds with 95 % intervals."""
    import asyncio
    from dataclasses import asdict

    from rl.tasks.suite import add_families

    settings = settings_for(model=model, base_url=base_url)
    efforts = [] if pool else [effort_named(name) for name in effort.split(",")]
    add_families(settings.tasks)
    results = asyncio.run(_evaluate(settings, suites_named(suite), questions, efforts, pool, seed, concurrent))
    if as_json:
        print_json({"questions": questions, "seed": seed, "results": [asdict(result) for result in results]})
        return
    print(table(results))


def suites_named(names: str) -> list[tuple[str, int]]:
    """(family, tier) for ``arithmetic``, ``lookup/2``, ``handwritten`` and commas between; for ``all`` and ``hard``."""
    from agent.errors import SettingsError
    from rl.tasks import handwritten
    from rl.tasks.suite import FAMILIES, HARD_TIERS

    if names == "hard":
        return [(family, tier) for family, tiers in HARD_TIERS.items() for tier in tiers]
    suites = {name: family.TIERS for name, family in FAMILIES.items()} | {"handwritten": handwritten.TIERS}
    found: list[tuple[str, int]] = []
    for part in FAMILIES if names == "all" else names.split(","):
        family, _, tier = part.partition("/")
        tiers = [t for t in suites.get(family, ()) if tier in ("", str(t))]
        if not tiers:
            raise SettingsError(f"There is no suite {part!r}; take one of {', '.join(suites)}, with /tier or without.")
        found += [(family, t) for t in tiers]
    return found


async def _evaluate(
    settings: Settings,
    suites: list[tuple[str, int]],
    questions: int,
    efforts: list[Any],
    pool: int,
    seed: int,
    concurrent: int,
) -> list[Result]:
    from dataclasses import replace

    from agent.assemble import assemble, open_encoder
    from agent.effort import EFFORTS
    from rl.evaluate import Harness, evaluate_effort, evaluate_pool, suite_of
    from tui.progress import bar

    results: list[Result] = []
    with bar() as draw:
        async with assemble(settings) as agent:
            harness = Harness(replace(agent, checkpointer=None), open_encoder(settings), concurrent)
            for family, tier in suites:
                asked = suite_of(family, tier, questions, seed)
                for effort in efforts or [EFFORTS["high"]]:
                    report = counter(draw, f"{family}/{tier} {effort.name}", len(asked.tasks))
                    if pool:
                        results += await evaluate_pool(harness, asked, effort, pool, report)
                    else:
                        results.append(await evaluate_effort(harness, asked, effort, report))
    return results


def counter(draw: Callable[[int, int, str], None], label: str, total: int) -> Callable[[], None]:
    done = 0

    def report() -> None:
        nonlocal done
        done += 1
        draw(total, done, label)

    draw(total, 0, label)
    return report


def table(results: list[Result]) -> str:
    """A Markdown table."""
    columns = ("suite", "tier", "effort", "strategy", "questions", "accuracy (95 %)")
    columns += ("tokens/question", "tokens/solved", "s/solved")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for r in results:
        accuracy = f"{r.accuracy:.3f} ({r.interval[0]:.3f} to {r.interval[1]:.3f})"
        tokens = "-" if r.tokens_per_solved is None else f"{r.tokens_per_solved:.0f}"
        seconds = "-" if r.seconds_per_solved is None else f"{r.seconds_per_solved:.2f}"
        cells = (r.suite, r.tier, r.effort, r.strategy, r.questions, accuracy)
        cells += (f"{r.tokens_per_question:.0f}", tokens, seconds)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
