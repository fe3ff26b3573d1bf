"""``ponder train star``, ``dpo``, ``reward`` and ``distill``: what the log teaches besides groups that are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.choosing import (
    Adapter,
    Folder,
    Lesson,
    Lora,
    Reward,
    Runs,
    Threads,
    collected,
    names_in,
    prepared,
    trainee_of,
    with_runs,
)
from tui.options import ModelName, settings_for
from tui.progress import Draw, bar

if TYPE_CHECKING:
    from rl.optimise import Progress

Batch = Annotated[int, typer.Option(min=1, help="Rows a step.")]
AtOnce = Annotated[int, typer.Option(min=1, help="Of those, how many go through the model together.")]


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    train_app.command()(with_runs(star))


def star(
    folder: Folder,
    model: ModelName = None,
    reward: Reward = "with_gold",
    least: Annotated[float, typer.Option(min=0.0, max=1.0, help="The reward that a winner has.")] = 0.5,
    a_group: Annotated[int, typer.Option(min=1, help="Winners of a group, at most.")] = 1,
    epochs: float = 2.0,
    batch: Batch = 16,
    at_once: AtOnce = 4,
    learning_rate: float = 1e-5,
    lora: Lora = 0,
    adapter: Adapter = None,
    seed: int = 0,
    threads: Threads = 0,
    *,
    runs: Runs,
) -> None:
    """Learn the log's winners by heart: the best attempt of each group, if it is good. Resumes what is in FOLDER."""
    from agent.assemble import MINI
    from rl.engine import EngineSettings
    from rl.winners import Standard, learn, winners

    prepared(threads)
    settings = settings_for(model=model)
    how = EngineSettings(epochs, batch, at_once, learning_rate, seed=seed)
    with bar() as draw:
        groups = collected(settings, Lesson(runs.wanted, reward, names_in(runs.held_out)), draw)
        trainee = trainee_of(lora, adapter, settings.model or str(MINI))
        longest = trainee.model.config.max_position_embeddings
        found = winners(groups.groups, Standard(least, a_group), trainee.renderer.decode, longest)
        steps = learn(trainee, found, how, folder, drawing(draw))
    finished(folder, f"{len(found.members)} winners, {steps} steps.", groups.left_out + found.left_out)


def drawing(draw: Draw) -> Callable[[int, Progress], None]:
    """Shows the steps of a training."""

    def show(steps: int, progress: Progress) -> None:
        rate = progress.new_tokens / max(1e-9, progress.seconds)
        draw(steps, progress.step + 1, "training", f"loss {progress.loss:.4f}, {rate:.0f} tokens/s")

    return show


def finished(folder: Path, said: str, left_out: Counter[str]) -> None:
    """The picture, what was learned from, and where the model is."""
    from rl.plots import training_plot

    training_plot(folder)
    reasons = [f"  left out: {count} times: {why}" for why, count in left_out.most_common()]
    print("\n".join([said, *reasons]))
    print(f'The model is in {folder / "model"}; ask it with: ponder ask --model {folder / "model"} "What is 3 * 4?"')
