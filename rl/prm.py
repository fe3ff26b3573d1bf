"""A process reward model learns, from logged attempts, how likely each step is right (Lightman et al. 2023).

A causal model's body with one linear layer over two classes, "wrong" and "right", read at a step tag after each step:
what vLLM's pooling runner serves, and ``verifiers.prm_local`` runs in this process. Labels come from
``rl.step_labels``. After training, one temperature is fitted on attempts at questions that were not trained on (Guo et
al. 2017) and multiplied into the layer. ``ponder train prm`` calls ``train`` and ``finish``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AttentionInterface

from agent.policy.renderer import Renderer
from agent.policy.steps import StepEncoder
from agent.store import RunFilter, Store
from rl.calibration import Floats, auc, calibration_error, fit_temperature, log_loss, reliability_plot, sigmoid
from rl.checkpoints import TrainingError
from rl.judging import task_named
from rl.optimise import Course, Learned, Progress, follow, in_bfloat16, muon_and_adamw, places, trapezoid
from rl.sft import causal, product_attention
from rl.step_labels import Labelled, labelled
from rl.tasks.mistakes import flawed
from rl.tasks.suite import task_of
from rl.tasks.task import digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TAG = "<|endoftext|>"  # a control token that no conversation has


@dataclass(frozen=True, slots=True)
class PRMSettings:
    """How to train."""

    epochs: float = 2.0
    batch: int = 48  # attempts a step
    micro_tokens: int = 6_000  # most tokens, padding included, that go through the model at once
    learning_rate: float = 1e-3  # of Muon, at its peak
    other_rate: float = 1e-3  # of AdamW, for embeddings, norms and the layer over the classes
    warmup: int = 30
    decay: float = 0.6  # the share of the steps, at the end, over which the rates fall to 0
    weight_decay: float = 0.01
    seed: int = 0
    checkpoint_every: int = 100


@dataclass(frozen=True, slots=True)
class Tagged:
    """One attempt as the model reads it: ids with a tag after each step, and the labels of the tags."""

    token_ids: Sequence[int]
    labels: Sequence[float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well probabilities and labels agree on attempts at questions that were not trained on."""

    steps: int
    accuracy: float  # of steps whose labels are checks, at a threshold of one half
    checked: int  # steps with such labels
    base_rate: float  # the share of right ones among them
    auc: float  # the chance that a right one is liked better than a wrong one
    temperature: float
    nll_before: float  # nats a step
    nll_after: float
    ece_before: float  # expected calibration error, 10 bins of equal width
    ece_after: float


def examples(log: Store, delimiter: str, since: str | None, tell: Callable[[int, int], None]) -> list[Labelled]:
    """Every logged attempt at a task of the training split, labelled. Held-out tasks stay out, whoever asked them, and
    so do those that no family here makes, or that a checker grades.
    """
    found: list[Labelled] = []
    runs = log.runs(RunFilter(tasks=True, status="finished", since=since))
    for i, run in enumerate(runs):
        task_id = str(run.metadata["task_id"])
        task = task_named(task_id) if "/train/" in task_id else None
        if task is not None and not task.checker:
            found += labelled(log.run(run.run_id), task, delimiter)
        tell(i + 1, len(runs))
    return sorted(found, key=lambda each: (each.task_id, each.steps))


def demonstrations(count: int, seed: int, delimiter: str, tell: Callable[[int, int], None]) -> list[Labelled]:
    """Of generated tasks, most of them with a mistake. None is of a question that calibrates."""
    found: list[Labelled] = []
    for index in range(count):
        task, steps, labels = flawed(index, seed, delimiter)
        example = Labelled(task.task_id, task.question, steps, labels, True)
        found += [] if held_out(example) else [example]
        if index % 100 == 99 or index + 1 == count:
            tell(index + 1, count)
    return found


def held_out(example: Labelled) -> bool:
    """One question in ten calibrates, by the hash of its text; the rest train. Versions go with their original."""
    original, _, way = example.task_id.partition("~")
    question = task_of(original).question if way else example.question
    return digest(f"calibration/{question}") % 10 == 0


def split(examples: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """What is learned from, and what calibrates. Raises ``TrainingError`` where there is not enough for both."""
    learned, judged = ([each for each in examples if held_out(each) == held] for held in (False, True))
    if not (learned and judged):
        raise TrainingError(
            f"The log has {len(examples)} different attempts at training tasks, too few to learn from some and to "
            "calibrate on others; collect more with `ponder eval SUITE --split train --pool 5`."
        )
    return learned, judged


def encoder(base: str, delimiter: str) -> StepEncoder:
    """How the new model will read attempts. Raises ``TrainingError`` where ``base`` has no token to tag steps with."""
    renderer = Renderer.load(base)
    if TAG not in renderer.controls:
        raise TrainingError(f"{base} has no token {TAG} to tag steps with; take a model of the Qwen family.")
    return StepEncoder(renderer, renderer.controls[TAG], delimiter)


def new_model(base: str, delimiter: str) -> PreTrainedModel:
    """The body of ``base`` with a new layer over two classes; float32, on the GPU where there is one."""
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2, dtype=torch.float32)
    torch.nn.init.zeros_(model.score.weight)
    model.config.step_tag, model.config.step_delimiter = TAG, delimiter
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def tagged(examples: Sequence[Labelled], encode: StepEncoder, longest: int) -> list[Tagged]:
    """Those that the model can read whole."""
    rows = (Tagged(encode(each.question, each.steps), each.labels) for each in examples)
    return [row for row in rows if len(row.token_ids) <= longest]


def train(
    model: PreTrainedModel,
    rows: Sequence[Tagged],
    tag_id: int,
    settings: PRMSettings,
    folder: Path,
    report: Callable[[Progress], None],
) -> None:
    """Train ``model`` in place. Checkpoints and ``metrics.jsonl`` go to ``folder``; a second call resumes from them.

    Raises ``TrainingError`` where ``folder`` holds another training.
    """
    AttentionInterface.register("product", product_attention)
    model.set_attn_implementation("product")
    shape = {k: v for k, v in asdict(settings).items() if k not in ("checkpoint_every", "micro_tokens")}
    shape["rows"] = fingerprint(rows)
    steps = step_count(rows, settings)
    course = Course(
        steps,
        batch=lambda step: micro_batches(step, rows, settings),
        learn=lambda parts: accumulate(model, parts, tag_id),
        rates=lambda step: rates(settings, step, steps),
        shape=lambda step, then: shape,
        checkpoint_every=settings.checkpoint_every,
    )
    follow(model, build_optimizers(model, settings), course, folder, report)


def rates(settings: PRMSettings, step: int, steps: int) -> tuple[float, float]:
    scale = trapezoid(step, steps, settings.warmup, settings.decay)
    return settings.learning_rate * scale, settings.other_rate * scale


def step_count(rows: Sequence[Tagged], settings: PRMSettings) -> int:
    return max(1, math.ceil(settings.epochs * len(rows) / settings.batch))


def fingerprint(rows: Sequence[Tagged]) -> str:
    """Of what is learned from: a training that is resumed must go on with the same."""
    return f"{digest(json.dumps([[len(rows)], *([list(r.token_ids), list(r.labels)] for r in rows)])):016x}"


def build_optimizers(model: PreTrainedModel, settings: PRMSettings) -> list[torch.optim.Optimizer]:
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
    known = {id(p) for p in inner}
    return muon_and_adamw(inner, [p for p in model.parameters() if id(p) not in known], settings.weight_decay)


def micro_batches(step: int, rows: Sequence[Tagged], settings: PRMSettings) -> list[list[Tagged]]:
    """The rows of one step, a pure function of seed and step; rows of similar length side by side."""
    chosen = [rows[place] for place in places(step, settings.batch, len(rows), settings.seed)]
    parts: list[list[Tagged]] = []
    for row in sorted(chosen, key=lambda row: len(row.token_ids)):  # the row at hand is the longest of its part
        if not parts or (len(parts[-1]) + 1) * len(row.token_ids) > settings.micro_tokens:
            parts.append([])
        parts[-1].append(row)
    return parts


def accumulate(model: PreTrainedModel, parts: Sequence[Sequence[Tagged]], tag_id: int) -> Learned:
    """Add the gradient of the mean loss (nats) over all steps of the batch."""
    count = sum(len(row.labels) for part in parts for row in part)
    total, seen = 0.0, 0
    for part in parts:
        with in_bfloat16(model.device.type):
            logits_S_2 = tag_logits(model, [row.token_ids for row in part], tag_id)
        labels_S = torch.tensor([label for row in part for label in row.labels], device=model.device)
        targets_S_2 = torch.stack((1 - labels_S, labels_S), -1)
        loss = torch.nn.functional.cross_entropy(logits_S_2.float(), targets_S_2, reduction="sum")
        (loss / count).backward()
        total, seen = total + loss.item(), seen + sum(len(row.token_ids) for row in part)
    return Learned(total / count, seen)


def tag_logits(model: Any, sequences: Sequence[Sequence[int]], tag_id: int) -> torch.Tensor:
    """Logits [S, 2] at the tags of all sequences, in order. Rows are padded on the right, out of sight of every tag."""
    longest = max(map(len, sequences))
    token_ids_B_T = torch.zeros(len(sequences), longest, dtype=torch.long, device=model.device)
    for i, sequence in enumerate(sequences):
        token_ids_B_T[i, : len(sequence)] = torch.tensor(sequence)
    mask = causal(model, longest, 0)
    hidden_B_T_D = model.base_model(input_ids=token_ids_B_T, attention_mask=mask, use_cache=False).last_hidden_state
    return model.score(hidden_B_T_D[token_ids_B_T == tag_id])


# --- calibration ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def margins(model: PreTrainedModel, rows: Sequence[Tagged], tag_id: int, tell: Callable[[], None]) -> Floats:
    """For each step of all rows, how much higher "right" is than "wrong", in nats."""
    model.eval()
    found: list[float] = []
    for row in rows:
        logits_S_2 = tag_logits(model, [row.token_ids], tag_id).float()
        found += (logits_S_2[:, 1] - logits_S_2[:, 0]).tolist()
        tell()
    return np.array(found)


def calibrate(margins_S: Floats, labels_S: Floats, checked_S: NDArray[np.bool_]) -> Calibration:
    temperature = fit_temperature(margins_S, labels_S)
    before, after = sigmoid(margins_S), sigmoid(margins_S / temperature)
    right = (margins_S[checked_S] > 0) == (labels_S[checked_S] > 0.5)
    return Calibration(
        steps=len(labels_S),
        accuracy=float(right.mean()) if len(right) else float("nan"),
        checked=len(right),
        base_rate=float(labels_S[checked_S].mean()) if len(right) else float("nan"),
        auc=auc(margins_S[checked_S], labels_S[checked_S] > 0.5),
        temperature=temperature,
        nll_before=log_loss(before, labels_S),
        nll_after=log_loss(after, labels_S),
        ece_before=calibration_error(before, labels_S),
        ece_after=calibration_error(after, labels_S),
    )


def finish(
    model: Any, encode: StepEncoder, examples: Sequence[Labelled], folder: Path, tell: Callable[[], None]
) -> Calibration:
    """Calibrate on ``examples``, multiply the temperature into the layer, and write the model, ``calibration.json`` and
    ``reliability.png`` to ``folder``.
    """
    longest = model.config.max_position_embeddings
    kept = [each for each in examples if len(encode(each.question, each.steps)) <= longest]
    rows = tagged(kept, encode, longest)
    margins_S = margins(model, rows, encode.tag_id, tell)
    labels_S = np.array([label for row in rows for label in row.labels])
    checked_S = np.array([each.checked for each in kept for _ in each.steps], dtype=bool)
    found = calibrate(margins_S, labels_S, checked_S)
    with torch.no_grad():
        model.score.weight /= found.temperature
    export(model, encode, folder / "model")
    (folder / "calibration.json").write_text(json.dumps(asdict(found), indent=1) + "\n")
    reliability_plot(sigmoid(margins_S), sigmoid(margins_S / found.temperature), labels_S, folder / "reliability.png")
    return found


def export(model: PreTrainedModel, encode: StepEncoder, folder: Path) -> None:
    """Write the model as vLLM and Transformers load it: bfloat16 weights, tokenizer, chat template."""
    import copy

    plain = copy.deepcopy(model).bfloat16()
    plain.set_attn_implementation("eager")
    plain.config.pad_token_id = encode.renderer.tokenizer.pad_token_id
    plain.save_pretrained(folder)
    encode.renderer.tokenizer.save_pretrained(folder)
