"""GRPO on groups: the tree's gradient is that of padded rows, and what was better becomes likelier."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from agent.records import PolicyVersion
from rl.checkpoints import TrainingError
from rl.groups import Group, Member
from rl.grpo import Compared, GRPOSettings, accumulate, checkpointed, compared, packed, train
from rl.loss import Batch, LossSettings, Step, Variant, policy_loss
from rl.optimise import Progress
from tests.rl.test_trie import gradient, model_of

VERSION = PolicyVersion("m")
HOW = GRPOSettings(batch=2, epochs=20, learning_rate=0.02, checkpoint_every=5)


def member(path: int, prompt: tuple[int, ...], sampled: tuple[int, ...], reward: float) -> Member:
    learn = (False,) * len(prompt) + (True,) * len(sampled)
    return Member((path,), prompt + sampled, learn, tuple(-2.4 * each for each in learn), reward)


def group(prompt: tuple[int, ...], *samples: tuple[tuple[int, ...], float], temperature: float = 1.0) -> Group:
    members = tuple(member(i, prompt, *sample) for i, sample in enumerate(samples))
    return Group("r", (), VERSION, temperature, 0, members, True)


GROUPS = [
    group((1, 2, 3), ((4, 5), 1.0), ((4, 6), 0.0), ((7, 5, 8), 0.0)),
    group((1, 2, 9), ((4,), 0.5), ((5, 5), 1.0), temperature=0.6),
    group((6,), ((7, 7), 0.0), ((8, 7), 1.0)),
]


def test_groups_that_say_nothing_are_dropped_and_counted() -> None:
    rows, dropped = compared([*GROUPS, group((1,), ((2,), 0.5), ((3,), 0.5))], HOW)
    assert [row.group for row in rows] == GROUPS
    assert dropped == {"its rewards are all the same": 1}


@given(st.integers(1, 30))
def test_parts_hold_all_groups_in_at_most_so_many_tokens(most: int) -> None:
    rows, _ = compared(GROUPS, HOW)
    parts = packed(rows, most)
    assert [row for part in parts for row in part] == rows
    assert all(len(part) == 1 or sum(tree_size(row) for row in part) <= most for part in parts)


def tree_size(row: Compared) -> int:
    return len({m.token_ids[: i + 1] for m in row.group.members for i in range(len(m.token_ids))})


def by_rows(model: PreTrainedModel, rows: list[Compared], how: LossSettings) -> torch.Tensor:
    """The loss from separate sequences, each padded, with Transformers' own attention."""
    model.set_attn_implementation("eager")
    members = [(m, row.group.temperature) for row in rows for m in row.group.members]
    longest = max(len(m.token_ids) for m, _ in members)
    now, learn, behaviour = torch.zeros(len(members), longest), torch.zeros(len(members), longest), torch.zeros(0)
    behaviour = torch.zeros(len(members), longest)
    found = []
    for i, (m, temperature) in enumerate(members):
        ids = torch.tensor([m.token_ids])
        logits_T_V = (model(input_ids=ids).logits[0].float() / temperature).log_softmax(-1)
        own = logits_T_V[:-1].gather(1, ids[0, 1:, None])[:, 0]
        found.append(torch.cat([torch.zeros(1), own, torch.zeros(longest - len(m.token_ids))]))
        learn[i, : len(m.learn)] = torch.tensor(m.learn).float()
        behaviour[i, : len(m.logprobs)] = torch.tensor(m.logprobs)
    now = torch.stack(found)
    advantages = torch.tensor([[float(each[0])] for row in rows for each in row.advantages])
    step = Step(len(members), sum(m.sampled for m, _ in members))
    return policy_loss(now, Batch(learn.bool(), behaviour, behaviour, None, advantages), step, how)[0]


@pytest.mark.parametrize("variant", ["grpo", "dr_grpo", "dapo", "gspo", "rloo"])
@settings(max_examples=5)
@given(micro=st.integers(1, 40))
def test_the_trees_loss_and_gradient_are_those_of_padded_rows(variant: Variant, micro: int) -> None:
    how = GRPOSettings(LossSettings(variant, clip_low=0.5, clip_high=5.0), micro_tokens=micro)
    rows, _ = compared(GROUPS, how)
    model = model_of("qwen3")
    learned = accumulate(model, rows, how)
    mine = gradient(model)
    loss = by_rows(model, rows, how.loss)
    loss.backward()
    theirs = gradient(model)
    assert learned.loss == pytest.approx(loss.item(), abs=1e-6)
    assert (mine - theirs).norm() <= 1e-5 * theirs.norm()


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_layers_that_are_computed_again_give_the_same_gradient(family: str) -> None:
    rows, _ = compared(GROUPS, HOW)
    calls = Counter[str]()

    def learned(model: PreTrainedModel, name: str) -> torch.Tensor:
        attention = model.base_model.layers[0].self_attn  # type: ignore[union-attr] - these families have layers
        attention.register_forward_hook(lambda *_: calls.update([name]))
        accumulate(model.train(), rows, HOW)
        return gradient(model)

    kept = learned(model_of(family), "kept")
    model = model_of(family)
    checkpointed(model)
    torch.testing.assert_close(learned(model, "again"), kept, rtol=1e-12, atol=1e-12)
    assert calls["again"] == 2 * calls["kept"] > 0


def test_a_training_goes_on_with_its_schedule_and_with_layers_computed_again_or_not(tmp_path: Path) -> None:
    rows, _ = compared(GROUPS, HOW)
    with pytest.raises(Killed):
        run(tmp_path, kill_at=12)
    with pytest.raises(TrainingError, match="schedule trapezoid, not cosine"):
        train(model_of("qwen3").float(), rows, replace(HOW, schedule="cosine"), tmp_path, lambda progress: None)
    told: list[int] = []
    again = replace(HOW, gradient_checkpointing=True)
    train(model_of("qwen3").float(), rows, again, tmp_path, lambda progress: told.append(progress.step))
    assert told[0] == 10


class Killed(Exception):
    pass


def run(folder: Path, kill_at: int = -1) -> tuple[PreTrainedModel, list[Progress]]:
    model, told = model_of("qwen3").float(), []

    def report(progress: Progress) -> None:
        told.append(progress)
        if progress.step == kill_at:
            raise Killed

    train(model, compared(GROUPS, HOW)[0], HOW, folder, report)
    return model, told


def test_what_was_better_becomes_likelier(tmp_path: Path) -> None:
    before = model_of("qwen3").float()
    model, told = run(tmp_path)

    def likelihood(of: PreTrainedModel, token: int) -> float:
        of.set_attn_implementation("eager")
        return float(of(input_ids=torch.tensor([[6]])).logits[0, -1].softmax(-1)[token])

    assert likelihood(model, 8) > likelihood(before, 8) > 0
    assert likelihood(model, 7) < likelihood(before, 7)
    assert {"clipped", "mismatch_kl", "effective_sample_size"} <= told[-1].more.keys()


def test_a_killed_training_that_resumes_is_bit_for_bit_the_uninterrupted_one(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", kill_at=12)
    resumed, told = run(tmp_path / "killed")
    assert told[0].step == 10
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_other_groups_do_not_go_on_with_a_training(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(TrainingError, match="name another folder"):
        train(model_of("qwen3").float(), compared(GROUPS[:2], HOW)[0], HOW, tmp_path, lambda progress: None)


def stepped(*rewards: tuple[tuple[int, float], ...]) -> Group:
    whole = group((1, 2), ((4, 5, 6), 1.0), ((7, 8), 0.0))
    members = tuple(replace(member, steps=steps) for member, steps in zip(whole.members, rewards, strict=True))
    return replace(whole, members=members)


def test_a_token_has_the_outcomes_advantage_and_that_of_the_steps_from_its_own_on() -> None:
    how = GRPOSettings(scale="none", step_weight=0.5)
    [row], _ = compared([stepped(((2, 1.0), (4, 0.0)), ((3, 0.5),))], how)
    mean = 0.5
    one, other = row.advantages
    later = 0.0 - mean
    np.testing.assert_allclose(one, 0.5 + 0.5 * np.array([1 - mean + later] * 3 + [later] * 2), atol=1e-6)
    np.testing.assert_allclose(other, [-0.5] * 4, atol=1e-6)


def test_groups_whose_steps_nobody_judged_are_left_out_where_steps_count() -> None:
    rows, dropped = compared([stepped(((2, 1.0),), ())], GRPOSettings(step_weight=1.0))
    assert not rows
    assert dropped == {"its steps were not judged": 1}


def test_a_training_ends_before_the_step_that_finds_it_too_far_from_where_it_began(tmp_path: Path) -> None:
    rows = compared(GROUPS, HOW)[0]
    told: list[Progress] = []
    taken = train(model_of("qwen3").float(), rows, replace(HOW, most_drift=0.05), tmp_path, told.append)
    assert 0 < taken == len(told) < 30
    assert all(each.more["drift"] <= 0.05 for each in told)
    again = train(model_of("qwen3").float(), rows, replace(HOW, most_drift=0.05), tmp_path, told.append)
    assert again == taken == len(told)
