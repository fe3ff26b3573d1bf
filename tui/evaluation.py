"""``ponder eval``: how well the agent answers held-out questions, and what that costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.contamination import overlaps_with, section, summary
from tui.options import AsJson, BaseUrl, ModelName, effort_named, print_json, settings_for

if TYPE_CHECKING:
    from agent.effort import Effort
    from agent.settings import Settings
    from agent.system_prompt import SystemPrompt
    from rl.evaluate import Harness, Suite
    from rl.results import Result
    from rl.tasks.redraw import Change
    from rl.tasks.task import Split


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    app.command("eval")(evaluate)


def evaluate(
    suite: Annotated[
        str,
        typer.Argument(
            help="A family, or family/tier; all; hard; handwritten; FILE.jsonl; hf:OWNER/NAME:CONFIG:SPLIT; "
            "module:function. By commas."
        ),
    ],
    questions: Annotated[int, typer.Option(min=1, help="Questions of each tier; of a file, a sample.")] = 100,
    effort: Annotated[str | None, typer.Option(help="Efforts by commas; low where nothing else is asked for.")] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", "-s", help="A strategy, like majority:n=8; several times for several."),
    ] = None,
    pool: Annotated[
        int, typer.Option(min=0, help="Draw so many attempts a question once, and choose among them in every way.")
    ] = 0,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="Instead of the effort's.")] = None,
    seed: Annotated[int, typer.Option(help="Which questions are generated, or drawn from a file.")] = 1,
    split: Annotated[str, typer.Option(help="held_out, or train: to collect what a reward model learns from.")] = (
        "held_out"
    ),
    prompts: Annotated[
        str | None, typer.Option(help="System prompts by commas: every way of answering once under each.")
    ] = None,
    perturb: Annotated[
        str | None,
        typer.Option(help="By commas numbers, names, order: the questions again with other ones, compared with them."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="The row that the others are compared with: a strategy, an effort, a prompt.")
    ] = None,
    contamination: Annotated[
        str | None,
        typer.Option(
            help="Training text, a file or folder, to look for the questions in; mixture: what sft trains on."
        ),
    ] = None,
    concurrent: Annotated[int, typer.Option(min=1, help="Questions under way at once.")] = 16,
    model: ModelName = None,
    base_url: BaseUrl = None,
    out: Annotated[Path | None, typer.Option(help="A folder for results.json, table.md and plot.png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask held-out questions, and report accuracy, tokens and seconds with 95 % intervals. Goes on where it stopped."""
    import asyncio

    from agent.errors import SettingsError
    from rl.results import together
    from rl.tasks.suite import add_families
    from rl.tasks.task import SPLITS

    if split not in SPLITS:
        raise SettingsError(f"There is no split {split!r}; take one of {', '.join(SPLITS)}.")
    under = prompts_named(prompts)
    settings = settings_for(model=model, base_url=base_url)
    add_families(settings.tasks)
    efforts = ("" if pool or strategy else "low") if effort is None else effort
    asked_split: Split = "train" if split == "train" else "held_out"
    plan = Plan(
        suites=suites_asked(suite, questions, seed, asked_split),
        ways=ways_named(efforts, strategy or [], temperature),
        drawn=ways_named("high", [], temperature)[0],
        pool=pool,
        questions=questions,
        seed=seed,
        split=asked_split,
        concurrent=concurrent,
        prompts=under,
        perturb=ways_to_perturb(perturb),
    )
    plan.refuse_small_pool()
    against = against or ("original" if perturb else None)
    overlaps = overlaps_with(contamination, plan.suites) if contamination else []
    results = asyncio.run(_evaluate(settings, plan))
    results += together(results)
    shown = table(results, against) + (f"\n\n{section(contamination, overlaps, results)}" if contamination else "")
    if out:
        write_out(out, results, shown)
        if contamination:
            (out / "contamination.json").write_text(json.dumps(summary(contamination, overlaps, results)))
    if as_json:
        document = {"questions": questions, "seed": seed, "results": [result.summary() for result in results]}
        found = {"contamination": summary(contamination, overlaps, results)} if contamination else {}
        print_json(document | found)
        return
    print(shown)


def write_out(folder: Path, results: Sequence[Result], shown: str) -> None:
    """What was found: every outcome as JSON, the table, and the pictures."""
    from rl.plots import proxy_plot, tokens_plot

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps([asdict(r) | r.summary() for r in results]))
    (folder / "table.md").write_text(shown + "\n")
    tokens_plot(results, folder / "plot.png")
    if any(result.score is not None for result in results):
        proxy_plot(results, folder / "proxy.png")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, and how."""

    suites: Sequence[Suite]
    ways: Sequence[Effort]  # each is asked with, or, where it only chooses, chosen with from the pool
    drawn: Effort  # with which a pool is drawn
    pool: int  # attempts a question, 0 for none
    questions: int
    seed: int
    split: Split
    concurrent: int
    prompts: Sequence[SystemPrompt]  # under each of which everything is asked; none: the one of the settings
    perturb: Sequence[Change]

    def from_pool(self, way: Effort) -> bool:
        from rl.pools import only_chooses

        return self.pool > 0 and way.temperature == self.drawn.temperature and only_chooses(way.strategy)

    def refuse_small_pool(self) -> None:
        """Before anything is drawn. Raises ``SettingsError``."""
        from agent.errors import SettingsError
        from agent.search.strategy import breadth

        for way in filter(self.from_pool, self.ways):
            if (most := breadth(way.strategy)) > self.pool:
                raise SettingsError(f"{way.name} may make {most} attempts; take --pool {most} or more.")


def ways_named(efforts: str, strategies: Sequence[str], temperature: float | None) -> list[Effort]:
    """The efforts by commas, and each strategy with high effort's budget."""
    from dataclasses import replace

    from agent.search.registry import strategy_named

    found = [effort_named(name) for name in efforts.split(",") if name]
    found += [replace(effort_named("high"), name=spec, strategy=strategy_named(spec)) for spec in strategies]
    return [replace(each, temperature=temperature) if temperature is not None else each for each in found]


def prompts_named(names: str | None) -> list[SystemPrompt]:
    """Those by commas. Raises ``SettingsError``, also where two could not be told apart in a table."""
    from agent.errors import SettingsError
    from agent.system_prompt import open_prompt

    found = [open_prompt(name) for name in names.split(",")] if names else []
    if len({prompt.name for prompt in found}) < len(found):
        raise SettingsError("Two of these prompts have the same name; give each once, and each file a name of its own.")
    return found


def ways_to_perturb(names: str | None) -> list[Change]:
    """Those by commas. Raises ``SettingsError``."""
    from agent.errors import SettingsError
    from rl.tasks.redraw import WAYS

    given = names.split(",") if names else []
    if wrong := next((name for name in given if name not in WAYS), None):
        raise SettingsError(f"Questions cannot be perturbed by {wrong!r}; take one or several of {', '.join(WAYS)}.")
    return [way for way in WAYS if way in given]


def suites_named(names: str) -> list[tuple[str, int]]:
    """(family, tier) for ``arithmetic``, ``lookup/2``, ``handwritten`` and commas between; for ``all`` and ``hard``."""
    from agent.errors import SettingsError
    from rl.tasks import handwritten
    from rl.tasks.suite import FAMILIES, HARD_TIERS, add_functions

    add_functions(names.split(","))
    if names == "hard":
        return [(family, tier) for family, tiers in HARD_TIERS.items() for tier in tiers]
    suites = {name: family.TIERS for name, family in FAMILIES.items()} | {"handwritten": handwritten.TIERS}
    found: list[tuple[str, int]] = []
    for part in FAMILIES if names == "all" else names.split(","):
        family, _, tier = part.partition("/")
        tiers = [t for t in suites.get(family, ()) if tier in ("", str(t))]
        if not tiers:
            if family in suites:
                raise SettingsError(f"{family} has no tier {tier}; it has {', '.join(map(str, suites[family]))}.")
            known = ", ".join(["all", "hard", *suites])
            raise SettingsError(
                f"There is no suite {part!r}; take one of {known}, with /tier or without, or name a file "
                "(.jsonl, .csv, .parquet), hf:OWNER/NAME:CONFIG:SPLIT or a function, module:function."
            )
        found += [(family, t) for t in tiers]
    return found


def suites_asked(names: str, questions: int, seed: int, split: Split) -> list[Suite]:
    """The suites of families and files by commas, each once."""
    from rl.evaluate import suite_of
    from rl.suites.named import is_file, suites_in
    from tui.progress import bar

    found: dict[tuple[str, int], Suite] = {}
    with bar() as draw:
        for part in dict.fromkeys(names.split(",")):
            report = partial(draw, label=f"reading {part}")
            if is_file(part):
                taken = {family for family, _ in found}
                found |= {(s.family, s.tier): s for s in suites_in(part, questions, seed, report, taken)}
                continue
            tiers = suites_named(part)
            for done, (family, tier) in enumerate(tiers, 1):
                found[family, tier] = suite_of(family, tier, questions, seed, split)
                report(len(tiers), done)
    return list(found.values())


async def _evaluate(settings: Settings, plan: Plan) -> list[Result]:
    from dataclasses import replace
    from itertools import product

    from agent.assemble import assemble, open_encoder
    from agent.run import carried_out, refuse_unjudged
    from rl.evaluate import Harness
    from tui.progress import bar

    results: list[Result] = []
    with bar() as draw:
        async with assemble(settings) as agent:
            ready = replace(agent, policy=agent.policy.at(None), checkpointer=None)
            harness = Harness(ready, open_encoder(settings), plan.concurrent)
            plan = replace(plan, ways=[carried_out(ready, way) for way in plan.ways])
            for way in plan.ways:
                refuse_unjudged(ready, way.strategy)
            for suite in plan.suites:
                for (version, asked), prompt in product(
                    versions(suite, plan).items(), plan.prompts or [agent.system_prompt]
                ):
                    under = replace(harness, agent=replace(ready, system_prompt=prompt))
                    name = prompt.name if len(plan.prompts) > 1 else ""
                    label = " ".join(filter(None, (f"{suite.family}/{suite.tier}", version, name)))
                    rows = await rows_of(under, asked, plan, draw, label)
                    results += [replace(row, prompt=name, perturbed=version) for row in rows]
    return results


def versions(suite: Suite, plan: Plan) -> dict[str, Suite]:
    """The suite by the name of its version, which is "" where only the original is asked."""
    from rl.evaluate import versions_of

    return versions_of(suite, plan.questions, plan.seed, plan.split, plan.perturb) if plan.perturb else {"": suite}


async def rows_of(
    harness: Harness, asked: Suite, plan: Plan, draw: Callable[[int, int, str], None], label: str
) -> list[Result]:
    """Every way of answering, once."""
    from dataclasses import replace

    from rl.evaluate import evaluate_live, evaluate_pool
    from rl.pools import Way

    results: list[Result] = []
    many = len(asked.tasks)
    if plan.pool:
        ways = [Way(w.name, w.strategy, harness.agent.weights) for w in plan.ways if plan.from_pool(w)]
        report = counter(draw, f"{label} pool of {plan.pool}", many)
        grading = counter(draw, f"grading {label} pool of {plan.pool}", many)
        drawn = replace(plan.drawn, name="pool")
        results += await evaluate_pool(harness, asked, drawn, plan.pool, report, ways, grading)
    for way in plan.ways:
        if not plan.from_pool(way):
            report = counter(draw, f"{label} {way.name}", many)
            grading = counter(draw, f"grading {label} {way.name}", many)
            results.append(await evaluate_live(harness, asked, way, report, grading))
    return results


def counter(draw: Callable[[int, int, str], None], label: str, total: int) -> Callable[[], None]:
    done = 0

    def report() -> None:
        nonlocal done
        done += 1
        draw(total, done, label)

    draw(total, 0, label)
    return report


def table(results: Sequence[Result], against: str | None = None) -> str:
    """A Markdown table; with ``against``, each row compared with that one, question by question."""
    shown = [name for name in ("prompt", "perturbed") if any(getattr(r, name) for r in results)]
    columns = ["suite", "tier", *shown, "effort", "strategy", "questions", "accuracy (95 %)"]
    columns += ["tokens/question", "tokens/solved", "s/solved"]
    columns += ["score"] if (scored := any(r.score is not None for r in results)) else []
    columns += [f"points above {against} (95 %)", "p", "times its tokens"] if against else []
    compared = comparisons(results, against) if against else [()] * len(results)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for r, more in zip(results, compared, strict=True):
        accuracy = f"{r.accuracy:.3f} ({r.interval[0]:.3f} to {r.interval[1]:.3f})"
        tokens = "-" if r.tokens_per_solved is None else f"{r.tokens_per_solved:.0f}"
        seconds = "-" if r.seconds_per_solved is None else f"{r.seconds_per_solved:.2f}"
        cells = (
            r.suite,
            r.tier or "",
            *(getattr(r, name) for name in shown),
            r.effort,
            r.strategy,
            r.questions,
            accuracy,
        )
        cells += (f"{r.tokens_per_question:.0f}", tokens, seconds)
        cells += (("-" if r.score is None else f"{r.score:.3f}"),) if scored else ()
        cells += more
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def comparisons(results: Sequence[Result], against: str) -> list[tuple[str, str, str]]:
    """For each row, its difference from the row ``against`` on the same questions, p, and the ratio of tokens.

    Raises ``SettingsError`` where there is no such row.
    """
    from agent.errors import SettingsError
    from rl.results import baseline, compare, holm

    found = [baseline(result, results, against) for result in results]
    if not any(found):
        known = [(r.prompt, r.perturbed, r.strategy) for r in results]
        names = ", ".join(dict.fromkeys(name for row in zip(*known, strict=True) for name in row if name))
        raise SettingsError(f"No row is called {against!r}; take one of {names}.")
    pairs = {
        i: compare(result.outcomes, other.outcomes)
        for i, (result, other) in enumerate(zip(results, found, strict=True))
        if other is not None and other is not result
    }
    shown = [("-", "-", "-")] * len(results)
    for (i, d), p in zip(pairs.items(), holm([d.p for d in pairs.values()]), strict=True):
        points = [f"{100 * value:+.1f}" for value in (d.difference, *d.interval)]
        shown[i] = (f"{points[0]} ({points[1]} to {points[2]})", f"{p:.3f}", f"{d.token_ratio:.2f}")
    return shown
