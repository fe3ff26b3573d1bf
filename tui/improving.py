"""``ponder improve``: collect, learn, judge, promote, as one command that goes on where it stopped."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.options import ModelName, settings_for
from tui.progress import bar

if TYPE_CHECKING:
    from agent.settings import Settings
    from rl.gate_records import GateSettings, Mixture
    from rl.gating import Step
    from rl.grpo import GRPOSettings
    from tui.progress import Draw


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    app.command()(improve)


def improve(
    folder: Annotated[Path, typer.Argument(help="Where each turn keeps its training and its decision.")],
    suite: Annotated[str, typer.Argument(help="What is asked: families, family/tier, hard, FILE.jsonl. By commas.")],
    model: ModelName = None,
    questions: Annotated[int, typer.Option(min=1, help="Of each tier that a turn collects.")] = 100,
    turns: Annotated[int, typer.Option(min=1, help="How many turns to take.")] = 1,
    every: Annotated[float, typer.Option(min=0.0, help="Hours from the start of a turn to that of the next.")] = 0.0,
    reward: Annotated[str, typer.Option(help="with_gold, label_free, or names and weights: gold,format=0.1.")] = (
        "with_gold"
    ),
    effort: Annotated[str, typer.Option("--effort", "-e", help="With which the questions are asked.")] = "high",
    epochs: float = 2.0,
    learning_rate: float = 3e-4,
    lora: Annotated[int, typer.Option(min=0, help="The rank of an adapter to train instead of all weights.")] = 0,
    primary: Annotated[
        str | None, typer.Option(help="What the gate wants better; the hard tiers of all families by default.")
    ] = None,
    most: Annotated[int, typer.Option(min=30, help="Questions of the gate's primary suite.")] = 2000,
    margin: Annotated[float, typer.Option(help="By how much a guard must be shown not to be worse.")] = 0.05,
    seed: int = 0,
) -> None:
    """Collect attempts, learn from them, judge the candidate, and promote it if it is better. Resumes what it began."""
    from rl.gate_records import GateSettings
    from rl.grpo import GRPOSettings
    from rl.improve import turns as taken

    settings = settings_for(model=model)
    how = GRPOSettings(epochs=epochs, learning_rate=learning_rate, seed=seed)
    gate = GateSettings(most=most, first=min(120, most), margin=margin)
    gate = replace(gate, primary=mixture_of(primary)) if primary else gate
    turn = Turn(suite, questions, effort, reward, lora)
    for number in range(taken(folder), turns):
        began = time.time()
        print(take(settings, folder / f"turn-{number}", number, turn, how, gate))
        if number + 1 < turns and every:
            time.sleep(max(0.0, began + 3600 * every - time.time()))


def mixture_of(names: str) -> Mixture:
    """Of suites by commas. Raises ``SettingsError``."""
    from rl.gate_records import Mixture
    from tui.evaluation import suites_named

    return Mixture(names, tuple(suites_named(names)))


@dataclass(frozen=True, slots=True)
class Turn:
    """What is collected, and what is learned from it."""

    suite: str
    questions: int
    effort: str
    reward: str
    lora: int


def take(settings: Settings, place: Path, number: int, turn: Turn, how: GRPOSettings, gate: GateSettings) -> str:
    """One turn, from the questions to the decision; what came of it, in words."""
    import asyncio

    from rl.improve import at, begun, enter, judge, learned_from, named_at, server_with, settle, trainee_of
    from rl.selection import Wanted
    from tui.choosing import Lesson, collected
    from tui.collecting import asked
    from tui.grpo import files_in, learn

    how = replace(how, seed=how.seed + number)
    incumbent = begun(settings, place)
    server = asyncio.run(server_with(settings, incumbent))
    own = at(settings, named_at(server, incumbent), server)
    with bar() as draw:
        run_ids = learned_from(settings, place, asked(own, turn.suite, turn.questions, turn.effort, how.seed, draw))
    lesson = Lesson(Wanted(run_ids=run_ids), turn.reward, files=files_in(turn.suite))
    taught = learn(partial(trainee_of, incumbent, turn.lora), partial(collected, settings, lesson), how, place)
    described = asdict(turn) | asdict(how)
    candidate = enter(settings, place / "model", incumbent, taught, described, how.seed)
    print("\n".join(taught.said()))
    with bar() as draw:
        decision = asyncio.run(judge(settings, candidate, incumbent, number, gate, partial(told, draw)))
    settle(settings, candidate, decision, place / "decision.json")
    return f"{decision.table()}\n\n{decision.said()}"


def told(draw: Draw, step: Step) -> None:
    draw(step.total, step.done, f"gate: {step.suite} ({step.total})")
