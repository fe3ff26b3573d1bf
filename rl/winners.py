"""Winners of the log as demonstrations: rejection sampling fine-tuning, without sampling anything.

STaR (Zelikman et al. 2022) and RFT (Yuan et al. 2023) keep what was right and learn it by heart. Here that is the best
members of each group, with the very tokens that were sampled: nothing is rendered or tokenised again, and no loss falls
on prompts and tools. ``ponder train star`` calls it; TRL's SFTTrainer trains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from rl.checkpoints import TrainingError
from rl.engine import EngineSettings, Quiet, run
from rl.groups import Group, Member
from rl.optimise import Progress
from rl.tasks.task import digest
from rl.trainee import Trainee

IGNORED = -100  # the label of a token that no loss falls on


@dataclass(frozen=True, slots=True)
class Standard:
    """Who wins."""

    least: float = 0.5  # reward
    a_group: int = 1  # at most so many


@dataclass(frozen=True, slots=True)
class Winners:
    """What is learned, and why the rest is not."""

    members: tuple[Member, ...]
    left_out: Counter[str]  # members by reason


class WinnersTrainer(Quiet, SFTTrainer):
    """On rows that are ready."""


def winners(
    groups: Iterable[Group], standard: Standard, text_of: Callable[[Sequence[int]], str], longest: int
) -> Winners:
    """The best members of each group, if they are good enough; equals by text after one prompt are one.

    ``longest`` is how many tokens the model reads.
    """
    left_out: Counter[str] = Counter()
    kept: dict[object, Member] = {}
    for group in groups:
        best, taken = max(member.reward for member in group.members), 0
        for member in group.members:
            key = spoken(member, text_of)
            if why := refused(member, best, standard, longest):
                left_out[why] += 1
            elif key in kept:
                left_out["another winner says the same"] += 1
            elif taken == standard.a_group:
                left_out[f"{standard.a_group} of its group are enough"] += 1
            else:
                kept[key], taken = member, taken + 1
    return Winners(tuple(kept.values()), left_out)


def refused(member: Member, best: float, standard: Standard, longest: int) -> str | None:
    """Why a member does not win; None where it does."""
    if member.reward < standard.least:
        return f"its reward is below {standard.least:g}"
    if member.reward < best:
        return "another one of its group is better"
    return "it is longer than the model reads" if len(member.token_ids) > longest else None


def spoken(member: Member, text_of: Callable[[Sequence[int]], str]) -> tuple[object, str]:
    """The prompt, and what was sampled, as text."""
    start = member.learn.index(True)
    sampled = [token for token, own in zip(member.token_ids, member.learn, strict=True) if own]
    return member.token_ids[:start], text_of(sampled)


def row(member: Member) -> dict[str, list[int]]:
    """As TRL's SFTTrainer takes it."""
    labels = [token if own else IGNORED for token, own in zip(member.token_ids, member.learn, strict=True)]
    return {"input_ids": list(member.token_ids), "labels": labels}


def learn(
    trainee: Trainee,
    found: Winners,
    how: EngineSettings,
    folder: Path,
    report: Callable[[int, Progress], None] = lambda steps, progress: None,
) -> int:
    """Train on the winners and write the model to ``folder``/model; returns the steps. A second call resumes.

    Raises ``TrainingError`` where there is no winner, with the reasons.
    """
    if not found.members:
        raise TrainingError(f"Nobody in the log has won ({because(found.left_out)}); ask for less with --least.")
    rows = [row(member) for member in found.members]
    trainer = WinnersTrainer(
        model=trainee.model,
        args=SFTConfig(**how.arguments(folder), dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=Dataset.from_list(rows),
        processing_class=trainee.renderer.tokenizer,
    )
    steps = run(trainer, folder, shape_of(how, rows), report)
    if trainer.is_world_process_zero():
        trainee.save(folder / "model")
    return steps


def shape_of(how: EngineSettings, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What may not change while a training goes on."""
    free = ("checkpoint_every", "at_once")
    shape = {name: value for name, value in asdict(how).items() if name not in free}
    return shape | {"rows": f"{digest(repr(rows)):016x}"}


def because(left_out: Mapping[str, int]) -> str:
    """The reasons in words."""
    said = sorted(left_out.items(), key=lambda each: -each[1])
    return "; ".join(f"{count} times: {why}" for why, count in said) or "there is no such run"
