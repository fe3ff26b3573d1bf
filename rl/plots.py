"""Pictures of results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from agent.effort import EFFORTS
from rl.results import Result
from rl.thresholds import Fit


def tokens_plot(results: Sequence[Result], path: Path) -> None:
    """Accuracy against tokens a question, one panel a suite; ways that differ in size only are joined by a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    suites = list(dict.fromkeys((each.suite, each.tier) for each in results))
    columns = min(3, len(suites))
    rows = -(-len(suites) // columns)
    size = (5 * columns, 3.8 * rows)
    figure, panels = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes, suite in zip(panels.flat, suites, strict=False):
        lines: dict[str, list[Result]] = {}
        for each in results:
            if (each.suite, each.tier) == suite:
                lines.setdefault(line_of(each), []).append(each)
        for name, points in lines.items():
            points.sort(key=lambda each: each.tokens_per_question)
            tokens, heights = [p.tokens_per_question for p in points], [p.accuracy for p in points]
            down = [max(0.0, p.accuracy - p.interval[0]) for p in points]  # rounding at 0 and 1
            up = [max(0.0, p.interval[1] - p.accuracy) for p in points]
            axes.errorbar(tokens, heights, (down, up), marker="o", markersize=3, linewidth=1, capsize=2, label=name)
            for point in points:
                place = (point.tokens_per_question, point.accuracy)
                axes.annotate(point_of(point), place, (3, -7), textcoords="offset points", fontsize=5)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set(xlabel="tokens a question", ylabel="accuracy", title=f"{suite[0]} {suite[1] or ''}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=6, framealpha=0.5)
    for axes in list(panels.flat)[len(suites) :]:
        axes.axis("off")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def proxy_plot(results: Sequence[Result], path: Path) -> None:
    """What the process reward model promises of the attempt that it likes best of N, and how often that is right.

    Its mean score can only rise with N (Gao et al. 2023, "Scaling Laws for Reward Model Overoptimization").
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    lines: dict[str, list[tuple[int, float, float]]] = {}
    for each in results:
        if each.score is not None:
            n = int(each.strategy.rpartition("_")[2])
            lines.setdefault(f"{each.suite} {each.tier or ''}".strip(), []).append((n, each.accuracy, each.score))
    for name, points in lines.items():
        sizes, golds, proxies = zip(*sorted(points), strict=True)
        [line] = axes.plot(sizes, golds, marker="o", markersize=3, label=f"{name}: right")
        axes.plot(sizes, proxies, linestyle="--", color=line.get_color(), label=f"{name}: score")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set(xlabel="N", ylabel="of the best-scored of N", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def point_of(result: Result) -> str:
    """What tells a point from the others of its line: the effort's name, or the number of attempts."""
    named = EFFORTS.keys() & {result.effort, result.strategy}
    return min(named) if named else result.strategy[len(result.strategy.rstrip("0123456789")) :]


def line_of(result: Result) -> str:
    """Efforts are one line, and so are ``majority@8`` and ``majority@16``, or ``beam:beams=2`` and ``beam:beams=4``.

    Each prompt, and each way to perturb, has lines of its own.
    """
    way = result.strategy.partition(":")[0].rstrip("0123456789").rstrip("@_")
    return " ".join(
        filter(
            None,
            ("effort" if EFFORTS.keys() & {result.effort, result.strategy} else way, result.prompt, result.perturbed),
        )
    )


def levels_plot(fit: Fit, path: Path) -> None:
    """Accuracy against tokens of auto effort, one point for each level that it could stop at, beside high effort."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.8), layout="constrained")
    for quick, name in ((False, "auto"), (True, "auto, first without a thought")):
        levels = [each for each in fit.levels if each.quick == quick]
        axes.plot([each.tokens for each in levels], [each.accuracy for each in levels], marker="o", label=name)
    high = fit.best.tokens / fit.best.against_high.token_ratio
    axes.plot([high], [fit.high], marker="s", linestyle="", label="high")
    axes.plot([fit.best.tokens], [fit.best.accuracy], marker="*", markersize=14, linestyle="", label="taken")
    axes.set(xlabel="tokens a question", ylabel="accuracy", title="Where auto effort may stop")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def training_plot(folder: Path) -> Path:
    """``training.png`` beside ``metrics.jsonl``: one panel a metric, over steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    names = [name for name in lines[0] if name not in ("step", "tokens", "new_tokens", "seconds")]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, panels = pyplot.subplots(
        rows, columns, figsize=(4 * columns, 2.6 * rows), layout="constrained", squeeze=False
    )
    for axes, name in zip(panels.flat, names, strict=False):
        axes.plot([line["step"] for line in lines], [line[name] for line in lines], linewidth=0.8)
        axes.set(title=name.replace("_", " "), xlabel="step")
        axes.grid(alpha=0.3)
    for axes in list(panels.flat)[len(names) :]:
        axes.axis("off")
    figure.savefig(folder / "training.png", dpi=120)
    pyplot.close(figure)
    return folder / "training.png"
