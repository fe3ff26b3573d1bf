"""The student is compared with its teacher after every token that it sampled, and follows it."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, PreTrainedModel

from agent.assemble import MINI
from agent.policy.renderer import Renderer
from agent.records import Ending, Node, Run
from agent.store import Store
from rl import distill
from rl.checkpoints import TrainingError
from rl.distill import (
    DistillSettings,
    Drawn,
    Samples,
    accumulate,
    learn,
    samples,
    summed_divergence,
    teacher_of,
)
from rl.optimise import Progress
from rl.selection import Wanted
from rl.trainee import Trainee, adapted, whole
from tests.rl.test_selection import add, run_of
from tests.rl.test_trie import gradient, model_of
from tests.rl.tiny import save_tiny_model, tiny_model, tiny_tokenizer

HOW = DistillSettings(batch=2, epochs=12, learning_rate=5e-3, warmup=1, checkpoint_every=2)
ROWS = (
    Drawn("a", ((1, 2, 3, 4, 5), (1, 2, 3, 4, 6), (1, 2, 3, 4, 5, 9, 7)), (3, 3, 6)),
    Drawn("b", ((6, 7), (6, 7, 8), (6, 7, 8)), (1, 1, 1)),
)
FOUND = Samples(ROWS, Counter(), Counter())
ids = st.integers(0, 3)
drawn_rows = st.lists(
    st.lists(st.tuples(st.lists(ids, min_size=1, max_size=4), st.lists(ids, min_size=1, max_size=5)), min_size=1),
    min_size=1,
    max_size=3,
).map(
    lambda runs: [
        Drawn(str(i), tuple((*p, *s) for p, s in run), tuple(len(p) for p, _ in run)) for i, run in enumerate(runs)
    ]
)


def other_than(model: PreTrainedModel, seed: int = 1) -> PreTrainedModel:
    teacher, drawn = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=drawn).to(parameter)
    return teacher.requires_grad_(False).eval()


def by_rows(model: PreTrainedModel, teacher: PreTrainedModel, rows: list[Drawn]) -> torch.Tensor:
    """The mean divergence from separate sequences in one padded batch, with Transformers' own attention."""
    ways = [(way, start) for row in rows for way, start in zip(row.sequences, row.starts, strict=True)]
    token_ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(way) for way, _ in ways], True, 0)
    for each in (model, teacher):
        each.set_attn_implementation("eager")
    ours, theirs = (each(input_ids=token_ids).logits.float().log_softmax(-1) for each in (model, teacher))
    kl_B_T = torch.nn.functional.kl_div(theirs, ours, reduction="none", log_target=True).sum(-1)
    own = [kl_B_T[i, start - 1 : len(way) - 1] for i, (way, start) in enumerate(ways)]
    return torch.cat(own).mean()


@settings(max_examples=20)
@given(st.sampled_from(["qwen3", "llama"]), drawn_rows, st.integers(1, 30), st.integers(1, 4))
def test_loss_and_gradient_are_those_of_padded_rows(family: str, rows: list[Drawn], most: int, chunk: int) -> None:
    model = model_of(family)
    teacher = other_than(model)
    expected = by_rows(model, teacher, rows)
    expected.backward()
    wanted = gradient(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distill, "CHUNK", chunk)
        learned = accumulate(model, teacher, rows, most)
    assert learned.loss == pytest.approx(float(expected.detach()), abs=1e-6)
    assert torch.allclose(gradient(model), wanted, atol=1e-7)


def test_there_is_nothing_to_learn_from_an_equal() -> None:
    model = model_of("qwen3")
    learned = accumulate(model, copy.deepcopy(model).requires_grad_(False), ROWS, 99)
    assert learned.loss == pytest.approx(0, abs=1e-9)
    assert float(gradient(model).abs().max()) < 1e-7


def test_tokens_that_only_one_of_them_has_are_not_compared() -> None:
    model = model_of("qwen3")
    teacher = other_than(model)
    loss, size = summed_divergence(model, teacher, ROWS)
    larger = copy.deepcopy(teacher)
    larger.resize_token_embeddings(16)
    assert float(summed_divergence(model, larger, ROWS)[0].detach()) == pytest.approx(float(loss.detach()), abs=1e-6)
    assert size == 11


# --- training ---------------------------------------------------------------------------------------------------------


def trainee_of() -> Trainee:
    return Trainee(model_of("qwen3").float(), None, lambda folder: None)  # type: ignore[arg-type] - nothing is rendered


def taught(folder: Path, how: DistillSettings = HOW) -> tuple[PreTrainedModel, list[Progress]]:
    trainee, seen = trainee_of(), list[Progress]()
    learn(trainee, other_than(model_of("qwen3").float()), FOUND, how, folder, lambda steps, each: seen.append(each))
    return trainee.model, seen


def test_the_student_comes_closer_to_the_teacher(tmp_path: Path) -> None:
    _, seen = taught(tmp_path)
    assert len(seen) == 12
    assert seen[-1].loss < 0.5 * seen[0].loss


def test_a_killed_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    through, _ = taught(tmp_path / "whole")

    def kill(steps: int, progress: Progress) -> None:
        if progress.step == 4:
            raise RuntimeError("killed")

    teacher = other_than(model_of("qwen3").float())
    with pytest.raises(RuntimeError, match="killed"):
        learn(trainee_of(), teacher, FOUND, HOW, tmp_path / "parts", kill)
    resumed, seen = taught(tmp_path / "parts")
    assert seen[0].step == 4
    for one, other in zip(through.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    lines = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").read_text().splitlines()]
    assert lines == list(range(12))
    with pytest.raises(TrainingError, match=r"learning_rate 0\.005, not 0\.1"):
        taught(tmp_path / "parts", replace(HOW, learning_rate=0.1))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), context=64)


@pytest.mark.parametrize("rank", [0, 4])
def test_a_model_of_a_folder_learns_from_one_of_another(base: Path, tmp_path: Path, rank: int) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path / "teacher")
    other_than(tiny_model(len(tokenizer), context=128, spread=0.3)).save_pretrained(tmp_path / "teacher")
    trainee = adapted(str(base), rank) if rank else whole(str(base))
    teacher = teacher_of(str(tmp_path / "teacher"), trainee.renderer)
    before = float(by_rows(trainee.model, teacher, list(ROWS)).detach())
    assert learn(trainee, teacher, FOUND, HOW, tmp_path / "out") == 12
    assert float(by_rows(trainee.model, teacher, list(ROWS)).detach()) < before - 0.05
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    if not rank:
        written = AutoModelForCausalLM.from_pretrained(tmp_path / "out/model", dtype=torch.float32)
        assert float(by_rows(written, teacher, list(ROWS)).detach()) < before - 0.05


def test_a_teacher_with_other_tokens_is_refused(base: Path) -> None:
    with pytest.raises(TrainingError, match=r"reads text as other tokens than the student \(\d+ differ\); take a"):
        teacher_of(str(MINI), Renderer.load(base))


def test_nothing_to_learn_from_is_said_with_the_reasons(tmp_path: Path) -> None:
    nothing = Samples((), Counter({"it is greedy": 3}), Counter())
    with pytest.raises(TrainingError, match=r"no sample to learn from \(3 times: it is greedy\)"):
        learn(trainee_of(), model_of("qwen3"), nothing, HOW, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- what is learned from ---------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "log.sqlite") as store:
        yield store


def with_nodes(run: Run, *nodes: Node) -> Run:
    return replace(run, nodes=(*run.nodes, *nodes))


def test_every_sample_is_learned_from_whether_it_was_judged_or_not(log: Store) -> None:
    alone = run_of("01", attempts=1)
    first = alone.nodes[0]
    after = replace(first.sample, prompt_token_ids=(1, 2, 10, 3, 90), token_ids=(7,), logprobs=(-0.1,))
    add(log, with_nodes(alone, replace(first, path=(0, 0), sample=after)))
    found = samples(log, Wanted(), 99)
    assert found.rows == (Drawn("01", ((1, 2, 10, 3), (1, 2, 10, 3, 90, 7)), (2, 5)),)
    assert found.rows[0].sampled == 3
    assert found.policies == {"m@base": 2}


def test_what_is_not_learned_from_is_counted(log: Store) -> None:
    greedy = run_of("01", attempts=2)
    [one, two] = greedy.nodes
    cold = replace(two.sample, params=replace(two.sample.params, temperature=0))
    long = replace(one, path=(2,), sample=replace(one.sample, token_ids=(3,) * 9, logprobs=(-0.1,) * 9))
    cut = replace(one, path=(3,), ending=Ending.CANCELLED)
    add(log, replace(greedy, nodes=(one, replace(two, sample=cold), long, cut)), run_of("02", attempts=1))
    found = samples(log, Wanted(), 8)
    assert [row.run_id for row in found.rows] == ["01"]
    assert found.left_out == {
        "it is greedy": 1,
        "it is longer than the models read": 1,
        "it ended in cancelled": 1,
        "drawn in another run, token for token": 1,
    }
