"""``ponder train``: supervised fine-tuning, which is how the miniature is made, and process reward models."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tui.options import ModelName, settings_for


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    train_app.command()(sft)
    train_app.command()(prm)


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

    from rl.sft import SFTSettings, export, loss_plot, prepare, train
    from tui.progress import bar, drawing

    logging.disable_progress_bar()  # of the weights' files, which would break into ours
    if threads:
        torch.set_num_threads(threads)
    settings = SFTSettings(
        steps=steps, batch=batch, learning_rate=learning_rate, embedding_rate=learning_rate, seed=seed
    )
    trained, renderer, schemas = prepare(model, seed)
    with bar() as draw:
        train(trained, renderer, schemas, settings, folder, partial(drawing(draw, folder), steps))
    export(trained, renderer, folder / "model")
    loss_plot(folder)
    print(f'The model is in {folder / "model"}; ask it with: ponder ask --model {folder / "model"} "What is 3 * 4?"')


def prm(
    folder: Annotated[Path, typer.Argument(help="Where checkpoints, metrics, the plots and the model go.")],
    model: ModelName = None,
    epochs: float = 2.0,
    batch: Annotated[int, typer.Option(help="Attempts a step.")] = 48,
    learning_rate: float = 1e-3,
    demonstrations: Annotated[
        int, typer.Option(min=0, help="Generated demonstrations to learn from as well, most with a mistake.")
    ] = 0,
    delimiter: Annotated[str, typer.Option(help=r"What ends a step inside a thought; \n is a new line.")] = r"\n",
    since: Annotated[str | None, typer.Option(help="Only runs that began then or later.")] = None,
    seed: int = 0,
    threads: Annotated[int, typer.Option(help="0: what PyTorch chooses.")] = 0,
) -> None:
    """Train a process reward model on the steps of logged attempts at training tasks. Resumes what is in FOLDER."""
    import torch
    from transformers.utils import logging

    from agent.assemble import MINI, open_log
    from rl import prm as training
    from rl.sft import loss_plot
    from tui.evaluation import counter
    from tui.progress import bar, drawing

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # that the layer over the classes is new is the point of it
    if threads:
        torch.set_num_threads(threads)
    app_settings, ends = settings_for(model=model), delimiter.encode().decode("unicode_escape")
    settings = training.PRMSettings(
        epochs=epochs, batch=batch, learning_rate=learning_rate, other_rate=learning_rate, seed=seed
    )
    encode = training.encoder(app_settings.model or str(MINI), ends)
    with bar() as draw:
        with open_log(app_settings) as log:
            examples = training.examples(log, ends, since, lambda done, total: draw(total, done, "reading the log", ""))
        learned, judged = training.split(examples)
        folder.mkdir(parents=True, exist_ok=True)  # before anything that takes long, and not for nothing
        learned += training.demonstrations(
            demonstrations, seed, ends, lambda done, total: draw(total, done, "demonstrations", "")
        )
        trained = training.new_model(app_settings.model or str(MINI), ends)
        rows = training.tagged(learned, encode, trained.config.max_position_embeddings)
        report = partial(drawing(draw, folder), training.step_count(rows, settings))
        training.train(trained, rows, encode.tag_id, settings, folder, report)
        found = training.finish(trained, encode, judged, folder, counter(draw, "calibrating", len(judged)))
    loss_plot(folder)
    checked = (
        f"{found.accuracy:.3f} of {found.checked} steps are told right from wrong ({found.base_rate:.3f} are right, "
        f"area under the curve {found.auc:.3f})"
        if found.checked
        else "no checks"
    )
    print(
        f"{len(rows)} attempts learned, {len(judged)} held out: {checked}; calibration error {found.ece_before:.3f}, "
        f"{found.ece_after:.3f} after a temperature of {found.temperature:.2f}.\n"
        f"Use it with: PONDER_PROCESS_REWARD={folder / 'model'} ponder ask ..."
    )
