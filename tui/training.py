"""``ponder train``: for now supervised fine-tuning, which is how the miniature is made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tui.options import ModelName


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    train_app.callback()(lambda: None)  # a group, although it has one command so far
    train_app.command()(sft)


def sft(
    folder: Annotated[Path, typer.Argument(help="Where checkpoints, metrics, the plot and the model go.")],
    model: ModelName = None,
    steps: int = 3300,
    batch: Annotated[int, typer.Option(help="Demonstrations a step.")] = 24,
    learning_rate: float = 4e-3,
    seed: int = 0,
    threads: Annotated[int, typer.Option(help="0: what PyTorch chooses.")] = 0,
) -> None:
    """Train on generated demonstrations: a new miniature, or the model of --model. Resumes what is in FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)  # before anything that takes long
    import torch
    from transformers.utils import logging

    from rl.sft import Progress, SFTSettings, export, loss_plot, prepare, train
    from tui.progress import bar

    logging.disable_progress_bar()  # of the weights' files, which would break into ours
    if threads:
        torch.set_num_threads(threads)
    settings = SFTSettings(
        steps=steps, batch=batch, learning_rate=learning_rate, embedding_rate=learning_rate, seed=seed
    )
    trained, renderer, schemas = prepare(model, seed)
    with bar() as draw:

        def report(progress: Progress) -> None:
            rate = progress.new_tokens / progress.seconds
            draw(steps, progress.step + 1, "training", f"loss {progress.loss:.3f}, {rate:.0f} tokens/s")

        train(trained, renderer, schemas, settings, folder, report)
    export(trained, renderer, folder / "model")
    loss_plot(folder)
    print(f'The model is in {folder / "model"}; ask it with: ponder ask --model {folder / "model"} "What is 3 * 4?"')
