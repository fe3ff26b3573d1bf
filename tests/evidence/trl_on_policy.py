"""TRL's own GRPOTrainer, on policy, from the miniature: what as many sampled tokens buy there.

    python tests/evidence/trl_on_policy.py OUT --tokens 600000 [--seed 0] [--suite SUITES] [--per-tier 250] [--batch 16]

Trainer, loss, optimiser (AdamW) and order of the questions are TRL's. Its ``rollout_func`` is fed by Ponder's own run,
at each step with the weights as they are: Transformers' ``generate`` could not use the tools that some questions grant,
and a difference in prompts, tools or temperature would be taken for one between the trainers. Each question is drawn
``--group`` times whatever comes of it; the reward is the task's own checker. It stops when it has spent ``--tokens``
sampled tokens, those of constant groups counted.

The questions are those that served_groups.py learns from under the same seed, and the held-out ones are the same too:
with its OUT, the table can stand beside its own. Goes on from TRL's last checkpoint. Prints a table of all seeds that
are there, and writes it to OUT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from agent.assemble import MINI
from agent.effort import EFFORTS
from agent.policy.renderer import Renderer
from agent.records import Run
from agent.search.attempts import BestOfN
from agent.settings import Settings
from rl.collect import asking
from rl.evaluate import ask_one
from rl.export import rows
from rl.gating import without_verifiers
from rl.grade import grade
from rl.groups import groups_of
from rl.sft import export
from rl.tasks.suite import task_of
from rl.tasks.task import Task
from tests.evidence.served_groups import SUITES, judge, table
from tests.evidence.served_groups import Plan as Judging
from tui.choosing import prepared
from tui.evaluation import suites_asked

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # it warns that rollout_func may change; the version is pinned
PARTS = ("prompt_ids", "completion_ids", "logprobs", "env_mask", "reward")  # of what a rollout_func returns
SAVED = 10  # steps between two checkpoints


@dataclass(frozen=True, slots=True)
class Plan:
    """How a training is made."""

    place: Path
    suite: str
    per_tier: int
    tokens: int
    seed: int
    group: int  # attempts at a question
    batch: int  # questions of a step
    rate: float

    @property
    def spending(self) -> Path:
        """A line a step: its number, sampled tokens, attempts that TRL was not given, the share of right ones."""
        return self.place / "spent.jsonl"

    def spent(self) -> list[dict[str, float]]:
        lines = self.spending.read_text().splitlines() if self.spending.exists() else []
        return [json.loads(line) for line in lines]


async def asked(plan: Plan, model: Path, tasks: Sequence[Task], step: int) -> list[Run]:
    """Each question ``group`` times, as effort high draws."""
    effort = replace(EFFORTS["high"], strategy=BestOfN(plan.group))
    async with asking(Settings(home=plan.place / "home", model=str(model)), reference_share=0.0) as harness:
        bench = without_verifiers(harness)
        first = plan.batch * step  # a seed is never used twice
        return await asyncio.gather(*(ask_one(bench, task, first + i, effort) for i, task in enumerate(tasks)))


async def rows_of(task: Task, run: Run, size: int) -> tuple[list[dict[str, Any]], float]:
    """The attempts of a run as TRL takes them, and the share that was right. Raises ``RuntimeError``.

    TRL wants ``size`` of a group: in the place of one that cannot be learned from there is one without a token to learn
    from, with the group's mean reward.
    """
    attempts = run.trajectories()
    right = await grade(task, [attempt[-1].text for attempt in attempts])
    rewards = {attempt[-1].path: float(each) for attempt, each in zip(attempts, right, strict=True)}
    found = groups_of(run, rewards).groups
    if len(found) != 1:
        raise RuntimeError(f"{task.task_id} has {len(found)} groups of attempts that can be learned from, not one")
    made = [{name: row[name] for name in PARTS} for row in rows(found, "trl")]
    mean = sum(row["reward"] for row in made) / len(made)
    empty = made[0] | {"reward": mean, "env_mask": [0] * len(made[0]["env_mask"])}
    return made + [empty] * (size - len(made)), sum(right) / len(right)


def rollout(plan: Plan, task_ids: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
    """What TRL asks for: every task comes ``group`` times in a row."""
    step, model = trainer.state.global_step, plan.place / "now"
    tasks = [task_of(task_id) for task_id in task_ids[:: plan.group]]
    export(trainer.model, Renderer.load(MINI), model, torch.float32)
    runs = asyncio.run(asked(plan, model, tasks, step))
    prepared(1)
    return asyncio.run(noted(plan, tasks, runs, step))


async def noted(plan: Plan, tasks: Sequence[Task], runs: Sequence[Run], step: int) -> dict[str, list[Any]]:
    made = [await rows_of(task, run, plan.group) for task, run in zip(tasks, runs, strict=True)]
    every = [row for group, _ in made for row in group]
    line = {
        "step": step,
        "tokens": sum(len(node.sample.token_ids) for run in runs for node in run.nodes),
        "left_out": sum(not any(row["env_mask"]) for row in every),
        "right": sum(right for _, right in made) / len(made),
    }
    with plan.spending.open("a") as lines:
        lines.write(json.dumps(line) + "\n")
    print(f"{plan.place}: {line}", flush=True)
    return {name: [row[name] for row in every] for name in PARTS}


def learn(plan: Plan) -> Path:
    """The model that TRL makes."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from transformers.trainer_utils import get_last_checkpoint
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    class Enough(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            enough = sum(line["tokens"] for line in plan.spent()) >= plan.tokens
            control.should_training_stop = enough
            control.should_save = enough or state.global_step % SAVED == 0

    model, checkpoints = plan.place / "model", plan.place / "checkpoints"
    if model.is_dir():
        return model
    checkpoints.mkdir(parents=True, exist_ok=True)
    last = get_last_checkpoint(str(checkpoints))
    done = int(last.rpartition("-")[2]) if last else 0
    kept = [line for line in plan.spent() if line["step"] < done]  # what came after is done, and paid for, again
    plan.spending.write_text("".join(json.dumps(line) + "\n" for line in kept))
    tasks = [
        task for suite in suites_asked(plan.suite, plan.per_tier, 100 + plan.seed, "train") for task in suite.tasks
    ]
    config = GRPOConfig(
        output_dir=str(checkpoints),
        per_device_train_batch_size=plan.group,
        gradient_accumulation_steps=plan.batch,
        num_generations=plan.group,
        learning_rate=plan.rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=5,
        max_steps=1_000_000,
        temperature=EFFORTS["high"].temperature,
        loss_type="grpo",
        seed=plan.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        gradient_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        model_init_kwargs={"dtype": "float32"},
    )
    trainer = GRPOTrainer(
        model=str(MINI),
        reward_funcs=lambda reward, **_: reward,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": [task.task_id for task in tasks]}),
        callbacks=[Enough()],
        rollout_func=partial(rollout, plan),
    )
    trainer.train(resume_from_checkpoint=last)
    trained: Any = trainer.model
    export(trained, Renderer.load(MINI), model.with_suffix(".part"))
    model.with_suffix(".part").rename(model)
    return model


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokens", type=int, required=True, help="Sampled ones to spend.")
    parser.add_argument("--suite", default=SUITES)
    parser.add_argument("--per-tier", type=int, default=250, help="Training questions.")
    parser.add_argument("--held-out", type=int, default=125, help="Of each tier.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=4e-4)
    given = parser.parse_args(arguments)
    prepared(1)
    place = given.out / f"trl-{given.seed}"
    plan = Plan(place, given.suite, given.per_tier, given.tokens, given.seed, given.group, given.batch, given.rate)
    learn(plan)
    judging = Judging(given.out, 1, given.per_tier, given.held_out, 0.0, given.rate)
    models = {f"TRL, seed {each.parent.name[4:]}": each for each in sorted(given.out.glob("trl-*/model"))}
    judged = {name: judge(judging, name, model) for name, model in {"the miniature": MINI, **models}.items()}
    said = [table(judged), ""]
    for name, model in models.items():
        lines = replace(plan, place=model.parent).spent()
        tokens, left_out = (sum(line[what] for line in lines) for what in ("tokens", "left_out"))
        said.append(f"{name}: {len(lines)} steps, {tokens:,.0f} sampled tokens, {left_out:.0f} attempts left out.")
    (given.out / "trl.md").write_text("\n".join(said) + "\n")
    print("\n".join(said))


if __name__ == "__main__":
    main()
