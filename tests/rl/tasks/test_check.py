"""Whether each step of an attempt is right, where the demonstration can say."""

import json

import pytest

from rl.tasks.check import checked_steps, demonstrated
from rl.tasks.suite import FAMILIES, generate
from rl.tasks.task import SPLITS, Task


def shown(task: Task) -> list[str]:
    """The demonstration as an attempt."""
    steps: list[str] = []
    for turn in task.demonstration:
        steps += turn.thought.split("\n")
        steps += [
            f"{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n{result}"
            for (name, arguments), result in zip(turn.calls, turn.results, strict=True)
        ]
        steps += [turn.text] if turn.text else []
    return steps


def story(tier: int = 4) -> Task:
    return next(t for i in range(50) if demonstrated(t := generate("arithmetic", tier, "held_out", 2, i), "\n"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_demonstration_is_right_in_all_its_steps(family: str) -> None:
    tasks = [generate(family, tier, split, 1, i) for tier in FAMILIES[family].TIERS for split in SPLITS for i in (0, 1)]
    for task in tasks:
        verdicts = checked_steps(task, shown(task), "\n")
        assert verdicts is None or all(verdicts)


def test_names_and_words_may_differ_and_terms_may_not() -> None:
    task = story()
    steps = shown(task)
    term = steps[0].partition(": ")[2]
    assert all(checked_steps(task, [f"in other words: {term}", *steps[1:]], "\n") or [])
    assert checked_steps(task, [f"at first: {term} + 1", *steps[1:-1], "Answer: 1"], "\n") == [False] * len(steps)


def test_after_the_first_wrong_step_none_is_right() -> None:
    steps = shown(story())
    wrong = [*steps[:2], "nothing: + 999", *steps[3:-1], "Answer: -1"]
    assert checked_steps(story(), wrong, "\n") == [True, True] + [False] * (len(steps) - 2)


def test_nobody_can_say_of_another_way_to_the_right_answer() -> None:
    task = story()
    assert checked_steps(task, ["all at once: 1 + 1", f"Answer: {task.gold}"], "\n") is None


def test_the_answer_may_be_in_other_words() -> None:
    task = story()
    assert all(checked_steps(task, [*shown(task)[:-1], f"It is so.\n\nAnswer: {task.gold}"], "\n") or [])


def test_where_there_are_many_ways_nobody_can_say() -> None:
    assert checked_steps(generate("lookup", 1, "train", 0, 0), ["a step", "Answer: b"], "\n") is None
