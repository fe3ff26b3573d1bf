"""The records: a tree and its trajectories, what samples share, what they cost."""

from dataclasses import replace

import pytest

from agent.records import PolicyVersion, Sample, SamplingParams, Usage, group_key, usage_of
from tests.agent.logs import MINI, RUN, node, sample
from tools.tool import ToolResult
from verifiers.verdict import Verdict

TREE = replace(RUN, nodes=tuple(node(path) for path in [(0,), (0, 0), (0, 1), (1,), (2,), (2, 0), (2, 0, 0)]))


def test_trajectories_are_the_paths_from_a_first_step_to_a_leaf() -> None:
    paths = [[step.path for step in trajectory] for trajectory in TREE.trajectories()]
    assert paths == [[(0,), (0, 0)], [(0,), (0, 1)], [(1,)], [(2,), (2, 0), (2, 0, 0)]]
    assert [step.path for step in TREE.trajectory((2, 0))] == [(2,), (2, 0)]


def test_a_node_is_found_by_its_path() -> None:
    found = TREE.node((2, 0))
    assert found is not None
    assert found.parent == (2,)
    assert TREE.node((3,)) is None


def test_a_sample_has_one_logprob_for_each_token_or_says_why_not() -> None:
    with pytest.raises(ValueError, match="2 tokens but 1 log-probabilities"):
        Sample((1,), (2, 3), (-0.5,), "stop", MINI, SamplingParams())
    Sample((1,), (2, 3), (), "stop", MINI, SamplingParams(), not_trainable="the server has no ids")


def test_samples_of_one_prompt_and_distribution_form_a_group_whatever_their_seed() -> None:
    first = node((0,), sample(seed=1))
    assert group_key(node((1,), sample(seed=2))) == group_key(first)
    warmer = replace(sample(), params=SamplingParams(temperature=0.5))
    newer = replace(sample(), policy=PolicyVersion("mini", version="v2"))
    for other in (warmer, newer, sample(prompt=(9, 9)), replace(sample(), template_hash="other")):
        assert group_key(node((1,), other)) != group_key(first)


def test_usage_counts_every_node() -> None:
    called = replace(node(), tool_results=(ToolResult("search", {}, "a"), ToolResult("search", {}, "b")))
    cached = node((1,), replace(sample(), cached_prompt_tokens=2))
    judged = replace(called, verdicts=(Verdict("process_reward", 0.5, tokens=5), Verdict("format", 1.0)))
    assert usage_of([judged, cached], 3.0, thought_tokens=3) == Usage(4, 2, 4, 3, 5, 2, 2, 3.0)
    assert usage_of([judged]).total_tokens == 7


def test_a_policy_names_its_adapter_and_version() -> None:
    assert str(PolicyVersion("Qwen3-8B", "tom", "v3")) == "Qwen3-8B+tom@v3"
    assert str(MINI) == "mini@v1"
