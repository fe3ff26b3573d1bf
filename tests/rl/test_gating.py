"""A gate that is really run: scripted models with known answers, and a real model against itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.context import Agent
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.renderer import Renderer
from agent.records import PolicyVersion
from rl.evaluate import Harness
from rl.gate_records import Contest, GateError, GateSettings, Mixture
from rl.gating import FINAL_SEED, Step, gate, task_at
from rl.tasks.task import Task
from tests.rl.scripted import ScriptedPolicy, scripted_agent
from tests.rl.tiny import save_tiny_model, tiny_tokenizer

SUMS, UNITS = Mixture("sums", (("sums", 1), ("sums", 2))), Mixture("units", (("units", 1),))
RULES = GateSettings(
    primary=SUMS, guards=(UNITS,), first=30, most=40, effect=0.3, margin=0.3, guard_first=30, guard_most=40
)
CONTEST = Contest("v2", "v1", 1)


class Answering(ScriptedPolicy):
    """Knows the answers to some questions, and says 123456789 to all others."""

    def __init__(self, renderer: Renderer, known: dict[str, str], name: str) -> None:
        super().__init__(renderer, {})
        self.known, self.version, self.asked = known, PolicyVersion("scripted", version=name), 0

    def _next(self, prompt_token_ids: object) -> tuple[int, ...]:
        shown = str(self.renderer.tokenizer.decode(list(prompt_token_ids)))  # type: ignore[call-overload]
        question = shown.partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
        self.asked += 1
        text = f"<think>\nSo.\n</think>\n\nIt is so.\n\nAnswer: {self.known.get(question, '123456789')}"
        ids = self.renderer.tokenizer.encode(text, add_special_tokens=False)
        return (*ids, self.renderer.stop_token_ids[0])


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(tiny_tokenizer())


@pytest.fixture
def opened() -> Iterator[list[Agent]]:
    """The agents of a test, whose logs are closed after it."""
    agents: list[Agent] = []
    yield agents
    for agent in agents:
        agent.store.close()


def knowing(mixtures: list[Mixture]) -> dict[str, str]:
    tasks = [task_at(mixture, CONTEST.seed(mixture.name), index) for mixture in mixtures for index in range(40)]
    return {task.question: task.gold for task in tasks}


def bench(policy: Answering, folder: Path, opened: list[Agent]) -> Harness:
    folder.mkdir(exist_ok=True)
    opened.append(scripted_agent(policy, folder, []))
    return Harness(opened[-1], None)


async def test_who_is_better_is_promoted_and_an_interrupted_gate_asks_nothing_twice(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    new = Answering(renderer, knowing([SUMS, UNITS]), "new")
    old = Answering(renderer, knowing([UNITS]), "old")
    steps: list[Step] = []
    both = [bench(policy, tmp_path / policy.version.version, opened) for policy in (new, old)]
    decision = await gate(RULES, CONTEST, both[0], both[1], steps.append)
    assert decision.promote, decision.said()
    assert [side.share for side in decision.primary] == [1.0, 0.0]
    assert decision.tokens == sum(run.usage.total_tokens for agent in opened for run in agent.store.runs())
    assert (steps[-1].suite, steps[-1].done) == ("units", steps[-1].total)
    asked = new.asked
    assert asked == RULES.attempts * decision.looks[-1].items + decision.guards[-1].items
    assert await gate(RULES, CONTEST, both[0], both[1], steps.append) == decision
    assert new.asked == asked
    swapped = await gate(RULES, replace(CONTEST, candidate="v2"), both[1], both[0], steps.append)
    assert not swapped.promote


async def test_another_gate_has_other_questions(renderer: Renderer, tmp_path: Path, opened: list[Agent]) -> None:
    policy = Answering(renderer, knowing([SUMS, UNITS]), "new")
    one = bench(policy, tmp_path, opened)
    await gate(RULES, CONTEST, one, one, lambda step: None)
    first = {run.metadata["task_id"] for run in one.agent.store.runs()}
    await gate(RULES, replace(CONTEST, number=2), one, one, lambda step: None)
    every = {run.metadata["task_id"] for run in one.agent.store.runs()}
    assert len(every) == 2 * len(first)
    assert all(task_id.split("/")[2] == "held_out" for task_id in every)
    assert not any(task_id.split("/")[3] == str(FINAL_SEED) for task_id in every)


async def test_a_suite_that_makes_no_questions_is_refused_before_anything_is_asked(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    one = bench(Answering(renderer, {}, "new"), tmp_path, opened)
    rules = replace(RULES, primary=Mixture("gsm8k.jsonl", (("gsm8k.jsonl", 0),)))
    with pytest.raises(GateError, match=r"no gsm8k.jsonl/0 .*`ponder eval` measures files"):
        await gate(rules, CONTEST, one, one, lambda step: None)


def test_a_question_is_a_pure_function_and_every_kind_comes() -> None:
    made: list[Task] = [task_at(SUMS, 5, index) for index in range(40)]
    assert made == [task_at(SUMS, 5, index) for index in range(40)]
    assert {task.tier for task in made} == {1, 2}
    assert 8 < sum(task.tier == 1 for task in made) < 32


@pytest.mark.timeout(300)
async def test_a_real_model_is_not_better_than_itself(tmp_path: Path, opened: list[Agent]) -> None:
    policy = EmbeddedPolicy.load(str(save_tiny_model(tmp_path / "model", 1024)))
    agent = replace(scripted_agent(ScriptedPolicy(policy.renderer, {}), tmp_path, []), policy=policy)
    opened.append(agent)
    one = Harness(agent, None)
    decision = await gate(replace(RULES, attempts=1), CONTEST, one, one, lambda step: None)
    await policy.close()
    assert not decision.promote
    assert (decision.looks[-1].difference, decision.looks[-1].p) == (0.0, 1.0)
    assert decision.primary[0] == decision.primary[1]
    assert decision.primary[0].tokens > 0
