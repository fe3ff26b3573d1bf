"""``ponder train grpo``: the groups that are in the log make the next version of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.log import Thread, day
from tui.options import ModelName, settings_for
from tui.progress import Draw, bar

if TYPE_CHECKING:
    from agent.settings import Settings
    from rl.groups import Found
    from rl.grpo import GRPOSettings
    from rl.optimise import Progress
    from rl.rewards import Rewarding
    from rl.selection import Wanted
    from rl.tasks.task import Task
    from rl.teach import Taught
    from rl.trainee import Trainee

ALL = 10**9  # questions of a file
RANK = 16  # of an adapter, where none is said
GENERATED = 1000  # of a generated suite, which training questions have nothing in common with by construction


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    train_app.command()(grpo)


def grpo(
    folder: Annotated[Path, typer.Argument(help="Where checkpoints, metrics, the plot and the model go.")],
    model: ModelName = None,
    reward: Annotated[
        str, typer.Option(help="with_gold, label_free, or verifiers and weights: gold,format=0.1.")
    ] = "with_gold",
    variant: Annotated[str, typer.Option(help="grpo, dr_grpo, dapo, gspo or rloo.")] = "grpo",
    epochs: float = 1.0,
    batch: Annotated[int, typer.Option(min=1, help="Groups a step.")] = 16,
    learning_rate: float = 2e-5,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    kl: Annotated[float, typer.Option(min=0.0, help="Weight of the divergence from the model it begins with.")] = 0.0,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Compare with the mean of the others.")
    ] = False,
    lora: Annotated[int, typer.Option(min=0, help="The rank of an adapter to train instead of all weights.")] = 0,
    adapter: Annotated[Path | None, typer.Option(help="A folder with an adapter to continue.")] = None,
    since: Annotated[datetime | None, day("on this day or later")] = None,
    before: Annotated[datetime | None, day("before this day")] = None,
    effort: Annotated[str | None, typer.Option(help="Only runs of these efforts, by commas.")] = None,
    thread: Thread = None,
    policy: Annotated[str | None, typer.Option(help="Only runs of this version of a model.")] = None,
    tags: Annotated[str | None, typer.Option(help="Only runs with all of these tags, by commas.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these families, or files of questions, by commas.")] = None,
    feedback: Annotated[
        float | None, typer.Option(min=-1.0, max=1.0, help="Only runs of which people said so much or more.")
    ] = None,
    held_out: Annotated[str | None, typer.Option(help="Suites whose questions must not be learned from.")] = None,
    collect: Annotated[
        str | None,
        typer.Option(help="Suites to ask questions of between trainings, instead of learning from the log as it is."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of collecting and learning.")] = 4,
    questions: Annotated[int, typer.Option(min=1, help="Of each tier that a round collects.")] = 32,
    seed: int = 0,
    threads: Annotated[int, typer.Option(help="0: what PyTorch chooses.")] = 0,
) -> None:
    """Train on the log's groups of attempts, sampling nothing. Resumes what is in FOLDER."""
    import torch
    from transformers.utils import logging

    from agent.assemble import MINI
    from agent.store import RunFilter
    from rl.grpo import GRPOSettings
    from rl.loss import LossSettings
    from rl.selection import Wanted

    logging.disable_progress_bar()
    if threads:
        torch.set_num_threads(threads)
    settings = settings_for(model=model)
    how = GRPOSettings(
        LossSettings(variant_named(variant), clip_low, clip_high, kl),
        baseline="leave_one_out" if leave_one_out else "mean",
        batch=batch,
        epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
    )
    wanted = Wanted(
        RunFilter(thread_id=thread, version=policy, since=date_of(since), before=date_of(before)),
        efforts=names_in(effort),
        tags=names_in(tags),
        feedback=feedback,
        families=names_in(tasks),
    )
    opened = partial(trainee_of, lora, adapter)
    if collect is None:
        groups = partial(collected, settings, wanted, reward, names_in(held_out))
        taught = [learn(partial(opened, settings.model or str(MINI)), groups, how, folder)]
    else:
        asking = Collecting(collect, questions, rounds, effort or "high", reward)
        taught = in_turn(settings, asking, opened, how, folder)
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
    from dataclasses import replace

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
            wanted = Wanted(run_ids=frozenset(run_ids), families=files_in(asking.suite))
            groups = partial(collected, settings, wanted, asking.reward, [])
            taught.append(learn(partial(opened, name), groups, replace(how, seed=seed), place))
        name = str(place / "model")
    opened(name).save(folder / "model")
    return taught


def files_in(suite: str) -> list[str]:
    """Those whose questions have to be read again to know what is right."""
    from rl.suites.named import is_file

    return [name for name in names_in(suite) if is_file(name)]


def trainee_of(lora: int, adapter: Path | None, name: str) -> Trainee:
    from rl.trainee import adapted, whole

    return adapted(name, lora or RANK, adapter) if lora or adapter else whole(name)


def names_in(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def date_of(when: datetime | None) -> str | None:
    return when and when.date().isoformat()


def variant_named(name: str) -> Any:
    """Raises ``SettingsError``."""
    from typing import get_args

    from agent.errors import SettingsError
    from rl.loss import Variant

    if name not in get_args(Variant):
        raise SettingsError(f"There is no variant {name!r}; take one of {', '.join(get_args(Variant))}.")
    return name


def learn(trainee: Callable[[], Trainee], found: Callable[[Draw], Found], how: GRPOSettings, folder: Path) -> Taught:
    """From the log to a model in ``folder``, with bars and pictures."""
    from rl.plots import training_plot
    from rl.processes import launched
    from rl.teach import Watch, teach

    processes = launched()
    with bar() as draw:

        def training(steps: int, progress: Progress) -> None:
            rate = progress.new_tokens / progress.seconds
            draw(steps, progress.step + 1, "training", f"loss {progress.loss:+.4f}, {rate:.0f} tokens/s")

        groups = found(draw)
        watch = Watch(lambda done, total: draw(total, done, "asking the model"), training)
        taught = teach(trainee(), groups, how, folder, watch=watch, processes=processes)
    if processes.first:
        training_plot(folder)
    return taught


def collected(settings: Settings, wanted: Wanted, reward: str, held_out: list[str], draw: Draw) -> Found:
    """The groups that the log has."""
    import asyncio

    from agent.assemble import open_log
    from rl.rewards import rewards_of
    from rl.selection import learnable

    by = rewarding(settings, reward, wanted.families)
    apart = tasks_in(held_out)
    with open_log(settings) as log:
        tell = partial(told, draw)
        return asyncio.run(learnable(log, wanted, lambda run: rewards_of(run, by), apart, tell))


def told(draw: Draw, done: int, total: int) -> None:
    draw(total, done, "reading the log")


def rewarding(settings: Settings, reward: str, families: Sequence[str]) -> Rewarding:
    """Who says what an attempt earned. Raises ``SettingsError`` and ``VerifierError``."""
    from agent.panel import open_verifiers, process_reward_name, step_delimiter_of
    from rl.judging import task_named
    from rl.rewards import Rewarding, weights_named
    from rl.suites.named import is_file
    from verifiers.reward import GOLD, TRAINING

    wanted = dict(weights_named(reward, settings.rewards))
    if reward in TRAINING and process_reward_name(settings) is None:
        wanted.pop("process_reward", None)
    names = [name for name in wanted if name != GOLD]
    verifiers = open_verifiers(settings, names)
    weights = {verifier.name: wanted[name] for name, verifier in zip(names, verifiers, strict=True)}
    weights |= {GOLD: wanted[GOLD]} if GOLD in wanted else {}
    known = {task.task_id: task for task in tasks_in([name for name in families if is_file(name)])}
    return Rewarding(
        weights, verifiers, lambda task_id: known.get(task_id) or task_named(task_id), step_delimiter_of(settings)
    )


def tasks_in(names: Iterable[str]) -> list[Task]:
    """All questions of files and data sets; the first thousand of each tier of a generated suite."""
    from rl.suites.named import is_file
    from tui.evaluation import suites_asked

    suites = [s for name in names for s in suites_asked(name, ALL if is_file(name) else GENERATED, 0, "held_out")]
    return [task for suite in suites for task in suite.tasks]
