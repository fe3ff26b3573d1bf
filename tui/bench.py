"""``ponder bench``: how fast a model is served, and how far a judge can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.errors import PonderError
from tui.options import AsJson, BaseUrl, ModelName, print_json, settings_for
from tui.serving import server_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.records import PolicyVersion
    from agent.settings import Settings
    from rl.judging import Judged, Report
    from rl.load import Load

app = typer.Typer(help="How fast it is, and how it judges.", no_args_is_help=True, rich_markup_mode=None)


class CannotJudge(PonderError):
    """A model of whose verdicts none can be read."""


@app.command()
def serve(
    at_once: Annotated[str, typer.Option(help="Requests under way at once, by commas.")] = "1,4,16,64",
    requests: Annotated[int, typer.Option(min=1, help="Of each of them.")] = 64,
    tokens: Annotated[int, typer.Option(min=1, help="Most tokens a request.")] = 128,
    seed: Annotated[int, typer.Option(help="Which questions.")] = 1,
    model: ModelName = None,
    base_url: BaseUrl = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture here, as PNG or SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Time to the first token, time of each other, and tokens a second, under load."""
    import asyncio
    from dataclasses import asdict

    from agent.errors import SettingsError
    from agent.policy.policy import PolicyError

    try:
        levels = [int(part) for part in at_once.split(",")]
    except ValueError:
        levels = [0]
    if min(levels) < 1:
        raise SettingsError(f"--at-once {at_once!r} is not a list of whole numbers above 0, like 1,4,16.")
    if plot and (plot.suffix not in (".png", ".svg") or not plot.parent.is_dir()):
        raise SettingsError(f"--plot {plot} is no picture in a folder that exists; write one like load.png.")
    settings = settings_for(model=model, base_url=base_url)
    server = server_of(settings)
    version, loads = asyncio.run(measured(settings, levels, requests, tokens, seed))
    if as_json:
        each = [asdict(load) | {"tokens_per_second": load.tokens_per_second} for load in loads]
        print_json({"model": version.model, "adapter": version.adapter, "server": server, "loads": each})
    else:
        print_table(f"{version}: {requests} requests of at most {tokens} tokens, seed {seed}", loads)
    if plot:
        draw(loads, str(version), plot)
    if errors := [load.first_error for load in loads if load.first_error]:
        failed = sum(load.failed for load in loads)
        raise PolicyError(f"{failed} of {requests * len(levels)} requests failed, the first with: {errors[0]}")


def print_table(title: str, loads: Sequence[Load]) -> None:
    print(title)
    print(f"{'at once':>7}  {'first token, ms':>24}  {'each token, ms':>24}  {'tokens/s':>8}  {'failed':>6}")
    print(f"{'':7}  {'p50':>8}{'p90':>8}{'p99':>8}  {'p50':>8}{'p90':>8}{'p99':>8}")
    for load in loads:
        first, each = ("".join(f"{1000 * s:8.1f}" for s in q) for q in (load.first_token, load.each_token))
        print(f"{load.at_once:7}  {first}  {each}  {load.tokens_per_second:8.0f}  {load.failed:6}")


async def measured(
    settings: Settings, levels: Sequence[int], requests: int, tokens: int, seed: int
) -> tuple[PolicyVersion, list[Load]]:
    from agent.assemble import policy_of
    from agent.records import SamplingParams
    from agent.system_prompt import open_prompt
    from rl import load
    from tui.progress import bar

    policy = (await policy_of(settings)).at(None)  # what new runs take
    try:
        asked = load.prompts(policy, open_prompt(settings.prompt).text, requests, seed)
        params = SamplingParams(max_tokens=tokens, seed=seed)
        loads = []
        with bar() as shown:
            for level in levels:
                done = iter(range(1, requests + 1))
                loads.append(
                    await load.measure(
                        policy, asked, level, params,
                        lambda level=level, done=done: shown(requests, next(done), f"{level} at once"),
                    )
                )  # fmt: skip
        return policy.version, loads
    finally:
        await policy.close()


def draw(loads: Sequence[Load], title: str, file: Path) -> None:
    """Tokens a second and times of tokens against the load."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    levels = [load.at_once for load in loads]
    left.plot(levels, [load.tokens_per_second for load in loads], marker="o")
    left.set(xlabel="requests at once", ylabel="tokens a second", xscale="log", ylim=(0, None))
    for name, pick in (("first", lambda load: load.first_token), ("each", lambda load: load.each_token)):
        middle = [1000 * pick(load)[0] for load in loads]
        right.plot(levels, middle, marker="o", label=f"{name} token, median")
        right.fill_between(levels, middle, [1000 * pick(load)[1] for load in loads], alpha=0.2, label="to 90 %")
    right.set(xlabel="requests at once", ylabel="milliseconds", xscale="log", yscale="log")
    right.legend()
    for axes in (left, right):
        axes.set_xticks(levels, [str(level) for level in levels])
    figure.suptitle(title)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


@app.command()
def judge(
    questions: Annotated[int, typer.Option(min=1, help="The newest of the log.")] = 100,
    by: Annotated[str | None, typer.Option("--judge", help="As --model or --base-url; by default the agent's.")] = None,
    concurrent: Annotated[int, typer.Option(min=1, help="Questions under way at once.")] = 8,
    model: ModelName = None,
    base_url: BaseUrl = None,
    out: Annotated[Path | None, typer.Option(help="Write every comparison here, as JSON lines.")] = None,
    as_json: AsJson = False,
) -> None:
    """What a judge's verdicts follow, on logged tasks whose attempts disagree: place, length, and the right answer."""
    import asyncio
    import json
    from dataclasses import asdict

    from rl.judging import report
    from rl.tasks.suite import add_families
    from tui.printer import printable

    settings = settings_for(model=model, base_url=base_url, judge=by)
    add_families(settings.tasks)
    version, judged = asyncio.run(_judged(settings, questions, concurrent))
    found = report(judged)
    if out:
        out.write_text("".join(f"{json.dumps(asdict(each))}\n" for each in judged))
    if as_json:
        print_json({"judge": version, "report": found.summary()})
    if found.unreadable == found.pairs:
        why = next((each.comparison.reason for each in judged if each.comparison.reason), "no reason was given")
        raise CannotJudge(
            f"{version} cannot judge: of none of {found.pairs} pairs could both verdicts be read, the first because: "
            f"{printable(why).rstrip('.')}; name another model with --judge."
        )
    if not as_json:
        print(report_text(version, found))
        for reason in dict.fromkeys(each.comparison.reason for each in judged if each.comparison.reason):
            print(printable(reason))


async def _judged(settings: Settings, questions: int, concurrent: int) -> tuple[str, list[Judged]]:
    from agent.assemble import open_log, policy_of
    from agent.errors import SettingsError
    from agent.panel import judge_settings
    from agent.policy.judging import PolicyJudge
    from rl.judging import disputed, judge_all
    from tui.evaluation import counter
    from tui.progress import bar
    from verifiers.judge import PairwiseJudge

    with open_log(settings) as log:
        asked = disputed(log, questions)
    if not asked:
        raise SettingsError("The log has no task whose attempts disagree; `ponder eval all --pool 8` draws attempts.")
    policy = await policy_of(judge_settings(settings))
    try:
        with bar() as draw:
            tell = counter(draw, f"judged by {policy.version}", len(asked))
            return str(policy.version), await judge_all(PairwiseJudge(PolicyJudge(policy)), asked, concurrent, tell)
    finally:
        await policy.close()


SHARES = {
    "first_place": "the first place won in both orders",
    "second_place": "the second place won in both orders",
    "longer_won": "the longer one won, where one did",
    "longer_right": "the longer one was right, where one was",
    "right_won": "the right one won, ties one half",
    "right_won_decided": "the right one won, where one did",
}


def report_text(judge: str, report: Report) -> str:
    lines = [f"{judge}: {report.pairs} pairs in both orders, {report.unreadable} unreadable, {report.tokens:,} tokens"]
    for name, what in SHARES.items():
        found = getattr(report, name).summary()
        low, high = found["interval"]
        share = f"{found['share']:.3f} ({low:.3f} to {high:.3f}) of {found['of']}" if found["of"] else "no such pair"
        lines.append(f"  {what:40} {share}")
    return "\n".join(lines)
