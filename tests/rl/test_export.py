"""Groups leave as trajectories that other trainers learn from as we do."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pyarrow import parquet
from transformers import AutoModelForCausalLM, GenerationMixin

from agent.errors import ExportError
from agent.records import PolicyVersion
from rl.export import PARTS, Names, export_groups, rows
from rl.groups import Group, Member
from rl.grpo import GRPOSettings, accumulate, compared
from rl.loss import LossSettings
from tests.rl.drawn import drawn_groups
from tests.rl.tiny import save_tiny_model
from tests.rl.trl_trainer import grpo_trainer

MEMBERS = (
    Member((0,), (1, 2, 7, 9, 8), (False, False, True, False, True), (0.0, 0.0, -0.5, 0.0, -0.25), 1.0),
    Member((1,), (1, 2, 8), (False, False, True), (0.0, 0.0, -1.5), 0.0),
)
GROUP = Group("run-1", (), PolicyVersion("mini", "a", "v1"), 0.7, 5, MEMBERS, True)


@pytest.mark.parametrize("names", list(PARTS))
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_every_member_is_a_row_of_tokens_that_were_sampled_and_that_tools_gave(
    tmp_path: Path, names: Names, ending: str
) -> None:
    file = tmp_path / f"groups.{ending}"
    assert export_groups([GROUP], file, names) == 2
    found = parquet.read_table(file).to_pylist() if ending == "parquet" else [*map(json.loads, file.open())]
    assert [list(row) for row in found] == [list(next(rows([GROUP], names)))] * 2
    completion, mask, logprobs = PARTS[names]
    first, second = found
    assert (first["prompt_ids"], first[completion]) == ([1, 2], [7, 9, 8])
    assert (first[mask], first[logprobs]) == ([1, 0, 1], [-0.5, 0.0, -0.25])
    assert (first["run_id"], first["path"], second["path"]) == ("run-1", "0", "1")
    assert (first["temperature"], first["model"], first["adapter"], first["version"]) == (0.7, "mini", "a", "v1")
    assert (first["advantage"], second["advantage"]) == pytest.approx((0.7070, -0.7070), abs=1e-4)


def test_the_names_are_those_of_verls_agent_loop(tmp_path: Path) -> None:
    row = next(rows([GROUP], "verl"))
    assert {"prompt_ids", "response_ids", "response_mask", "response_logprobs", "reward_score"} <= row.keys()


def test_two_groups_of_one_node_are_told_apart() -> None:
    other = Group(
        "run-1",
        (),
        GROUP.policy,
        0.7,
        5,
        tuple(Member((i,), (3, 4), (False, True), (0.0, -1.0), 1.0) for i in (2, 3)),
        True,
    )
    found = [row["group"] for row in rows([GROUP, other], "trl")]
    assert found[0] == found[1] != found[2] == found[3]


def test_a_group_whose_rewards_are_all_the_same_has_no_advantage() -> None:
    alike = Group("run-1", (), GROUP.policy, 0.7, 5, (MEMBERS[0], MEMBERS[0]), True)
    assert [row["advantage"] for row in rows([alike], "trl")] == [0.0, 0.0]


def test_an_ending_that_is_not_known_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"neither \.parquet nor \.jsonl"):
        export_groups([GROUP], tmp_path / "groups.csv")


class Sampled(Exception):
    pass


def test_trls_trainer_takes_an_optimiser_step_from_the_file_that_is_ours_and_samples_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain descent without clipping, so that the step is the gradient."""

    def refuse(*_: Any, **__: Any) -> None:
        raise Sampled

    monkeypatch.setattr(GenerationMixin, "generate", refuse)
    folder = save_tiny_model(tmp_path / "model", context=512)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    groups = drawn_groups(model, temperature=0.7)
    export_groups(groups, tmp_path / "groups.parquet")
    logged = parquet.read_table(tmp_path / "groups.parquet").to_pylist()
    how = {"temperature": 0.7, "loss_type": "grpo", "optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 0.0}
    trainer = grpo_trainer(folder, logged, **how)
    trainer.train()
    settings = GRPOSettings(LossSettings("grpo"))
    learned = accumulate(model, compared(groups, settings)[0], settings)
    assert trainer.state.log_history[0]["loss"] == pytest.approx(learned.loss, abs=1e-5)
    assert trainer.model is not None
    moved = 0.0
    for mine, their in zip(model.parameters(), trainer.model.parameters(), strict=True):
        assert mine.grad is not None
        moved = max(moved, float((their - mine).detach().abs().max()))
        torch.testing.assert_close(their, mine - 0.1 * mine.grad, rtol=1e-5, atol=1e-5)
    assert moved > 1e-3, "a step that can be seen"
