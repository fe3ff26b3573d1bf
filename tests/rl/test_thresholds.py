"""When auto may stop: fitted on pools whose answers can be checked."""

import random
from dataclasses import replace

import pytest

from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams
from agent.search.auto import Auto
from rl.pools import Pool, pool_of
from rl.results import Paired
from rl.tasks.suite import generate
from rl.thresholds import SHARE, Asked, Level, fit, second_half, states, taken, wave_ends

VOTING = {"consensus": 1.0}


async def pool(index: int, chance: float, nats: float, size: int = 8) -> Pool:
    """Attempts that are right with this chance, each token drawn with so many nats."""
    task, version = generate("units", 1, "held_out", 0, index), PolicyVersion("m")
    random_ = random.Random(index)
    nodes = []
    for i in range(size):
        answer = task.gold if random_.random() < chance else f"{random_.random():.3f}"
        sample = Sample((1,), (2,) * 10, (-nats,) * 10, "stop", version, SamplingParams())
        nodes.append(Node((i,), sample, Ending.ANSWER, "so", f"Answer: {answer}"))
    run = Run("r", task.question, "t", "pool", "best_of_n", {}, "", 1, version, "2026", "finished", tuple(nodes))
    return await pool_of(task, run, (), "\n", seconds=1.0)


async def asked(index: int, chance: float, nats: float, quick: float = 0.0) -> Asked:
    """``quick`` is the chance that an attempt without a thought, which is not sure of itself unless right, is right."""
    without = await pool(index, quick, 0.001 if quick else 2.0, size=1)
    return Asked(await pool(index, chance, nats), without)


def shortened(pool: Pool) -> tuple[tuple[Node, ...], ...]:
    """Its attempts in one token each."""
    sample = pool.attempts[0][0].sample
    one = replace(sample, token_ids=sample.token_ids[:1], logprobs=sample.logprobs[:1])
    return tuple((replace(node, sample=one),) for (node,) in pool.attempts)


async def mixed(count: int = 120, quick: float = 0.0) -> list[Asked]:
    """Easy questions, of which the model is sure and right; hard ones, of which it is neither."""
    return [await (asked(i, 1.0, 0.001, quick) if i % 2 else asked(i, 0.3, 0.8)) for i in range(count)]


async def test_a_level_is_learned_that_loses_nothing_for_fewer_tokens() -> None:
    found = await fit(await mixed(), VOTING)
    assert found.best.against_high.difference == 0.0
    assert SHARE < found.best.against_high.token_ratio < 0.8  # within the share, 23 points would be lost
    assert found.weights[1] < 0  # doubt speaks against an answer


def level(enough: float, tokens: float, lost: float) -> Level:
    """As if 1,000 tokens were high effort's, and every loss sure."""
    paired = Paired(-lost, (-lost - 0.001, -lost + 0.001), 1.0, tokens / 1000)
    return Level(enough, False, 0.8 - lost, tokens, paired)


@pytest.mark.parametrize(
    ("levels", "best"),
    [
        ([level(0.6, 200, 0.0), level(0.8, 400, 0.005), level(0.9, 600, 0.0)], 0.8),  # not the luckiest
        ([level(0.6, 200, 0.0), level(0.8, 400, 0.03), level(0.9, 600, 0.008), level(0.95, 700, 0.0)], 0.9),
        ([level(0.6, 200, 0.04), level(0.9, 800, 0.02)], 0.9),  # nothing will do
        ([level(0.6, 700, 0.0), level(0.9, 800, 0.0)], 0.6),
    ],
)
def test_a_level_that_loses_too_much_gives_way_to_a_more_careful_one(levels: list[Level], best: float) -> None:
    assert taken(levels).enough == best


async def test_an_attempt_without_a_thought_comes_first_only_where_it_pays() -> None:
    assert not (await fit(await mixed(quick=0.0), VOTING)).best.quick
    free = [replace(each, quick=replace(each.quick, attempts=shortened(each.quick))) for each in await mixed(quick=1.0)]
    assert (await fit(free, VOTING)).best.quick


async def test_states_are_what_auto_sees_after_each_wave() -> None:
    assert wave_ends(Auto(n=8), 8) == [1, 2, 4, 6, 8]
    features, labels = await states([await pool(1, 1.0, 0.001)], VOTING)
    assert features.shape == (5, 4)
    assert labels.tolist() == [1.0] * 5


async def test_one_half_learns_and_the_other_chooses() -> None:
    halves = [second_half(each.pool) for each in await mixed(60)]
    assert 15 < sum(halves) < 45
    with pytest.raises(ValueError, match="too few"):
        await fit([await asked(1, 1.0, 0.1)], VOTING)


async def test_equal_questions_are_in_one_half() -> None:
    pools = [await pool(index, 1.0, 0.1) for index in range(20)]
    again = [replace(each, task=replace(each.task, task_id=f"{each.task.task_id}0")) for each in pools]
    assert [second_half(each) for each in again] == [second_half(each) for each in pools]


async def test_more_attempts_than_auto_makes_are_not_looked_at() -> None:
    small, large = await pool(3, 0.5, 0.1, size=8), await pool(3, 0.5, 0.1, size=16)
    assert (await states([small], VOTING))[0].tolist() == (await states([replace(large)], VOTING))[0].tolist()
