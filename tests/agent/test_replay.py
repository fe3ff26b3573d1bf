"""Replay: a logged run sampled again gives the same tokens, and what does not is told apart from rounding."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.context import Agent
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.policy import OtherVersion
from agent.policy.sampling import Draw
from agent.records import Node, Run, Sample, SamplingParams
from agent.replay import ROUNDING, Difference, Replay, replay
from agent.run import ask
from agent.search.attempts import BestOfN
from tests.agent.scripted import how

With = Callable[..., Agent]


class Nearly(EmbeddedPolicy):
    """Says that every draw lay this far from a boundary."""

    distance = ROUNDING

    async def draws(self, sample: Sample) -> list[Draw]:
        return [draw._replace(boundary_distance=self.distance) for draw in await super().draws(sample)]


def tampered(run: Run, change: Callable[[Sample], Sample]) -> Run:
    """The run with another first sample."""
    first, *rest = run.nodes
    return replace(run, nodes=(replace(first, sample=change(first.sample)), *rest))


def with_token(sample: Sample, index: int, token: int) -> Sample:
    ids = [*sample.token_ids]
    ids[index] = token
    return replace(sample, token_ids=tuple(ids))


@pytest.fixture
async def run(agent_with: With, policy: EmbeddedPolicy) -> Run:
    """Two attempts of random words, so of some steps with and without repairs."""
    return await ask(agent_with(policy), "How many pens?", how(BestOfN(2), sample_tokens=60))


async def test_a_run_of_the_embedded_model_comes_out_the_same(run: Run, policy: EmbeddedPolicy) -> None:
    report = await replay(policy, run)
    assert report == Replay(run.run_id, len(run.nodes), run.usage.sampled_tokens, ())
    assert (report.same, report.sentence) == (True, "identical")


@pytest.mark.parametrize(
    "params",
    [SamplingParams(), SamplingParams(temperature=0.7, top_p=0.9), SamplingParams(top_k=5), SamplingParams(0.0)],
)
async def test_the_draws_of_a_sample_are_the_sample(policy: EmbeddedPolicy, params: SamplingParams) -> None:
    prompt = policy.renderer.start([{"role": "user", "content": "How many pens?"}])
    for sample in await policy.sample(prompt, replace(params, max_tokens=60), n=3):
        draws = await policy.draws(sample)
        assert tuple(draw.token for draw in draws) == sample.token_ids
        assert [draw.logprob for draw in draws] == pytest.approx(sample.logprobs, abs=1e-4)


async def test_a_token_that_was_changed_in_the_log_is_an_error(run: Run, policy: EmbeddedPolicy) -> None:
    drawn = run.nodes[0].sample.token_ids[5]
    report = await replay(policy, tampered(run, lambda sample: with_token(sample, 5, drawn ^ 1)))
    assert not report.same
    first = report.differences[0]
    assert (first.path, first.index, first.logged, first.sampled) == ((0,), 5, drawn ^ 1, drawn)
    assert report.sentence.startswith(f"node 0 token 5: {drawn ^ 1} became {drawn} (DIFFERENT)")


async def test_a_difference_at_a_boundary_is_listed_as_rounding(run: Run, model_folder: Path) -> None:
    last = len(run.nodes[0].sample.token_ids) - 1
    drawn = run.nodes[0].sample.token_ids[last]
    changed = tampered(run, lambda sample: with_token(sample, last, drawn ^ 1))
    policy = Nearly.load(model_folder)
    report = await replay(policy, changed)
    await policy.close()
    assert report.differences == (Difference((0,), last, drawn ^ 1, drawn, ROUNDING, rounding=True),)
    assert report.same
    assert "rounding: the draw lay 1.0e-05 from a boundary" in report.sentence


async def test_a_sample_that_was_made_shorter_or_longer_is_an_error(run: Run, policy: EmbeddedPolicy) -> None:
    ids, logprobs = run.nodes[0].sample.token_ids, run.nodes[0].sample.logprobs
    shorter = tampered(run, lambda sample: replace(sample, token_ids=ids[:-1], logprobs=logprobs[:-1]))
    report = await replay(policy, shorter)
    assert report.differences == (Difference((0,), len(ids) - 1, -1, ids[-1], None),)
    longer = tampered(run, lambda sample: replace(sample, token_ids=(*ids, 1), logprobs=(*logprobs, -0.5)))
    assert not (await replay(policy, longer)).same


async def test_a_sample_that_was_stopped_from_outside_is_replayed_up_to_there(run: Run, policy: EmbeddedPolicy) -> None:
    def stop(sample: Sample) -> Sample:
        return replace(sample, token_ids=sample.token_ids[:7], logprobs=sample.logprobs[:7], finish_reason="cancelled")

    def fail(node: Node) -> Node:
        return replace(node, sample=replace(node.sample, token_ids=(), logprobs=(), finish_reason="error"))

    assert (await replay(policy, tampered(run, stop))).same
    report = await replay(policy, replace(run, nodes=(fail(run.nodes[0]), *run.nodes[1:])))
    assert (report.same, report.samples) == (True, len(run.nodes) - 1)


async def test_a_model_that_cannot_explain_its_draws_has_no_rounding(agent_saying: With) -> None:
    agent = agent_saying({})
    run = await ask(agent, "How many pens?", how())
    drawn = run.nodes[0].sample.token_ids[0]
    report = await replay(agent.policy, tampered(run, lambda sample: with_token(sample, 0, drawn ^ 1)))
    assert report.differences == (Difference((0,), 0, drawn ^ 1, drawn, None),)
    assert not report.same


async def test_another_models_run_is_refused(run: Run, agent_saying: With) -> None:
    with pytest.raises(OtherVersion, match=f"begun by {run.policy} and this is scripted@1; start that model"):
        await replay(agent_saying({}).policy, run)


def test_many_differences_are_counted_and_the_first_few_named() -> None:
    report = Replay("run-1", 1, 9, tuple(Difference((0, 0), i, 1, 2, None) for i in range(7)))
    assert report.sentence.count("DIFFERENT") == 5
    assert report.sentence.endswith("; and 2 more")
