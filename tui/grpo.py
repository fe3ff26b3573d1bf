"""``ponder train grpo``: the groups that are in the log make the next version of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from tui.choosing import (
    Base,
    Folder,
    Lesson,
    Reward,
    Runs,
    Weights,
    collected,
    names_in,
    with_options,
)
from tui.options import settings_for
from tui.progress import Draw, bar, drawing

if TYPE_CHECKING:
    from agent.settings import Settings
    from rl.groups import Found
    from rl.grpo import GRPOSettings
    from rl.teach import Taught
    from rl.trainee import Trainee


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    train_app.command()(with_options(grpo))
    log_app.command()(with_options(groups))


def grpo(
    folder: Folder,
    reward: Reward = "with_gold",
    variant: Annotated[str, typer.Option(help="grpo, dr_grpo, dapo, gspo or rloo.")] = "grpo",
    epochs: float = 1.0,
    batch: Annotated[int, typer.Option(min=1, help="Groups a step.")] = 16,
    learning_rate: float = 2e-5,
    schedule: Annotated[str, typer.Option(help="Of the learning rate: trapezoid or cosine, after a warm-up.")] = (
        "trapezoid"
    ),
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    kl: Annotated[float, typer.Option(min=0.0, help="Weight of the divergence from the model it begins with.")] = 0.0,
    step_weight: Annotated[
        float, typer.Option(min=0.0, help="Of what the process reward model says of each step, beside the outcome.")
    ] = 0.0,
    most_drift: Annotated[
        float | None,
        typer.Option(min=0.0, help="Nats a token from the model it begins with, beyond which the training ends."),
    ] = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Compare with the mean of the others.")
    ] = False,
    micro_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens that go through the model at once, where a group has not more.")
    ] = 4_000,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Compute layers again instead of keeping them.")
    ] = False,
    collect: Annotated[
        str | None,
        typer.Option(help="Suites to ask questions of between trainings, instead of learning from the log as it is."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of collecting and learning.")] = 4,
    questions: Annotated[int, typer.Option(min=1, help="Of each tier that a round collects.")] = 32,
    *,
    base: Base,
    weights: Weights,
    runs: Runs,
) -> None:
    """Train on the log's groups of attempts, sampling nothing. Resumes what is in FOLDER."""
    from agent.errors import SettingsError
    from rl.grpo import GRPOSettings
    from rl.loss import LossSettings, Variant
    from rl.optimise import Schedule
    from rl.processes import launched

    if collect is not None and launched().count > 1:
        raise SettingsError("--collect asks in one process; collect with `ponder collect`, and leave the option out.")
    settings, name = base.begun()
    how = GRPOSettings(
        LossSettings(one_of(Variant, variant, "variant"), clip_low, clip_high, kl),
        baseline="leave_one_out" if leave_one_out else "mean",
        step_weight=step_weight,
        most_drift=most_drift,
        batch=batch,
        epochs=epochs,
        micro_tokens=micro_tokens,
        learning_rate=learning_rate,
        schedule=one_of(Schedule, schedule, "schedule"),
        seed=base.seed,
        gradient_checkpointing=gradient_checkpointing,
    )
    if collect is None:
        lesson = replace(runs.lesson(reward), steps=step_weight > 0)
        taught = [learn(partial(weights.trainee, name), partial(collected, settings, lesson), how, folder)]
    else:
        asking = Collecting(collect, questions, rounds, runs.effort or "high", reward)
        taught = in_turn(settings, asking, weights.trainee, how, folder)
    if not launched().first:
        return
    print("\n".join(line for each in taught for line in each.said()))
    print(f'The model is in {folder / "model"}; ask it with: ponder ask --model {folder / "model"} "What is 3 * 4?"')


@dataclass(frozen=True, slots=True)
class Collecting:
    """What is asked before each training."""

    suite: str
    questions: int
    rounds: int
    effort: str
    reward: str


def in_turn(
    settings: Settings, asking: Collecting, opened: Callable[[str], Trainee], how: GRPOSettings, folder: Path
) -> list[Taught]:
    """Collect with the model as it is, learn, and again: each round begins with the weights of the one before.

    A round whose model is there is not done again.
    """
    from agent.assemble import MINI
    from rl.selection import Wanted
    from tui.collecting import asked

    name, taught = settings.model or str(MINI), []
    for turn in range(asking.rounds):
        place = folder / f"round-{turn}"
        if not (place / "model").is_dir():
            own = settings.model_copy(update={"model": name, "base_url": None})
            with bar() as draw:
                seed = how.seed * asking.rounds + turn
                run_ids = asked(own, asking.suite, asking.questions, asking.effort, seed, draw)
            wanted = Wanted(run_ids=run_ids)
            lesson = Lesson(wanted, asking.reward, files=files_in(asking.suite), steps=how.step_weight > 0)
            groups = partial(collected, settings, lesson)
            taught.append(learn(partial(opened, name), groups, replace(how, seed=seed), place))
        name = str(place / "model")
    opened(name).save(folder / "model")
    return taught


def files_in(suite: str) -> list[str]:
    """Those whose questions have to be read again to know what is right."""
    from rl.suites.named import is_file

    return [name for name in names_in(suite) if is_file(name)]


def one_of(known: Any, name: str, what: str) -> Any:
    """The name, which ``known``, a ``Literal``, has. Raises ``SettingsError``."""
    from agent.errors import SettingsError

    if name not in get_args(known):
        raise SettingsError(f"There is no {what} {name!r}; take one of {', '.join(get_args(known))}.")
    return name


def learn(trainee: Callable[[], Trainee], found: Callable[[Draw], Found], how: GRPOSettings, folder: Path) -> Taught:
    """From the log to a model in ``folder``, with bars and pictures."""
    from rl.plots import training_plot
    from rl.processes import launched
    from rl.teach import Watch, teach

    processes = launched()
    with bar() as draw:
        groups = found(draw)
        watch = Watch(lambda done, total: draw(total, done, "asking the model"), drawing(draw, folder))
        taught = teach(trainee(), groups, how, folder, watch=watch, processes=processes)
    if processes.first:
        training_plot(folder)
    return taught


def groups(
    path: Annotated[Path, typer.Argument(help="A .parquet or .jsonl file.")],
    names: Annotated[str, typer.Option(help="Whose columns: trl or verl.")] = "trl",
    reward: Reward = "with_gold",
    *,
    runs: Runs,
) -> None:
    """Write the log's groups, a trajectory a row with its reward and advantage, for other trainers."""
    from agent.errors import SettingsError
    from rl.export import PARTS, export_groups
    from tui.printer import printable

    if names not in PARTS:
        raise SettingsError(f"There are no columns of {names!r}; take one of {', '.join(PARTS)}.")
    with bar() as draw:
        found = collected(settings_for(), runs.lesson(reward), draw)
    written = export_groups(found.groups, path, names)
    print(printable(f"{written} trajectories of {len(found.groups)} groups written to {path}"))
    for why, count in found.left_out.most_common():
        print(f"  left out: {count} times: {why}")
