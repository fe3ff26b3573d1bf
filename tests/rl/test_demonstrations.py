"""Demonstrations as ids: what the agent itself would have seen and sampled, and a loss on nothing else."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from agent.effort import Effort
from agent.policy.renderer import Renderer
from agent.records import Ending
from agent.run import Ask, ask
from agent.search.attempts import Single
from retrieval.passage import Passage
from rl.demonstrations import SYSTEM_PROMPT, Encoded, encode, sampled_text
from rl.grade import is_right
from rl.sft import tool_schemas
from rl.tasks.lookup import PASSAGES
from rl.tasks.suite import FAMILIES, SHARES, generate
from rl.tasks.task import Step, Task
from tests.rl.scripted import ScriptedPolicy, scripted_agent
from tests.rl.tiny import tiny_tokenizer
from tools.search import search_tool
from tools.tool import Tool, ToolError, tool

SCHEMAS = tool_schemas()


def interesting() -> Iterator[Task]:
    """One task of every family and tier, and some with a failed call."""
    for family in SHARES:
        for tier in FAMILIES[family].TIERS:
            yield generate(family, tier, "train", 4, 0)
    for family, tier in (("arithmetic", 5), ("programs", 2)):
        made = (generate(family, tier, "train", 4, index) for index in range(1, 400))
        failed = [task for task in made if any(r.startswith("Error: ") for s in task.demonstration for r in s.results)]
        yield from failed[:3]


TASKS = list(interesting())


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(tiny_tokenizer())


def stretches(encoded: Encoded) -> list[tuple[bool, list[int]]]:
    """Runs of tokens that do, or do not, carry a loss."""
    pairs = zip(encoded.learn, encoded.token_ids, strict=True)
    return [(learn, [token for _, token in group]) for learn, group in groupby(pairs, key=lambda pair: pair[0])]


def text_of(renderer: Renderer, token_ids: list[int]) -> str:
    """Control tokens included, which ``Renderer.decode`` leaves out."""
    return str(renderer.tokenizer.decode(token_ids))


def messages_of(task: Task) -> list[dict[str, Any]]:
    """The demonstration as the conversation that OpenAI's API would show."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": SYSTEM_PROMPT},
        {"role": "user", "content": task.question},
    ]
    for step in task.demonstration:
        calls = [{"type": "function", "function": {"name": n, "arguments": a}} for n, a in step.calls]
        said: dict[str, Any] = {"role": "assistant", "content": step.text, "reasoning_content": step.thought}
        messages += [said | ({"tool_calls": calls} if calls else {})]
        messages += [{"role": "tool", "content": result} for result in step.results]
    return messages


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.task_id)
def test_the_ids_decode_to_the_conversation_in_the_chat_template(task: Task, renderer: Renderer) -> None:
    encoded = encode(task, renderer, SCHEMAS)
    tools: Any = [SCHEMAS[name] for name in task.tools]
    expected = renderer.tokenizer.apply_chat_template(messages_of(task), tools=tools, tokenize=False)
    assert text_of(renderer, encoded.token_ids) + "\n" == expected


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.task_id)
def test_exactly_the_learned_turns_carry_a_loss(task: Task, renderer: Renderer) -> None:
    learned = [ids for learn, ids in stretches(encode(task, renderer, SCHEMAS)) if learn]
    expected = [sampled_text(step) + "<|im_end|>" for step in task.demonstration if step.learn]
    assert [text_of(renderer, ids) for ids in learned] == expected


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.task_id)
def test_prompts_tool_results_and_slips_carry_none(task: Task, renderer: Renderer) -> None:
    parts = stretches(encode(task, renderer, SCHEMAS))
    unlearned = "".join(text_of(renderer, ids) for learn, ids in parts if not learn)
    assert SYSTEM_PROMPT in unlearned
    assert task.question in unlearned
    for step in task.demonstration:
        assert all(result in unlearned for result in step.results)
        assert (sampled_text(step) in unlearned) == (not step.learn)


def test_some_of_these_tasks_have_a_slip() -> None:
    assert sum(not step.learn for task in TASKS for step in task.demonstration) >= 2


# --- the agent, turn by turn ------------------------------------------------------------------------------------------


class ShownBefore:
    """A search that finds, query by query, what the demonstration shows."""

    def __init__(self, task: Task) -> None:
        self.found = {
            step.calls[0][1]["query"]: re.findall(r"^\[\d+\] (.*)$", step.results[0], re.MULTILINE)
            for step in task.demonstration
            if step.calls and step.calls[0][0] == "search"
        }
        self.documents = {document.title: document for document in task.documents}

    def search(self, query: str, k: int) -> list[Passage]:
        assert k == PASSAGES
        shown = [self.documents[title] for title in self.found[query]]
        return [Passage(d.text, d.source, 0, len(d.text), title=d.title) for d in shown]


def tools_of(task: Task) -> list[Tool]:
    """The task's tools with the schemas of the real ones; all but the search say what the demonstration says."""
    results = {
        name: [
            r for step in task.demonstration for (n, _), r in zip(step.calls, step.results, strict=True) if n == name
        ]
        for name in task.tools
    }

    def say(name: str) -> str:
        text = results[name].pop(0)
        if text.startswith("Error: "):
            raise ToolError(text.removeprefix("Error: "))
        return text

    @tool(description="Evaluate an arithmetic expression exactly.")
    async def calculator(expression: str) -> str:
        return say("calculator")

    @tool(description="Run a Python program and return what it prints.")
    async def python(code: str) -> str:
        return say("python")

    made = {"calculator": calculator, "python": python, "search": search_tool(ShownBefore(task), PASSAGES)}
    return [made[name] for name in task.tools]


def calls_of(step: Step) -> list[dict[str, object]]:
    return [{"name": name, "arguments": arguments} for name, arguments in step.calls]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.task_id)
async def test_the_agent_that_samples_these_turns_sees_exactly_these_ids(
    task: Task, renderer: Renderer, tmp_path: Path
) -> None:
    policy = ScriptedPolicy(renderer, {task.question: [sampled_text(step) for step in task.demonstration]})
    agent = scripted_agent(policy, tmp_path, tools_of(task))
    with agent.store:
        run = await ask(agent, task.question, Ask(Effort("low", Single(), temperature=1.0), seed=0))
    assert [node.ending for node in run.nodes[:-1]] == [Ending.TOOL_CALL] * (len(task.demonstration) - 1)
    assert [[dict(call) for call in node.calls] for node in run.nodes] == [calls_of(s) for s in task.demonstration]
    assert [node.thought for node in run.nodes] == [step.thought for step in task.demonstration]
    last = run.nodes[-1].sample
    encoded = encode(task, renderer, SCHEMAS)
    assert [*last.prompt_token_ids, *last.token_ids] == encoded.token_ids
    assert is_right(task, run.answer)
