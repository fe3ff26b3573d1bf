"""What an evaluation reports, from runs that go a known way."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.budget import Budget
from agent.context import Agent
from agent.effort import EFFORTS
from agent.policy.renderer import Renderer
from agent.search.attempts import BestOfN
from agent.system_prompt import SystemPrompt
from rl.demonstrations import sampled_text
from rl.evaluate import EvaluationError, Harness, Suite, evaluate_live, evaluate_pool, suite_of, versions_of
from rl.intervals import mean_interval, wilson
from rl.results import compare
from rl.suites.formats import task_of
from rl.tasks.task import Task
from tests.rl.scripted import ScriptedPolicy, scripted_agent
from tests.rl.tiny import tiny_tokenizer
from tools.calculator import calculator

LOW, HIGH = EFFORTS["low"], EFFORTS["high"]
WRONG = "<think>\nA guess.\n</think>\n\nIt is so.\n\nAnswer: 123456789"
FIELDS = ("suite", "tier", "effort", "strategy", "questions", "accuracy", "interval")
FIELDS += ("tokens_per_question", "seconds_per_question")


class Attempts(ScriptedPolicy):
    """Each attempt at a question gives the next of its answers."""

    def say(self, question: str, turn: int) -> str:
        answers = self.turns[question]
        assert isinstance(answers, list)
        return answers.pop()


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(tiny_tokenizer())


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[Agent]]:
    """The agents of a test, whose logs are closed after it."""
    agents: list[Agent] = []
    yield agents
    for agent in agents:
        agent.store.close()


def harness(policy: ScriptedPolicy, folder: Path, opened: list[Agent], concurrent: int = 16) -> Harness:
    opened.append(scripted_agent(policy, folder, [calculator]))
    return Harness(opened[-1], None, concurrent)


def demonstrated(task: Task) -> list[str]:
    return [sampled_text(step) for step in task.demonstration]


def answer(text: str) -> str:
    return f"<think>\nSo.\n</think>\n\nIt is so.\n\nAnswer: {text}"


# --- suites -----------------------------------------------------------------------------------------------------------


def test_a_suite_is_held_out_and_a_function_of_its_seed() -> None:
    suite = suite_of("lookup", 2, 5, seed=3)
    assert [task.task_id for task in suite.tasks] == [f"lookup/2/held_out/3/{index}" for index in range(5)]
    assert suite == suite_of("lookup", 2, 5, seed=3)


def test_the_handwritten_suite_is_always_whole() -> None:
    suite = suite_of("handwritten", 0, 5, seed=3)
    assert (suite.family, suite.tier, len(suite.tasks)) == ("handwritten", 0, 60)


async def test_a_question_and_its_perturbed_version_are_compared_as_one(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suites = versions_of(suite_of("arithmetic", 3, 4, 1), 4, 1, "held_out", ["numbers"])
    original, changed = suites["original"], suites["numbers"]
    learned = dict(zip((t.question for t in changed.tasks), ([answer(t.gold)] for t in original.tasks), strict=True))
    turns = {task.question: demonstrated(task) for task in original.tasks} | learned
    bench = harness(ScriptedPolicy(renderer, turns), tmp_path, opened)
    first, second = [await evaluate_live(bench, suite, LOW, lambda: None) for suite in suites.values()]
    assert (first.accuracy, second.accuracy) == (1.0, 0.0), "who has learned the answers by heart is wrong now"
    assert compare(second.outcomes, first.outcomes).difference == -1.0
    assert (await evaluate_live(bench, changed, LOW, lambda: None)) == second


# --- one effort -------------------------------------------------------------------------------------------------------


async def test_an_effort_is_measured_over_all_questions(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suite = suite_of("arithmetic", 2, 4, seed=1)
    turns = {task.question: demonstrated(task) for task in suite.tasks}
    turns[suite.tasks[2].question] = [WRONG]
    reports: list[None] = []
    result = await evaluate_live(
        harness(ScriptedPolicy(renderer, turns), tmp_path, opened), suite, LOW, lambda: reports.append(None)
    )
    assert (result.suite, result.tier, result.effort, result.strategy) == ("arithmetic", 2, "low", "single")
    assert (result.questions, result.accuracy, result.interval) == (4, 0.75, wilson(3, 4))
    said = [text for texts in turns.values() for text in texts]
    tokens = sum(len(renderer.tokenizer.encode(text)) + 1 for text in said)
    assert result.tokens_per_question == tokens / 4
    assert result.tokens_per_solved == tokens / 3
    assert result.seconds_per_question > 0
    assert len(reports) == 4


async def test_a_row_has_the_fields_that_are_promised(renderer: Renderer, tmp_path: Path, opened: list[Agent]) -> None:
    suite = suite_of("smalltalk", 1, 2, seed=1)
    policy = ScriptedPolicy(renderer, {task.question: demonstrated(task) for task in suite.tasks})
    row = (await evaluate_live(harness(policy, tmp_path, opened), suite, LOW, lambda: None)).summary()
    assert set(FIELDS) <= set(row)
    assert row["accuracy"] == 1.0


async def test_nothing_solved_has_no_cost_per_solved_question(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suite = suite_of("arithmetic", 1, 2, seed=1)
    policy = ScriptedPolicy(renderer, {task.question: [WRONG] for task in suite.tasks})
    result = await evaluate_live(harness(policy, tmp_path, opened), suite, LOW, lambda: None)
    assert (result.accuracy, result.tokens_per_solved, result.seconds_per_solved) == (0.0, None, None)


async def test_a_lookup_searches_the_documents_of_its_own_question(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suite = suite_of("lookup", 2, 3, seed=1)
    policy = ScriptedPolicy(renderer, {task.question: demonstrated(task) for task in suite.tasks})
    bench = harness(policy, tmp_path, opened)
    assert (await evaluate_live(bench, suite, LOW, lambda: None)).accuracy == 1.0
    runs = [bench.agent.store.run(run.run_id) for run in bench.agent.store.runs()]
    for task in suite.tasks:
        [run] = [run for run in runs if run.metadata["task_id"] == task.task_id]
        found = {p.source for node in run.nodes for result in node.tool_results for p in result.passages}
        assert bool(found) == bool(task.documents)
        assert found <= {document.source for document in task.documents}


async def test_one_attempt_that_the_server_failed_is_no_wrong_answer(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suite = suite_of("arithmetic", 1, 2, seed=1)
    first, second = suite.tasks
    policy = ScriptedPolicy(renderer, {first.question: demonstrated(first), second.question: demonstrated(second)[:1]})
    with pytest.raises(EvaluationError, match="An attempt could not be made"):
        await evaluate_live(harness(policy, tmp_path, opened), suite, LOW, lambda: None)


async def test_a_model_that_cannot_be_asked_is_not_measured(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    bench = harness(ScriptedPolicy(renderer, {}), tmp_path, opened)
    with pytest.raises(EvaluationError, match="The script has nothing to say"):
        await evaluate_live(bench, suite_of("arithmetic", 1, 2, seed=1), LOW, lambda: None)


async def test_a_question_that_is_too_long_is_named(renderer: Renderer, tmp_path: Path, opened: list[Agent]) -> None:
    task = task_of({"question": "Why? " * 20_000, "gold": "So."})
    bench = harness(ScriptedPolicy(renderer, {}), tmp_path, opened)
    with pytest.raises(EvaluationError, match=r"The question 'Why\? Why\? .* cannot be asked"):
        await evaluate_live(bench, Suite("own", 0, [task]), LOW, lambda: None)


# --- a pool of attempts -----------------------------------------------------------------------------------------------


async def test_a_pool_is_looked_at_in_every_way(renderer: Renderer, tmp_path: Path, opened: list[Agent]) -> None:
    suite = suite_of("arithmetic", 3, 3, seed=1)
    first, second = (task.gold for task in suite.tasks[:2])
    attempts = [[first, first, "x1", "x2"], [second, "x3", "x3", "x3"], ["x4", "x5", "x6", "x7"]]
    policy = Attempts(renderer, questions(suite, attempts))
    rows = await evaluate_pool(harness(policy, tmp_path, opened), suite, HIGH, 4, lambda: None)
    by_strategy = {row.strategy: row for row in rows}
    assert list(by_strategy) == ["pass@1", "majority@2", "majority@4", "best_of_2", "best_of_4", "pass@4"]
    assert by_strategy["pass@1"].accuracy == pytest.approx((2 / 4 + 1 / 4 + 0) / 3)
    assert by_strategy["pass@1"].interval == mean_interval([2 / 4, 1 / 4, 0.0], 4)
    assert by_strategy["majority@4"].accuracy == pytest.approx(1 / 3)
    assert by_strategy["majority@4"].interval == wilson(1, 3)
    assert by_strategy["pass@4"].accuracy == pytest.approx(2 / 3)
    assert by_strategy["pass@1"].tokens_per_question == by_strategy["pass@4"].tokens_per_question / 4


async def test_what_the_log_has_already_is_not_asked_again(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suite = suite_of("arithmetic", 3, 2, seed=1)
    policy = Attempts(renderer, questions(suite, [["1", "2"], ["3", "4"]]))
    bench = harness(policy, tmp_path, opened)
    first = await evaluate_pool(bench, suite, HIGH, 2, lambda: None)
    again = await evaluate_pool(bench, suite, HIGH, 2, lambda: None)  # the script has nothing left to say
    assert again == first
    assert len(bench.agent.store.runs()) == 2


async def test_a_larger_pool_holds_the_smaller_one(renderer: Renderer, tmp_path: Path, opened: list[Agent]) -> None:
    suite = suite_of("arithmetic", 3, 2, seed=1)
    right, wrong = [task.gold for task in suite.tasks], "1"
    policy = Attempts(
        renderer, questions(suite, [[wrong, wrong, wrong, gold] for gold in right])
    )  # the last is said first
    bench = harness(policy, tmp_path, opened)
    large = await evaluate_pool(bench, suite, HIGH, 3, lambda: None)
    small = await evaluate_pool(bench, suite, HIGH, 1, lambda: None)
    assert large[0].accuracy == pytest.approx(1 / 3)
    assert (small[0].accuracy, len(bench.agent.store.runs())) == (1.0, 2)
    assert small[0].tokens_per_question < large[-1].tokens_per_question
    live = replace(HIGH, strategy=BestOfN(1))
    assert (await evaluate_live(bench, suite, live, lambda: None)).questions == 2
    assert len(bench.agent.store.runs()) == 4, "a run of one attempt is not one of three"


async def test_a_pool_that_ran_into_a_limit_of_the_run_shows_nothing_and_is_drawn_again(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    """The limits that follow from the number of attempts leave room for all of them."""
    suite = suite_of("arithmetic", 3, 1, seed=1)
    bench = harness(Attempts(renderer, questions(suite, [["1", "2", "3", "4"]])), tmp_path, opened)
    tight = replace(HIGH, budget=Budget(tokens=5))
    for _ in range(2):
        with pytest.raises(EvaluationError, match=r"limit of 5 tokens.*--concurrent"):
            await evaluate_pool(bench, suite, tight, 2, lambda: None)
    assert len(bench.agent.store.runs()) == 2


async def test_a_run_that_others_judged_is_made_again_and_a_pool_is_only_judged_again(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suite = suite_of("arithmetic", 3, 1, seed=1)
    bench = harness(Attempts(renderer, questions(suite, [["1", "2", "3", "4"]])), tmp_path, opened)
    other = replace(bench, agent=replace(bench.agent, panel="process_reward 1; steps by prm@0123, min"))
    for judged_by, runs in ((bench, 1), (bench, 1), (other, 2)):
        await evaluate_live(judged_by, suite, LOW, lambda: None)
        assert len(bench.agent.store.runs()) == runs
    for judged_by in (bench, other):
        await evaluate_pool(judged_by, suite, HIGH, 2, lambda: None)
        assert len(bench.agent.store.runs()) == 3


async def test_a_run_without_an_answer_is_not_asked_again_either(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suite = suite_of("arithmetic", 3, 1, seed=1)
    bench = harness(
        ScriptedPolicy(renderer, {suite.tasks[0].question: ["<think>never", "<think>again"]}), tmp_path, opened
    )
    for _ in range(2):
        assert (await evaluate_live(bench, suite, LOW, lambda: None)).accuracy == 0.0
    assert [run.status for run in bench.agent.store.runs()] == ["failed"]


async def test_a_files_question_is_not_asked_again_when_others_come_and_go(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    tasks = [task_of({"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"}) for i in range(4)]
    policy = Attempts(renderer, {task.question: [answer(task.gold)] for task in tasks})
    bench = harness(policy, tmp_path, opened)
    assert (await evaluate_live(bench, Suite("own", 0, tasks[:3]), LOW, lambda: None)).accuracy == 1.0
    edited = Suite("own", 0, [tasks[3], tasks[2], tasks[0]])  # the script has one answer for each
    assert (await evaluate_live(bench, edited, LOW, lambda: None)).accuracy == 1.0
    assert len(bench.agent.store.runs()) == 4


async def test_the_reference_is_neither_shown_nor_logged(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    task = task_of({"question": "Who wrote it?", "gold": "Xanthippe", "metadata": {"hint": "Xanthippe"}})
    bench = harness(ScriptedPolicy(renderer, {task.question: [answer("me")]}), tmp_path, opened)
    graded: list[None] = []
    result = await evaluate_live(bench, Suite("own", 0, [task]), LOW, lambda: None, lambda: graded.append(None))
    assert (result.accuracy, len(graded)) == (0.0, 1)
    [run] = bench.agent.store.runs()
    whole = bench.agent.store.run(run.run_id)
    shown = renderer.tokenizer.decode([*whole.nodes[0].sample.prompt_token_ids, *whole.nodes[0].sample.token_ids])
    assert "Xanthippe" not in f"{shown}{whole}"


async def test_a_pool_of_a_files_questions_is_graded_by_their_checker(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    task = task_of({"problem": "What is $x$?", "solution": r"\boxed{2x}"})
    policy = Attempts(renderer, {task.question: [answer("y"), answer("x*2")]})
    graded: list[None] = []
    rows = await evaluate_pool(
        harness(policy, tmp_path, opened),
        Suite("math", 0, [task]),
        HIGH,
        2,
        lambda: None,
        (),
        lambda: graded.append(None),
    )
    assert {row.strategy: row.accuracy for row in rows}["pass@1"] == 0.5
    assert len(graded) == 1


async def test_what_was_asked_under_another_prompt_is_asked_again(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suite = suite_of("arithmetic", 3, 2, seed=1)
    turns = questions(suite, [["x", task.gold] for task in suite.tasks])  # the last is said first
    first = harness(Attempts(renderer, turns), tmp_path, opened)
    other = replace(first, agent=replace(first.agent, system_prompt=SystemPrompt("plain", "Another text.")))
    assert [(await evaluate_live(each, suite, LOW, lambda: None)).accuracy for each in (first, other)] == [1.0, 0.0]
    assert [(await evaluate_live(each, suite, LOW, lambda: None)).accuracy for each in (first, other)] == [1.0, 0.0]
    assert len(first.agent.store.runs()) == 4


def questions(suite: Suite, attempts: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    return {task.question: [answer(a) for a in given] for task, given in zip(suite.tasks, attempts, strict=True)}


async def test_no_more_questions_are_under_way_at_once_than_allowed(
    renderer: Renderer, tmp_path: Path, opened: list[Agent]
) -> None:
    suite = suite_of("smalltalk", 1, 6, seed=2)
    bench = harness(ScriptedPolicy(renderer, {t.question: demonstrated(t) for t in suite.tasks}), tmp_path, opened, 2)
    most = 0

    def report() -> None:
        nonlocal most
        most = max(most, sum(run.status == "running" for run in bench.agent.store.runs()))

    await evaluate_live(bench, suite, LOW, report)
    assert most <= 2
