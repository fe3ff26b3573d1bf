"""All families: pure functions, two splits that share no material, gold answers and tool results that are true."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import pytest

from agent.errors import SettingsError
from rl.grade import is_right
from rl.tasks import words
from rl.tasks.smalltalk import THANKS
from rl.tasks.suite import FAMILIES, SHARES, add_families, generate, mixture
from rl.tasks.task import Draw, Split, Step, Task
from tests.rl.recorded import RecordedDraw, drawn
from tools.calculator import evaluate
from tools.python import python_tool
from tools.sandbox import Sandbox, Tier
from tools.toolbox import Toolbox

ROOT = Path(__file__).parents[3]
COUNT = 2000
SPLITS: tuple[Split, Split] = ("train", "held_out")
KINDS = [(family, tier) for family in SHARES for tier in FAMILIES[family].TIERS]
SYLLABLE = f"(?:{'|'.join(words.ONSETS)})(?:{'|'.join(words.VOWELS)})"
INVENTABLE = re.compile(f"(?:{SYLLABLE}){{1,4}}(?:{'|'.join(words.CODAS)})")


@cache
def made(split: Split) -> list[tuple[Task, RecordedDraw]]:
    return drawn(split, COUNT)


def tasks() -> Iterator[Task]:
    for split in SPLITS:
        for task, _ in made(split):
            yield task


def calls(task: Task) -> Iterator[tuple[Step, str, str, str]]:
    """(step, tool, argument, result) of every call in a demonstration."""
    for step in task.demonstration:
        for (name, arguments), result in zip(step.calls, step.results, strict=True):
            [argument] = arguments.values()
            yield step, name, argument, result


# --- pure functions ---------------------------------------------------------------------------------------------------


def digest(count: int = 300) -> str:
    seen = [mixture(7, index, split) for index in range(count) for split in SPLITS]
    return hashlib.sha256(repr(seen).encode()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_another_process_with_other_hashes_makes_the_same_tasks(hash_seed: str) -> None:
    program = "from tests.rl.tasks.test_suite import digest; print(digest())"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.stdout.strip() == digest(), done.stderr


def test_an_index_does_not_depend_on_what_was_made_before_it() -> None:
    in_order = [generate("lookup", 2, "train", 3, index) for index in range(5)]
    assert [generate("lookup", 2, "train", 3, index) for index in (4, 0)] == [in_order[4], in_order[0]]


def test_seed_index_and_split_each_give_another_task() -> None:
    base = generate("arithmetic", 5, "train", 0, 0)
    others = [generate("arithmetic", 5, "train", 1, 0), generate("arithmetic", 5, "train", 0, 1)]
    others += [generate("arithmetic", 5, "held_out", 0, 0)]
    assert all(other.question != base.question for other in others)


@pytest.mark.parametrize(("family", "tier"), KINDS)
def test_a_task_says_where_it_belongs(family: str, tier: int) -> None:
    task = generate(family, tier, "held_out", 2, 9)
    assert (task.task_id, task.family, task.tier) == (f"{family}/{tier}/held_out/2/9", family, tier)


def test_a_tier_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="arithmetic has tiers 1 to 8, not 9"):
        generate("arithmetic", 9, "train", 0, 0)


def test_the_mixture_shows_fewer_tools_half_the_time_and_never_without_one_that_is_used() -> None:
    shown = [mixture(0, index) for index in range(COUNT)]
    for task in shown:
        assert {name for _, name, _, _ in calls(task)} <= set(task.tools)
        assert list(task.tools) == [name for name in ("calculator", "python", "search") if name in task.tools]
    arithmetic = [task.tools for task in shown if task.family == "arithmetic"]
    assert 0.45 < arithmetic.count(("calculator", "python", "search")) / len(arithmetic) < 0.6
    assert 0.25 < arithmetic.count(("calculator", "python")) / len(arithmetic) < 0.45


def test_the_mixture_holds_every_family_in_about_its_share() -> None:
    families = [mixture(0, index).family for index in range(COUNT)]
    for family, share in SHARES.items():
        assert families.count(family) / COUNT == pytest.approx(share, abs=0.035), family


# --- two splits -------------------------------------------------------------------------------------------------------


def test_what_is_checked_below_is_what_the_suite_makes() -> None:
    for split in SPLITS:
        for index, (task, _) in list(enumerate(made(split)))[:42]:
            assert task == generate(task.family, task.tier, split, 5, index)


def test_no_name_object_wording_or_invention_is_drawn_by_both_splits() -> None:
    train, held_out = ({item for _, draw in made(split) for item in draw.material} for split in SPLITS)
    assert min(len(train), len(held_out)) > 1000
    assert not train & held_out


def test_no_set_of_numbers_is_drawn_by_both_splits() -> None:
    train, held_out = ({frozenset(draw.numbers) for _, draw in made(split) if draw.numbers} for split in SPLITS)
    assert min(len(train), len(held_out)) > 1000
    assert not train & held_out


def test_no_question_is_in_both_splits() -> None:
    train, held_out = ({task.question for task, _ in made(split)} for split in SPLITS)
    assert not train & held_out


def words_in(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def test_a_held_out_name_or_object_occurs_in_no_training_question() -> None:
    held_out = Draw("held_out", "")
    banks = (words.NAMES, words.OBJECTS, words.CONTAINERS, words.PACKS, words.COLOURS, words.COMMON)
    material = {word for bank in banks for word in held_out.part(bank)}
    assert len(material) > 100
    assert not material & {word for task, _ in made("train") for word in words_in(task.question)}


def test_an_invented_name_of_one_split_occurs_in_no_question_of_the_other() -> None:
    for split, other in (SPLITS, SPLITS[::-1]):
        names = {str(name).capitalize() for name in inventions(split)}
        assert len(names) > 500
        assert not names & {word for task, _ in made(other) for word in words_in(task.question)} - WORDING_WORDS


def inventions(split: Split) -> set[object]:
    banks = {entry for bank in (words.NAMES, words.OBJECTS, words.COMMON) for entry in bank}
    return {m for _, draw in made(split) for m in draw.material if re.fullmatch(r"\w+", str(m)) and m not in banks}


# What no draw decides: an invented "The" or "Can" cannot be told from these in a question.
WORDING_WORDS = set(
    words.words("""And At By Can Check Close Compare Could Do Eight Find Five For Four Give Go Good He Hey In Later Let
    Make May My Near Nice Nine Now Of One Play Ponder Put Run Send Seven She Sing Six So Sum Tell Ten Thanks That The
    Theatre Then This Three To Turn Two Under Use Wake We What With Work Yo""")
)


@pytest.mark.parametrize("bank", [words.NAMES, words.OBJECTS, words.COMMON])
def test_training_cannot_come_upon_a_held_out_word(bank: list[str]) -> None:
    draw = Draw("train", "")
    for entry in Draw("held_out", "").part(bank):
        for word in {entry.lower(), entry.removesuffix("s")}:
            assert not (INVENTABLE.fullmatch(word) and draw.owns(word)), entry


@pytest.mark.parametrize("split", SPLITS)
def test_no_invention_is_a_word_of_a_bank(split: Split) -> None:
    draw = Draw(split, "collisions")
    assert not {words.invented(draw, 1, 2) for _ in range(20_000)} & words.KNOWN


# --- true answers -----------------------------------------------------------------------------------------------------


def test_the_calculator_gives_what_demonstrations_say() -> None:
    checked = 0
    for task in tasks():
        for _, name, argument, result in calls(task):
            if name == "calculator" and not result.startswith("Error: "):
                assert evaluate(argument) == result, task.task_id
                checked += 1
    assert checked > 1000


def test_the_programs_print_what_demonstrations_say() -> None:
    checked = 0
    for task in tasks():
        for _, name, argument, result in calls(task):
            if name == "python" and not result.startswith("Error: "):
                printed = StringIO()
                with redirect_stdout(printed):
                    exec(argument, {})
                assert printed.getvalue().rstrip("\n") == result, task.task_id
                checked += 1
    assert checked > 500


async def test_programs_that_fail_do_so_in_the_sandboxs_words() -> None:
    sandbox = Sandbox()
    if await sandbox.tier() is Tier.MONTY:
        pytest.skip("monty words its errors in its own way")
    toolbox = Toolbox([python_tool(sandbox)])
    wrong = {
        result: argument
        for task in tasks()
        for _, name, argument, result in calls(task)
        if name == "python" and result.startswith("Error: ")
    }
    assert len(wrong) == 2
    for expected, program in wrong.items():
        said = (await toolbox.call("python", {"code": program}, deadline_seconds=60)).text
        assert said.startswith(expected.partition(". Did you mean")[0]), "what the sandbox adds is the line's number"


def test_a_demonstration_ends_in_an_answer_that_is_graded_right() -> None:
    for task in tasks():
        last = task.demonstration[-1]
        assert not last.calls
        assert is_right(task, last.text), task.task_id


def test_the_answer_of_another_task_is_graded_wrong() -> None:
    for task in tasks():
        wrong = THANKS if task.gold in ("declined", "not found") else f"So it is.\n\nAnswer: {task.gold}1"
        assert not is_right(task, wrong) or THANKS in task.demonstration[-1].text, task.task_id


def test_every_call_has_a_tool_that_the_task_grants_and_a_result() -> None:
    for task in tasks():
        for step in task.demonstration:
            assert len(step.calls) == len(step.results)
            assert {name for name, _ in step.calls} <= set(task.tools)


def test_a_slip_is_shown_but_not_learned_and_then_made_good() -> None:
    slips = [(task, i) for task in tasks() for i, step in enumerate(task.demonstration) if not step.learn]
    assert len(slips) > 20
    for task, i in slips:
        slip, after = task.demonstration[i : i + 2]
        assert slip.results[0].startswith("Error: ")
        assert after.learn
        assert [name for name, _ in after.calls] == [name for name, _ in slip.calls]
        assert not after.results[0].startswith("Error: ")


def test_what_fails_through_no_fault_of_the_model_is_simply_called_again() -> None:
    faults = [
        (step, task.demonstration[i + 1])
        for task in tasks()
        for i, step in enumerate(task.demonstration)
        if step.learn and step.results and step.results[0].startswith("Error: ")
    ]
    assert len(faults) > 5
    assert all(again.calls == step.calls for step, again in faults)


# --- a family of one's own --------------------------------------------------------------------------------------------


class Capitals:
    """One question, for the test below."""

    TIERS = range(1, 2)

    def generate(self, draw: Draw, tier: int, task_id: str) -> Task:
        return Task(task_id, "capitals", tier, "What is the capital of Peru?", "Lima", ())


capitals = Capitals()


def test_a_family_of_ones_own_comes_in_by_module_and_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl.tasks.suite.FAMILIES", dict(FAMILIES))
    add_families([f"{__name__}:capitals"])
    assert generate("capitals", 1, "held_out", 0, 0).gold == "Lima"
    assert digest(20) == digest(20)


def test_a_family_that_cannot_be_loaded_is_a_setting_to_mend() -> None:
    with pytest.raises(SettingsError, match="cannot be loaded"):
        add_families(["no_such_module:family"])
