"""How good each step of a logged attempt was."""

from hypothesis import given
from hypothesis import strategies as st

from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams
from rl.step_labels import Steps, labelled, shares
from rl.tasks.suite import generate, task_of
from rl.tasks.task import Task

LINES = st.lists(st.tuples(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), st.booleans()), min_size=1)


def run_of(*attempts: tuple[str, str, Ending]) -> Run:
    """One node an attempt: (thought, text, how it ended)."""
    version = PolicyVersion("m")
    nodes = tuple(
        Node((i,), Sample((1,), (2,), (-0.5,), "stop", version, SamplingParams()), ending, thought, text)
        for i, (thought, text, ending) in enumerate(attempts)
    )
    return Run("r", "q", "t", "high", "best_of_n", {}, "fixed n=2", 1, version, "2026-01-01", "finished", nodes)


def task(family: str = "units", tier: int = 1) -> Task:
    return generate(family, tier, "train", 0, 0)


def test_a_step_is_as_good_as_the_share_of_attempts_through_it_that_end_right() -> None:
    gold = task().gold
    run = run_of(
        ("look\nread", f"Answer: {gold}", Ending.ANSWER),
        ("look\nguess", "Answer: no", Ending.ANSWER),
        ("look\nread", f"So, Answer:\nAnswer: {gold}", Ending.ANSWER),
    )
    by_thought = {each.steps[1]: each for each in labelled(run, task(), "\n")}
    assert by_thought["read"].labels[:2] == (2 / 3, 1.0)
    assert by_thought["guess"].labels == (2 / 3, 0.0, 0.0)
    assert not by_thought["read"].checked


def test_what_was_not_finished_says_nothing_and_a_spent_budget_is_wrong() -> None:
    gold = task().gold
    run = run_of(
        ("a", f"Answer: {gold}", Ending.ANSWER), ("b", "", Ending.CANCELLED), ("c", "", Ending.ERROR),
        ("d", f"Answer: {gold}", Ending.BUDGET), ("e", "", Ending.STEP),
    )  # fmt: skip
    assert {each.steps[0]: each.right for each in labelled(run, task(), "\n")} == {"a": True, "d": False}


def test_the_same_steps_are_learned_once() -> None:
    answer = f"Answer: {task().gold}"
    assert len(labelled(run_of(("a", answer, Ending.ANSWER), ("a", answer, Ending.ANSWER)), task(), "\n")) == 1


def test_the_demonstration_says_which_step_was_the_first_wrong_one() -> None:
    letters = next(t for i in range(50) if len((t := generate("strings", 3, "train", 0, i)).demonstration) == 1)
    thought, text = letters.demonstration[0].thought, letters.demonstration[0].text
    lines = thought.split("\n")
    wrong = "\n".join([lines[0], lines[1][:-1] + "?", *lines[2:]])
    right_one, wrong_one = labelled(
        run_of((thought, text, Ending.ANSWER), (wrong, "Answer: zzz", Ending.ANSWER)), letters, "\n"
    )
    assert right_one.checked
    assert set(right_one.labels) == {1.0}
    assert wrong_one.labels == (1.0,) + (0.0,) * len(lines)


def test_a_task_comes_back_from_its_id() -> None:
    assert task_of("arithmetic/3/train/5/17") == generate("arithmetic", 3, "train", 5, 17)


@given(LINES)
def test_shares_are_means_and_the_last_one_is_that_of_equal_attempts(drawn: list[tuple[list[str], bool]]) -> None:
    attempts: list[tuple[Steps, bool]] = [(tuple(steps), right) for steps, right in drawn]
    found = shares(attempts)
    for steps, values in found.items():
        assert len(values) == len(steps)
        same = [right for other, right in attempts if other[: len(steps)] == steps]
        assert values[-1] == sum(same) / len(same)
