"""On-policy distillation (Agarwal et al. 2024): a teacher says at every token of the student what it would do.

The loss is the divergence of the student from the teacher (reverse KL), over the whole vocabulary, after what stands
before each sampled token. The samples are those of the log: nothing is sampled here. A run's samples go through both
models as one tree (``trie``), each token once. ``ponder train distill`` calls ``learn``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.checkpoint import checkpoint

from agent.policy.model import load_model, version_of
from agent.policy.renderer import Renderer
from agent.records import Run
from agent.store import Store
from rl.checkpoints import TrainingError
from rl.contamination import Finder
from rl.groups import refused
from rl.optimise import Course, Learned, Progress, adamw, follow, places, trapezoid
from rl.processes import ALONE, Processes
from rl.selection import Tell, Wanted, chosen
from rl.tasks.task import Task, digest
from rl.trainee import Trainee
from rl.trie import build, hidden, parts
from rl.winners import because

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CHUNK = 512  # places whose distributions over the vocabulary are in memory together


@dataclass(frozen=True, slots=True)
class DistillSettings:
    """How to train."""

    batch: int = 8  # runs a step
    epochs: float = 1.0
    micro_tokens: int = 4_000  # most tokens of a tree that goes through the models at once; one run may have more
    learning_rate: float = 1e-5  # of AdamW, at its peak
    warmup: int = 5
    decay: float = 0.3  # the share of the steps, at the end, over which the rate falls to 0
    seed: int = 0
    checkpoint_every: int = 20


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was sampled in one run."""

    run_id: str
    sequences: tuple[tuple[int, ...], ...]  # of each sample: its prompt, and what was sampled
    starts: tuple[int, ...]  # where that begins

    @property
    def sampled(self) -> int:
        return sum(len(ids) - start for ids, start in zip(self.sequences, self.starts, strict=True))


@dataclass(frozen=True, slots=True)
class Samples:
    """What there is to learn from, and what is not, by reason."""

    rows: tuple[Drawn, ...]
    left_out: Counter[str]
    policies: Counter[str]  # who drew how many samples


# --- data -------------------------------------------------------------------------------------------------------------


def samples(
    log: Store,
    wanted: Wanted,
    longest: int,
    held_out: Iterable[Task] = (),
    tell: Tell = lambda done, total: None,
) -> Samples:
    """Every sample of the runs that are chosen, judged or not; ``longest`` is how many tokens both models read."""
    runs, left_out = chosen(log, wanted)
    finder, known = Finder(held_out), set[object]()
    rows, policies = list[Drawn](), Counter[str]()
    for done, listed in enumerate(runs, 1):
        if finder.stands_in(listed.question):
            left_out["its question stands in a held-out task"] += 1
        elif (row := drawn(log.run(listed.run_id), longest, known, left_out)).sequences:
            rows.append(row)
            policies[str(listed.policy)] += len(row.sequences)
        tell(done, len(runs))
    return Samples(tuple(rows), left_out, policies)


def drawn(run: Run, longest: int, known: set[object], left_out: Counter[str]) -> Drawn:
    """What of a run can be learned from; the rest is counted. ``known`` are the samples of the runs before."""
    found: list[tuple[tuple[int, ...], int]] = []
    for node in run.nodes:
        sample = node.sample
        token_ids = (*sample.prompt_token_ids, *sample.token_ids)
        same = (token_ids, sample.params.seed)
        if why := refused(node):
            left_out[why] += 1
        elif len(token_ids) > longest:
            left_out["it is longer than the models read"] += 1
        elif same in known:
            left_out["drawn in another run, token for token"] += 1
        else:
            known.add(same)
            found.append((token_ids, len(sample.prompt_token_ids)))
    return Drawn(run.run_id, tuple(ids for ids, _ in found), tuple(start for _, start in found))


# --- the teacher ------------------------------------------------------------------------------------------------------


def teacher_of(name: str, student: Renderer) -> PreTrainedModel:
    """That model, which nothing changes. Raises ``TrainingError`` where its tokens are others, and ``PolicyError``."""
    theirs, ours = Renderer.load(name).tokenizer.get_vocab(), student.tokenizer.get_vocab()
    if theirs != ours:
        differ = len(theirs.items() ^ ours.items())
        raise TrainingError(
            f"{name} reads text as other tokens than the student ({differ} differ); take a teacher with its tokenizer."
        )
    return load_model(name).requires_grad_(False).eval()


# --- training ---------------------------------------------------------------------------------------------------------


def learn(
    trainee: Trainee,
    teacher: PreTrainedModel,
    found: Samples,
    how: DistillSettings,
    folder: Path,
    report: Callable[[int, Progress], None] = lambda steps, progress: None,
    processes: Processes = ALONE,
) -> int:
    """Train on the samples and write the model to ``folder``/model; returns the steps. A second call resumes.

    Raises ``TrainingError`` where there is no sample, with the reasons.
    """
    if not found.rows:
        sentence = f"The log has no sample to learn from ({because(found.left_out)}); ask some questions first."
        raise TrainingError(sentence)
    steps = max(1, math.ceil(how.epochs * len(found.rows) / how.batch))
    train(trainee.model, teacher, found.rows, how, steps, folder, lambda progress: report(steps, progress), processes)
    if processes.first:
        trainee.save(folder / "model")
    return steps


def train(
    model: PreTrainedModel,
    teacher: PreTrainedModel,
    rows: Sequence[Drawn],
    how: DistillSettings,
    steps: int,
    folder: Path,
    report: Callable[[Progress], None],
    processes: Processes = ALONE,
) -> None:
    """Train those of the student's weights that want gradients, in place, see ``optimise.follow``."""
    shape = asdict(how) | {"rows": fingerprint(rows), "teacher": str(version_of(teacher))}
    del shape["checkpoint_every"], shape["micro_tokens"]
    course = Course(
        steps,
        batch=lambda step: [rows[place] for place in places(step, how.batch, len(rows), how.seed)],
        learn=lambda batch: accumulate(model, teacher, batch, how.micro_tokens, processes),
        rates=lambda step: [how.learning_rate * trapezoid(step, steps, how.warmup, how.decay)],
        shape=lambda step, then: shape,
        checkpoint_every=how.checkpoint_every,
        keeps=processes.first,
    )
    follow(model, [adamw(model.parameters(), 0.0)], course, folder, report)


def fingerprint(rows: Sequence[Drawn]) -> str:
    """Of what is learned from: a training that is resumed must go on with the same."""
    return f"{digest(repr([asdict(row) for row in rows])):016x}"


def accumulate(
    model: PreTrainedModel, teacher: PreTrainedModel, batch: Sequence[Drawn], most: int, processes: Processes = ALONE
) -> Learned:
    """Add the gradient of the mean divergence (nats) over all sampled tokens; each process works on some parts."""
    sampled, sums = sum(row.sampled for row in batch), Counter[str]()
    for part in processes.share(parts(batch, lambda row: row.sequences, most)):
        loss, size = summed_divergence(model, teacher, part)
        (loss / sampled).backward()
        sums.update({"loss": loss.item(), "seen": size})
    total = processes.add_up(model, sums)
    return Learned(total["loss"] / sampled, round(total["seen"]))


def summed_divergence(
    model: PreTrainedModel, teacher: PreTrainedModel, part: Sequence[Drawn]
) -> tuple[torch.Tensor, int]:
    """The divergence at all sampled tokens of a part, added up, and the tokens of its tree.

    Tokens that were sampled after the same ones share a place, which counts as often.
    """
    trie = build([ids for row in part for ids in row.sequences])
    starts = [start for row in part for start in row.starts]
    after = [place for way, start in zip(trie.places, starts, strict=True) for place in way[start - 1 : -1]]
    after_W, times_W = torch.tensor(after, device=model.device).unique(return_counts=True)
    ours_W_D = hidden(model, trie)[after_W]
    with torch.no_grad():
        theirs_W_D = hidden(teacher, trie)[after_W]
    total = torch.zeros((), device=model.device)
    for begin in range(0, len(after_W), CHUNK):
        at = slice(begin, begin + CHUNK)
        found: Any = checkpoint(divergence, model, ours_W_D[at], teacher, theirs_W_D[at], use_reentrant=False)
        total = total + (found * times_W[at]).sum()
    return total, len(trie)


def divergence(
    model: PreTrainedModel, ours_W_D: torch.Tensor, teacher: PreTrainedModel, theirs_W_D: torch.Tensor
) -> torch.Tensor:
    """KL(student || teacher) [W], nats, float32.

    One tokenizer's models may have tables of several sizes, filled up with ids that nothing is read as: those that both
    have are compared.
    """
    head: Any = model.get_output_embeddings()
    with torch.no_grad():
        other: Any = teacher.get_output_embeddings()
        theirs_W_V = other(theirs_W_D).float()
    ours_W_V = head(ours_W_D).float()
    size = min(ours_W_V.shape[1], theirs_W_V.shape[1])
    ours_W_V, theirs_W_V = ours_W_V[:, :size].log_softmax(-1), theirs_W_V[:, :size].log_softmax(-1)
    return (ours_W_V.exp() * (ours_W_V - theirs_W_V)).sum(-1)
