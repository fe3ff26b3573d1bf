"""The loop of every training: a step's data, its gradient, an optimiser step, metrics, a checkpoint.

What a training is stands in a ``Course``. The data of step s is a pure function of s, so that a killed training resumes
where its last checkpoint left it and ends as if it had not been killed.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import torch

from rl.checkpoints import Standing, resume, save_checkpoint
from rl.muon import Muon

if TYPE_CHECKING:
    from transformers import PreTrainedModel

T = TypeVar("T")
Schedule = Literal["trapezoid", "cosine"]  # of the learning rate


@dataclass(frozen=True, slots=True)
class Learned:
    """What the gradient of one step came from."""

    loss: float
    tokens: int  # that went through the model
    more: Mapping[str, float] = field(default_factory=dict)  # metrics of this kind of training


@dataclass(frozen=True, slots=True)
class Course(Generic[T]):
    """A training: ``steps`` times ``learn`` from ``batch``."""

    steps: int
    batch: Callable[[int], T]  # the data of a step; made in a thread while the model works on the one before
    learn: Callable[[T], Learned]  # adds the step's gradient
    rates: Callable[[int], Sequence[float]]  # the learning rate of each optimiser
    shape: Callable[[int, Mapping[str, Any]], Mapping[str, Any]]  # what may not change, see ``checkpoints.resume``
    enough: Callable[[Mapping[str, float]], bool] = lambda metrics: False  # ends it, before the step is taken
    checkpoint_every: int = 100  # steps
    keeps: bool = True  # whether this process writes checkpoints and metrics: one of several does


@dataclass(frozen=True, slots=True)
class Progress:
    """What one optimiser step did."""

    step: int
    loss: float
    tokens: int  # tokens seen so far
    new_tokens: int  # of those, the ones seen since this process began
    seconds: float  # since this process began
    gradient_norm: float  # before it was clipped to 1
    more: Mapping[str, float] = field(default_factory=dict)


def follow(
    model: PreTrainedModel,
    optimizers: Sequence[torch.optim.Optimizer],
    course: Course[T],
    folder: Path,
    report: Callable[[Progress], None],
) -> int:
    """Train ``model`` in place; how many steps were taken.

    Checkpoints and ``metrics.jsonl`` go to ``folder``; a second call resumes from them.

    Ctrl-C ends it after the step under way, with a checkpoint. Raises ``TrainingError`` where ``folder`` holds another
    training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first, before = resume(model, optimizers, folder, course.shape)
    tokens, began = before, time.monotonic()
    forget_after(first, folder / "metrics.jsonl", course.keeps)
    model.train()
    with (folder / "metrics.jsonl" if course.keeps else Path(os.devnull)).open("a") as metrics, held() as asked:
        for step, data in prefetched(course.batch, first, course.steps):
            for optimizer, rate in zip(optimizers, course.rates(step), strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = rate
            learned = course.learn(data)
            if course.enough(learned.more):
                model.zero_grad(set_to_none=True)
                if course.keeps:
                    save_checkpoint(model, optimizers, folder, Standing(step, tokens, dict(course.shape(0, {}))))
                return step
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            tokens += learned.tokens
            seconds = time.monotonic() - began
            progress = Progress(step, learned.loss, tokens, tokens - before, seconds, float(norm), learned.more)
            line = asdict(progress)
            metrics.write(json.dumps(line | line.pop("more")) + "\n")
            metrics.flush()
            report(progress)
            due = (step + 1) % course.checkpoint_every == 0 or step + 1 == course.steps
            if course.keeps and (due or asked()):
                standing = Standing(step + 1, tokens, dict(course.shape(0, {})))
                save_checkpoint(model, optimizers, folder, standing)
            if asked() and step + 1 < course.steps:
                raise KeyboardInterrupt
    return course.steps


@contextmanager
def held() -> Iterator[Callable[[], bool]]:
    """While the block lasts the first Ctrl-C is only noted, and asked for; a second one interrupts."""
    before, noted = signal.getsignal(signal.SIGINT), []

    def note(signum: int, frame: FrameType | None) -> None:
        noted.append(signum)
        signal.signal(signal.SIGINT, before)

    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: False
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)


def forget_after(step: int, metrics: Path, keeps: bool) -> None:
    """Drop the lines of steps that a killed training took after its last checkpoint: they are taken again."""
    if not keeps or not metrics.exists():
        return
    lines = [line for line in metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]
    kept = [line for line in lines if json.loads(line)["step"] < step]
    part = metrics.with_suffix(".part")
    part.write_text("".join(kept))
    os.replace(part, metrics)


def places(step: int, batch: int, count: int, seed: int) -> list[int]:
    """Which of ``count`` rows a step takes: a pure function of seed and step, each row once in an epoch."""
    orders: dict[int, list[int]] = {}
    found = []
    for place in range(step * batch, (step + 1) * batch):
        epoch, index = divmod(place, count)
        if epoch not in orders:
            orders[epoch] = random.Random(f"{seed}/{epoch}").sample(range(count), count)
        found.append(orders[epoch][index])
    return found


def trapezoid(step: int, steps: int, warmup: int, decay: float) -> float:
    """A factor of the rates: warm-up, a plateau, a linear fall over the last ``decay`` of the steps.

    Hägele et al. 2024. The plateau doesn't know how long the training is.
    """
    return min(warmed_up(step, steps, warmup), (steps - step) / max(1.0, decay * steps))


def warmed_up(step: int, steps: int, warmup: int) -> float:
    """A linear rise over so many steps, but over no more than a tenth of them: a short training has to begin, too."""
    return min(1.0, (step + 1) / max(1, min(warmup, steps // 10)))


def cosine(step: int, steps: int, warmup: int) -> float:
    """A factor of the rates: warm-up, then half a wave from 1 towards 0 (Loshchilov & Hutter 2017)."""
    warmup = min(warmup, steps // 10)
    share = max(0, step + 1 - warmup) / max(1, steps + 1 - warmup)
    return warmed_up(step, steps, warmup) * (1 + math.cos(math.pi * share)) / 2


def scheduled(schedule: Schedule, step: int, steps: int, warmup: int, decay: float) -> float:
    """The factor of that schedule; a cosine knows no ``decay``."""
    return cosine(step, steps, warmup) if schedule == "cosine" else trapezoid(step, steps, warmup, decay)


def adamw(parameters: Iterable[torch.nn.Parameter], weight_decay: float) -> torch.optim.Optimizer:
    """For those that are trained."""
    return torch.optim.AdamW([p for p in parameters if p.requires_grad], betas=(0.9, 0.95), weight_decay=weight_decay)


def in_bfloat16(device: str) -> AbstractContextManager[object]:
    """Products in bfloat16 where the machine has instructions for it; a processor without takes 10 to 20 times as long
    for them as in float32.
    """
    there = device != "cpu" or any(torch.cpu.get_capabilities()[each] for each in ("avx512_bf16", "amx_bf16"))
    return torch.autocast(device, torch.bfloat16, enabled=there)


def muon_and_adamw(
    matrices: Sequence[torch.nn.Parameter], rest: Sequence[torch.nn.Parameter], weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms and heads."""
    return [Muon(matrices, weight_decay), adamw(rest, 0.0)]


def prefetched(make: Callable[[int], T], first: int, last: int) -> Iterator[tuple[int, T]]:
    """Steps with their data, the next one made in a thread while the model works."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, first) if first < last else None
        for step in range(first, last):
            assert waiting is not None
            data = waiting.result()
            waiting = pool.submit(make, step + 1) if step + 1 < last else None
            yield step, data
