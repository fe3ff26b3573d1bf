"""Steps are rewarded at the tokens with which they end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.graph import steps_of
from agent.policy.renderer import Renderer
from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams, ToolResult
from rl.groups import groups_of
from rl.step_rewards import StepJudge, ends_of, step_rewards_of
from verifiers.verdict import Case, Verdict

RENDERER = Renderer.load("agent/policy/mini")
PROMPT = tuple(RENDERER.start([{"role": "user", "content": "What is 3 * 4?"}]))
CALL = {"name": "calculator", "arguments": {"expression": "3 * 4"}}
lines = st.lists(st.text("ab1 é=\n", max_size=8), max_size=5).map("\n".join)


class Judge:
    """Scores a step by its length; says nothing of an attempt whose answer is "?"."""

    name = "process_reward"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        return [
            Verdict(self.name, None if case.answer == "?" else 0.5, steps=tuple(1 / len(step) for step in case.steps))
            for case in cases
        ]


def node(path: tuple[int, ...], text: str, ending: Ending, before: Sequence[int] = ()) -> Node:
    """What that text, whose control tokens are the model's own, is read as."""
    pieces = text.replace("<think>", "\0<think>\0").replace("</think>", "\0</think>\0").split("\0")
    token_ids = [
        token
        for piece in pieces
        for token in ([RENDERER.controls[piece]] if piece in RENDERER.controls else RENDERER.encode(piece))
    ]
    read = RENDERER.read(token_ids)
    logprobs = (-0.1,) * len(token_ids)
    params = SamplingParams(temperature=1.0, seed=path[-1])
    sample = Sample((*PROMPT, *before), tuple(token_ids), logprobs, "stop", PolicyVersion("m"), params)
    return Node(path, sample, ending, thought=read.thought, text=read.text)


def run_of(*nodes: Node) -> Run:
    return Run("r", "What?", "t", "high", "", {}, "", 1, PolicyVersion("m"), "2026", "finished", nodes)


@given(thought=lines, answer=st.sampled_from(["", "12", "It is 12."]))
def test_each_step_ends_at_the_token_that_completes_it(thought: str, answer: str) -> None:
    attempt = [node((0,), f"<think>\n{thought}</think>\n{answer}", Ending.ANSWER)]
    [ends] = ends_of(attempt, RENDERER, "\n")
    steps = steps_of(attempt, "\n")
    assert len(ends) == len(steps)
    assert ends == sorted(ends)
    token_ids = attempt[0].sample.token_ids
    for step, end, before in zip(steps, ends, [0, *ends], strict=False):
        assert step in RENDERER.decode(token_ids[:end])
        if end < len(token_ids):  # of the thought: not one token too many
            assert f"{step}\n" not in RENDERER.decode(token_ids[before : end - 1])


def test_calls_and_the_answer_end_with_what_was_sampled() -> None:
    first = node((0,), "<think>\nI multiply.\n3 * 4\n</think>\n", Ending.TOOL_CALL)
    first = Node(
        first.path, first.sample, first.ending, first.thought, "", (CALL,), (ToolResult("calculator", CALL, "12"),)
    )
    last = node((0, 0), "It is 12.", Ending.ANSWER, first.sample.token_ids)
    ends, answered = ends_of([first, last], RENDERER, "\n")
    assert len(ends) == 3
    assert ends[0] < ends[1] < ends[2] == len(first.sample.token_ids)
    assert answered == [len(last.sample.token_ids)]


def test_a_thought_goes_on_in_the_next_node() -> None:
    first = node((0,), "<think>\nOne.\n", Ending.STEP)
    thought = RENDERER.encode("Two.\n")
    last = node((0, 0), "Two.\n</think>\n2", Ending.ANSWER, first.sample.token_ids)
    last = Node(last.path, last.sample, last.ending, thought="Two.", text="2")
    assert [len(ends) for ends in ends_of([first, last], RENDERER, "\n")] == [1, 2]
    assert list(ends_of([first, last], RENDERER, "\n"))[1][0] == len(thought)


async def test_rewards_of_steps_stand_at_their_tokens_in_the_members_of_a_group() -> None:
    attempts = [node((i,), f"<think>\nstep{'!' * i}\nso\n</think>\nIt is {i}.", Ending.ANSWER) for i in range(2)]
    run = run_of(*attempts)
    steps = await step_rewards_of(run, StepJudge(Judge(), RENDERER, "\n"))
    [group] = groups_of(run, {(0,): 1.0, (1,): 0.0}, steps).groups
    for member, attempt in zip(group.members, attempts, strict=True):
        assert [reward for _, reward in member.steps] == [1 / len(step) for step in steps_of([attempt], "\n")]
        assert member.steps[-1][0] == len(member.token_ids) - 1
        assert all(member.learn[place] for place, _ in member.steps)


@pytest.mark.parametrize("silent", [0, 1])
async def test_an_attempt_of_which_nothing_was_said_has_no_rewards_of_steps(silent: int) -> None:
    texts = [f"<think>\nstep\n</think>\n{'?' if i == silent else i}" for i in range(2)]
    run = run_of(*(node((i,), text, Ending.ANSWER) for i, text in enumerate(texts)))
    steps = await step_rewards_of(run, StepJudge(Judge(), RENDERER, "\n"))
    assert list(steps) == [(1 - silent,)]
    [group] = groups_of(run, {(0,): 1.0, (1,): 0.0}, steps).groups
    assert [bool(member.steps) for member in group.members] == [i != silent for i in range(2)]
