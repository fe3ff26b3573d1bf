"""What every training on the log asks a person: which runs to learn from, what is rewarded, what is trained.

``with_options`` gives a command those that several have, ``Runs``, ``Base`` and ``Weights``; the rest are types of
options, and what is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from tui.log import Thread, day
from tui.options import ModelName, settings_for
from tui.progress import Draw

if TYPE_CHECKING:
    from agent.settings import Settings
    from rl.groups import Found
    from rl.rewards import Rewarding
    from rl.selection import Wanted
    from rl.step_rewards import StepJudge
    from rl.tasks.task import Task
    from rl.trainee import Trainee

ALL = 10**9  # questions of a file
GENERATED = 1000  # of a generated suite, which training questions have nothing in common with by construction
RANK = 16  # of an adapter, where none is said

Reward = Annotated[str, typer.Option(help="with_gold, label_free, or verifiers and weights: gold,format=0.1.")]
Folder = Annotated[Path, typer.Argument(help="Where checkpoints, metrics, the plot and the model go.")]


@dataclass(frozen=True, slots=True)
class Runs:
    """Which runs of the log are learned from; each field is an option."""

    since: Annotated[datetime | None, day("on this day or later")] = None
    before: Annotated[datetime | None, day("before this day")] = None
    effort: Annotated[str | None, typer.Option(help="Only runs of these efforts, by commas.")] = None
    thread: Thread = None
    policy: Annotated[str | None, typer.Option(help="Only runs of this version of a model.")] = None
    tags: Annotated[str | None, typer.Option(help="Only runs with all of these tags, by commas.")] = None
    tasks: Annotated[
        str | None, typer.Option(help="Only these families, module:function, or files of questions, by commas.")
    ] = None
    feedback: Annotated[
        float | None, typer.Option(min=-1.0, max=1.0, help="Only runs of which people said so much or more.")
    ] = None
    held_out: Annotated[str | None, typer.Option(help="Suites whose questions must not be learned from.")] = None

    @property
    def wanted(self) -> Wanted:
        from agent.store import RunFilter
        from rl.selection import Wanted

        return Wanted(
            RunFilter(
                thread_id=self.thread, version=self.policy, since=date_of(self.since), before=date_of(self.before)
            ),
            efforts=names_in(self.effort),
            tags=names_in(self.tags),
            feedback=self.feedback,
            families=names_in(self.tasks),
        )

    def lesson(self, reward: str) -> Lesson:
        return Lesson(self.wanted, reward, names_in(self.held_out))


@dataclass(frozen=True, slots=True)
class Base:
    """What every training is told; each field is an option."""

    model: ModelName = None
    seed: int = 0
    threads: Annotated[int, typer.Option(help="0: what PyTorch chooses.")] = 0

    def begun(self) -> tuple[Settings, str]:
        """The settings, and the model that the training begins with. PyTorch and its libraries are prepared."""
        from agent.assemble import MINI

        prepared(self.threads)
        settings = settings_for(model=self.model)
        return settings, settings.model or str(MINI)


@dataclass(frozen=True, slots=True)
class Weights:
    """Which weights are trained; each field is an option."""

    lora: Annotated[int, typer.Option(min=0, help="The rank of an adapter to train instead of all weights.")] = 0
    adapter: Annotated[Path | None, typer.Option(help="A folder with an adapter to continue.")] = None

    def trainee(self, name: str) -> Trainee:
        from rl.trainee import adapted, whole

        return adapted(name, self.lora or RANK, self.adapter) if self.lora or self.adapter else whole(name)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of its keyword arguments, which are dataclasses such as ``Runs``."""
    given_to = signature(command, eval_str=True).parameters.values()
    own = [each for each in given_to if each.kind is not Parameter.KEYWORD_ONLY]
    several = {each.name: each.annotation for each in given_to if each.kind is Parameter.KEYWORD_ONLY}
    options = {name: options_of(kind) for name, kind in several.items()}

    @wraps(command)
    def whole(**given: Any) -> None:
        made = {
            name: kind(**{each.name: given.pop(each.name) for each in options[name]}) for name, kind in several.items()
        }
        command(**given, **made)

    everything = Signature([*own, *(option for each in options.values() for option in each)])
    whole.__signature__ = everything  # type: ignore[attr-defined] - where inspect, and with it Typer, looks first
    whole.__annotations__ = {name: each.annotation for name, each in everything.parameters.items()}
    return whole


def options_of(kind: type) -> list[Parameter]:
    """A keyword for each field of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in fields(kind)
    ]


def names_in(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def date_of(when: datetime | None) -> str | None:
    return when and when.date().isoformat()


def prepared(threads: int) -> None:
    """Torch with so many threads; no bars of its libraries between ours, and no news of what is as it should be."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if threads:
        torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from: which runs, and what is rewarded."""

    wanted: Wanted  # among whose families may be files of questions
    reward: str
    held_out: Sequence[str] = ()  # suites
    files: Sequence[str] = ()  # of questions that runs may be of, whichever are wanted
    steps: bool = False  # whether a process reward model rewards them


def collected(settings: Settings, lesson: Lesson, draw: Draw) -> Found:
    """The groups that the log has. Files are read, to know their questions and what is right."""
    import asyncio

    from agent.assemble import open_log
    from rl.rewards import rewards_of
    from rl.selection import learnable
    from rl.step_rewards import step_rewards_of
    from rl.suites.named import is_file
    from rl.tasks.suite import add_families, add_functions

    add_families(settings.tasks)
    add_functions(name for name in lesson.wanted.families if not is_file(name))
    own = {task.task_id: task for task in tasks_in(filter(is_file, lesson.wanted.families))}
    known = own | {task.task_id: task for task in tasks_in(lesson.files)}
    families = [name for name in lesson.wanted.families if not is_file(name)]
    wanted = replace(lesson.wanted, families=families, task_ids=own.keys())
    by, apart = rewarding(settings, lesson.reward, known), tasks_in(lesson.held_out)
    with open_log(settings) as log:
        steps = partial(step_rewards_of, by=step_judge(settings)) if lesson.steps else None
        return asyncio.run(learnable(log, wanted, partial(rewards_of, by=by), apart, partial(told, draw), steps))


def told(draw: Draw, done: int, total: int) -> None:
    draw(total, done, "reading the log")


def rewarding(settings: Settings, reward: str, known: Mapping[str, Task]) -> Rewarding:
    """Who says what an attempt earned; ``known`` are the tasks that no family here makes.

    Raises ``SettingsError`` and ``VerifierError``.
    """
    from agent.panel import open_verifiers, process_reward_name, step_delimiter_of
    from rl.judging import task_named
    from rl.rewards import Rewarding, weights_named
    from verifiers.reward import GOLD, TRAINING

    wanted = dict(weights_named(reward, settings.rewards))
    if reward in TRAINING and process_reward_name(settings) is None:
        wanted.pop("process_reward", None)
    names = [name for name in wanted if name != GOLD]
    verifiers = open_verifiers(settings, names)
    weights = {verifier.name: wanted[name] for name, verifier in zip(names, verifiers, strict=True)}
    weights |= {GOLD: wanted[GOLD]} if GOLD in wanted else {}
    return Rewarding(
        weights, verifiers, lambda task_id: known.get(task_id) or task_named(task_id), step_delimiter_of(settings)
    )


def step_judge(settings: Settings) -> StepJudge:
    """The settings' process reward model, and the tokenizer of the model that drew the samples.

    Raises ``SettingsError`` where none is named, ``RendererError`` and ``VerifierError``.
    """
    from agent.assemble import MINI
    from agent.panel import open_verifiers, step_delimiter_of
    from agent.policy.renderer import Renderer
    from rl.step_rewards import StepJudge

    [verifier] = open_verifiers(settings, ["process_reward"])
    return StepJudge(verifier, Renderer.load(settings.model or MINI), step_delimiter_of(settings))


def tasks_in(names: Iterable[str]) -> list[Task]:
    """All questions of files and data sets; the first thousand of each tier of a generated suite."""
    from rl.suites.named import is_file
    from tui.evaluation import suites_asked

    suites = [s for name in names for s in suites_asked(name, ALL if is_file(name) else GENERATED, 0, "held_out")]
    return [task for suite in suites for task in suite.tasks]
