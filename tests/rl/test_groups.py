"""Groups are read from trees: who is compared with whom, and what is left out."""

import random
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.records import FORM, Ending, Node, Path, PolicyVersion, Run, Sample, SamplingParams
from rl.groups import groups_of

VERSION = PolicyVersion("m")
PROMPT = (1, 2, 3)


def node(path: Path, above: Node | None = None, ending: Ending = Ending.ANSWER, temperature: float = 0.6) -> Node:
    """Two sampled tokens that tell its path; what comes below one has a tool's token between."""
    prompt = PROMPT if above is None else (*above.sample.prompt_token_ids, *above.sample.token_ids, 99)
    ids = (10 + path[-1], 20 + len(path))
    drawn = SamplingParams(temperature=temperature, seed=path[-1])
    return Node(path, Sample(prompt, ids, (-0.1, -0.2), "stop", VERSION, drawn), ending)


def run_of(nodes: list[Node]) -> Run:
    return Run("r", "q", "t", "high", "best_of_n", {}, "", 1, VERSION, "2026", "finished", tuple(nodes))


def tree(seed: int) -> Run:
    """Up to three children a node, three levels deep."""
    random_ = random.Random(seed)
    nodes: list[Node] = []

    def grow(path: Path, above: Node | None) -> None:
        for i in range(random_.randint(1, 3) if len(path) < 3 else 0):
            made = node((*path, i), above, Ending.TOOL_CALL)
            nodes.append(made)
            if random_.random() < 0.7:
                grow(made.path, made)

    grow((), None)
    return run_of(nodes)


def rewards_of(run: Run, seed: int) -> dict[Path, float | None]:
    random_ = random.Random(seed)
    return {attempt[-1].path: random_.random() for attempt in run.trajectories()}


def test_the_attempts_of_one_question_are_a_group() -> None:
    first = node((0,), ending=Ending.TOOL_CALL)
    run = run_of([first, node((0, 0), first), node((1,)), node((2,))])
    [group] = groups_of(run, {(0, 0): 1.0, (1,): 0.0, (2,): 0.5}).groups
    assert [(m.path, m.reward, m.sampled) for m in group.members] == [((0,), 1.0, 4), ((1,), 0.0, 2), ((2,), 0.5, 2)]
    whole = group.members[0]
    assert whole.token_ids == (*PROMPT, 10, 21, 99, 10, 22)
    assert whole.learn == (False, False, False, True, True, False, True, True)
    assert whole.logprobs == (0, 0, 0, -0.1, -0.2, 0, -0.1, -0.2)
    assert (group.temperature, group.parent) == (0.6, ())


def test_how_the_chosen_answer_was_written_for_a_caller_is_no_part_of_its_attempt() -> None:
    first, second = node((0,)), node((1,))
    run = replace(run_of([first, second]), chosen=(0,))
    written = replace(run, nodes=(*run.nodes, replace(node((0, 0), first), bridge=FORM)))
    rewards = {(0,): 1.0, (1,): 0.0}
    assert groups_of(written, rewards) == groups_of(run, rewards)


@given(st.integers(0, 10_000))
def test_every_sample_is_in_one_member_or_left_out_with_what_it_began(seed: int) -> None:
    run = tree(seed)
    found = groups_of(run, rewards_of(run, seed))
    members = [member for group in found.groups for member in group.members]
    begun = [member.path for member in members]
    assert len(set(begun)) == len(begun)
    children: dict[Path, int] = defaultdict(int)
    for each in run.nodes:
        children[each.parent] += 1
    branching = [each for each in run.nodes if children[each.parent] > 1]
    assert sorted(begun) == sorted(each.path for each in branching)
    assert sum(found.left_out.values()) == (children[()] == 1)  # one attempt alone


@given(st.integers(0, 10_000))
def test_a_members_reward_is_the_mean_of_the_attempts_through_it(seed: int) -> None:
    run = tree(seed)
    rewards = rewards_of(run, seed)
    for group in groups_of(run, rewards).groups:
        for member in group.members:
            through = [r for path, r in rewards.items() if path[: len(member.path)] == member.path and r is not None]
            assert member.reward == pytest.approx(sum(through) / len(through))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (replace(node((1,)), ending=Ending.CANCELLED), "it ended in cancelled"),
        (node((1,), temperature=0.0), "it is greedy"),
        (replace(node((1,)), sample=replace(node((1,)).sample, not_trainable="the server cut it")), "the server cut"),
        (replace(node((1,)), sample=replace(node((1,)).sample, logprobs=(-0.1, float("-inf")))), "not a finite"),
        (replace(node((1,)), sample=replace(node((1,)).sample, params=SamplingParams(top_p=0.9))), "cut off"),
        (replace(node((1,)), sample=replace(node((1,)).sample, token_ids=(), logprobs=())), "no token"),
    ],
)
def test_what_cannot_be_learned_from_is_left_out_and_counted(changed: Node, why: str) -> None:
    found = groups_of(run_of([node((0,)), changed, node((2,))]), {(0,): 1.0, (1,): 0.0, (2,): 0.0})
    [group] = found.groups
    assert [member.path for member in group.members] == [(0,), (2,)]
    [reason] = found.left_out
    assert why in reason


def test_what_nobody_could_judge_is_no_zero() -> None:
    found = groups_of(run_of([node((0,)), node((1,)), node((2,))]), {(0,): 1.0, (1,): None, (2,): 0.0})
    assert [member.path for member in found.groups[0].members] == [(0,), (2,)]
    assert found.left_out == {"nobody could judge it": 1}


def test_samples_from_different_distributions_are_not_compared() -> None:
    run = run_of([node((0,)), node((1,)), node((2,), temperature=1.0)])
    found = groups_of(run, {(0,): 1.0, (1,): 0.0, (2,): 0.0})
    assert [len(group.members) for group in found.groups] == [2]
    assert found.left_out == {"it has nothing to be compared with": 1}


def test_a_prompt_that_was_written_anew_breaks_the_chain() -> None:
    first = node((0,), ending=Ending.TOOL_CALL)
    second = node((0, 0), first)
    anew = replace(second, sample=replace(second.sample, prompt_token_ids=(7, 8, 9, 9, 9, 9)))
    found = groups_of(run_of([first, anew, node((1,)), node((2,))]), {(0, 0): 1.0, (1,): 0.0, (2,): 0.0})
    assert found.left_out == {"its prompts are not beginnings of one another": 1}
