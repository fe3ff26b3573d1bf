"""``ponder train star``, ``dpo``, ``reward`` and ``distill``: what the log teaches besides groups that are compared."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.choosing import (
    Base,
    Folder,
    Reward,
    Runs,
    Weights,
    collected,
    names_in,
    tasks_in,
    told,
    with_options,
)
from tui.progress import Draw, bar, drawing, speaks

if TYPE_CHECKING:
    from agent.settings import Settings
    from rl.preference import Contrast, Pairs

Batch = Annotated[int, typer.Option(min=1, help="Rows a step.")]
Margin = Annotated[float, typer.Option(min=0.0, help="The least difference of rewards, or of people's values.")]
APair = Annotated[int, typer.Option(min=1, help="Pairs of a group, at most.")]
AtOnce = Annotated[int, typer.Option(min=1, help="Of those, how many go through the model together.")]


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    train_app.command()(with_options(star))
    train_app.command()(with_options(dpo))
    train_app.command("reward")(with_options(reward_model))
    train_app.command()(with_options(distill))


def star(
    folder: Folder,
    reward: Reward = "with_gold",
    least: Annotated[float, typer.Option(min=0.0, max=1.0, help="The reward that a winner has.")] = 0.5,
    a_group: Annotated[int, typer.Option(min=1, help="Winners of a group, at most.")] = 1,
    epochs: float = 2.0,
    batch: Batch = 16,
    at_once: AtOnce = 4,
    learning_rate: float = 1e-5,
    *,
    base: Base,
    weights: Weights,
    runs: Runs,
) -> None:
    """Learn the log's winners by heart: the best attempt of each group, if it is good. Resumes what is in FOLDER."""
    from rl.engine import EngineSettings
    from rl.winners import Standard, learn, winners

    settings, name = base.begun()
    how = EngineSettings(epochs, batch, at_once, learning_rate, seed=base.seed)
    with bar() as draw:
        groups = collected(settings, runs.lesson(reward), draw)
        trainee = weights.trainee(name)
        longest = trainee.model.config.max_position_embeddings
        found = winners(groups.groups, Standard(least, a_group), trainee.renderer.decode, longest)
        steps = learn(trainee, found, how, folder, drawing(draw, folder))
    finished(
        folder, f"{len(found.members)} winners, {steps} steps.", groups.left_out + found.left_out, asked_with(folder)
    )


def dpo(
    folder: Folder,
    reward: Reward = "with_gold",
    margin: Margin = 0.1,
    a_group: APair = 1,
    beta: Annotated[float, typer.Option(min=1e-6, help="How much it is held to the model that it begins with.")] = 0.1,
    epochs: float = 1.0,
    batch: Batch = 16,
    at_once: AtOnce = 4,
    learning_rate: float = 1e-6,
    *,
    base: Base,
    weights: Weights,
    runs: Runs,
) -> None:
    """Train on pairs of attempts, the better against the worse, by rewards and by people. Resumes what is in FOLDER."""
    from rl.dpo import learn
    from rl.engine import EngineSettings
    from rl.preference import Contrast

    settings, name = base.begun()
    how = EngineSettings(epochs, batch, at_once, learning_rate, seed=base.seed)
    with bar() as draw:
        found = pairs_of(settings, runs, reward, Contrast(margin, a_group), draw)
        trainee = weights.trainee(name)
        pairs, steps = learn(trainee, found, how, beta, folder, drawing(draw, folder))
    finished(folder, f"{len(pairs.pairs)} pairs, {steps} steps.", pairs.left_out, asked_with(folder))


def reward_model(
    folder: Folder,
    reward: Reward = "with_gold",
    margin: Margin = 0.1,
    a_group: APair = 1,
    epochs: float = 1.0,
    batch: Batch = 16,
    at_once: AtOnce = 4,
    learning_rate: float = 1e-5,
    *,
    base: Base,
    runs: Runs,
) -> None:
    """Train a model that says how good a finished attempt is, on pairs as of dpo. Resumes what is in FOLDER."""
    from agent.assemble import open_log
    from agent.policy.attempts import AttemptEncoder
    from rl.engine import EngineSettings
    from rl.preference import Contrast
    from rl.reward_model import comparisons, learn, new_model

    settings, name = base.begun()
    how, encode = EngineSettings(epochs, batch, at_once, learning_rate, seed=base.seed), AttemptEncoder.load(name)
    with bar() as draw:
        pairs = pairs_of(settings, runs, reward, Contrast(margin, a_group), draw)
        trained = new_model(name)
        with open_log(settings) as log:
            found = comparisons(log, pairs, encode, trained.config.max_position_embeddings)
        judged = learn(trained, encode, found, how, folder, drawing(draw, folder))
    told_apart = f"{judged.accuracy:.3f} of {judged.held_out} told apart" if judged.held_out else "none to judge it by"
    said = f"{judged.pairs} pairs, {judged.steps} steps; held out: {told_apart}."
    finished(folder, said, found.left_out, f"Use it with: PONDER_OUTCOME_REWARD={folder / 'model'} ponder ask ...")


def pairs_of(settings: Settings, runs: Runs, reward: str, contrast: Contrast, draw: Draw) -> Pairs:
    """Those of the log, by rewards and by people."""
    from agent.assemble import open_log
    from rl.preference import Pairs, rewarded, said

    groups = collected(settings, runs.lesson(reward), draw)
    by_reward = rewarded(groups.groups, contrast)
    with open_log(settings) as log:
        by_people = said(log, runs.wanted, contrast, tasks_in(names_in(runs.held_out)))
    left_out = groups.left_out + by_reward.left_out + by_people.left_out
    return Pairs(by_people.pairs + by_reward.pairs, left_out)


def distill(
    folder: Folder,
    teacher: Annotated[str, typer.Option(help="A folder of weights with the student's tokenizer.")],
    epochs: float = 1.0,
    batch: Annotated[int, typer.Option(min=1, help="Runs a step.")] = 8,
    learning_rate: float = 1e-5,
    *,
    base: Base,
    weights: Weights,
    runs: Runs,
) -> None:
    """Make the model more like a teacher, at every token that it sampled into the log. Resumes what is in FOLDER."""
    from agent.assemble import open_log
    from rl.distill import DistillSettings, learn, samples, teacher_of
    from rl.processes import launched

    settings, name = base.begun()
    how = DistillSettings(batch, epochs, learning_rate=learning_rate, seed=base.seed)
    with bar() as draw:
        trainee = weights.trainee(name)
        other = teacher_of(teacher, trainee.renderer)
        longest = min(each.config.max_position_embeddings for each in (trainee.model, other))
        apart = tasks_in(names_in(runs.held_out))
        with open_log(settings) as log:
            found = samples(log, runs.wanted, longest, apart, lambda done, total: told(draw, done, total))
        steps = learn(trainee, other, found, how, folder, drawing(draw, folder), launched())
    by = ", ".join(f"{who} ({count})" for who, count in found.policies.most_common())
    said = f"{found.policies.total()} samples of {len(found.rows)} runs, {steps} steps; drawn by {by}."
    finished(folder, said, found.left_out, asked_with(folder))


def asked_with(folder: Path) -> str:
    model = folder / "model"
    return f'The model is in {model}; ask it with: ponder ask --model {model} "What is 3 * 4?"'


def finished(folder: Path, said: str, left_out: Counter[str], use: str) -> None:
    """The picture of a training, what was learned from, and how to use what came of it."""
    from rl.plots import training_plot

    if speaks():
        training_plot(folder)
        print("\n".join([said, *(f"  left out: {count} times: {why}" for why, count in left_out.most_common()), use]))
