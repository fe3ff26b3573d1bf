"""Written questions: other people, another order of choices, and the gold answer that goes with them."""

import re
from dataclasses import replace
from string import ascii_uppercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.perturb import BANKS, ORIGINAL, CannotPerturb, Written, perturbed, renamed, renaming, reordered, versions
from rl.suites.choices import ASK
from rl.suites.formats import task_of
from rl.tasks.redraw import Change
from rl.tasks.suite import generate
from rl.tasks.task import Task

NAMES = st.sampled_from(sorted(BANKS))
FILLERS = st.sampled_from(["has 3 pens.", "gives 5 to", "and", "Tomorrow", "Annabel", "pen-Tom", "'s", "Then"])
TEXTS = st.lists(NAMES | FILLERS, min_size=1, max_size=12).map(" ".join)
CHOICES = st.lists(st.text("xyz0123456789 ", min_size=1), min_size=2, max_size=6, unique=True)


def words_of(text: str) -> list[str]:
    return re.findall(r"[\w-]+", text)


@given(TEXTS, NAMES)
def test_renaming_is_consistent_touches_whole_words_only_and_keeps_the_answer_right(text: str, gold: str) -> None:
    other = renamed(Written(text, gold))
    names = renaming(text)
    assert (other is None) == (not names)
    if other is None:
        return
    assert other.question != text
    assert words_of(other.question) == [names.get(word, word) for word in words_of(text)]
    assert other.gold == names.get(gold, gold)
    assert len(set(names.values())) == len(names)
    assert not set(names.values()) & set(words_of(text)), "nobody becomes somebody else of the question"
    assert renamed(Written(text, gold)) == other


@given(TEXTS, CHOICES, st.data())
def test_the_right_choice_is_the_same_and_elsewhere(text: str, choices: list[str], data: st.DataObject) -> None:
    right = data.draw(st.integers(0, len(choices) - 1))
    other = reordered(Written(text, ascii_uppercase[right], tuple(choices)))
    assert other is not None
    assert sorted(other.choices) == sorted(choices)
    assert other.choices[ascii_uppercase.index(other.gold)] == choices[right]
    assert other.gold != ascii_uppercase[right]


def test_people_become_others_of_the_same_pronoun() -> None:
    other = renamed(Written("Natalia has 5 clips. She gives Tom 2, and Tom's brother finds Natalia's box.", "3"))
    assert other is not None
    match = re.fullmatch(r"(\w+) has 5 clips. She gives (\w+) 2, and \2's brother finds \1's box.", other.question)
    assert match
    assert BANKS[match[1]] is BANKS["Natalia"]
    assert BANKS[match[2]] is BANKS["Tom"]


@pytest.mark.parametrize(
    "text",
    [
        "Albert Einstein was born when?",
        "King George had two crowns.",
        "In Port Victor, who is mayor?",
        "When did William the Conqueror invade England?",
        "Toms and Tim-Tam.",
    ],
)
def test_who_may_be_known_by_that_name_keeps_it(text: str) -> None:
    assert renamed(Written(text, "x")) is None


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("How many letters has the word Anna?", "4"),
        ("Spell Tom backwards.", "moT"),
        ("Is Emma before Ben in the alphabet?", "no"),
        ("What is Maria in English?", "Mary"),
        ("Who is older, Tom aged 5 or Kate aged 6? Answer in capitals.", "KATE"),
    ],
)
def test_a_name_on_whose_letters_the_answer_may_depend_stays(text: str, gold: str) -> None:
    assert renamed(Written(text, gold)) is None


@pytest.mark.parametrize(
    "more",
    [
        {"documents": ["Rome is old.\nAlice lives in Paris."]},
        {"documents": [{"text": "She lives in Paris.", "title": "alice"}]},
        {"checker": "json_schema", "metadata": {"schema": {"required": ["Alice"]}}},
        {"metadata": {"hint": "Ask Alice's mother."}},
    ],
)
def test_who_is_called_by_name_outside_the_question_keeps_it(more: dict[str, object]) -> None:
    row = {"question": "In which city does Alice live?", "answer": "Paris"}
    assert perturbed(task_of(row | {"documents": ["Bob lives in Rome."]}), "names") is not None
    assert perturbed(task_of(row | more), "names") is None


@pytest.mark.parametrize(
    ("gold", "choices"),
    [
        ("A", ("one", "all of the above")),
        ("B", ("A and C", "two", "three")),
        ("A", ("one",)),
        ("C", ("one", "two")),
        ("7", ("one", "two")),
        ("", ()),
    ],
)
def test_choices_that_depend_on_their_order_keep_it(gold: str, choices: tuple[str, ...]) -> None:
    assert reordered(Written("Which?", gold, choices)) is None


def chosen(question: str = "Whom did Tom meet?") -> Task:
    return task_of({"question": question, "choices": ["Anna", "Tom", "nobody"], "answer": 0})


def test_a_task_of_choices_shows_them_in_the_other_order() -> None:
    other = perturbed(chosen(), "order")
    assert other is not None
    assert other.task_id == f"{chosen().task_id}~order"
    assert f"{other.gold}) Anna" in other.question
    assert other.metadata["choices"] != chosen().metadata["choices"]
    assert other.question.endswith(f"\n\n{ASK}")


def test_a_task_of_choices_names_the_same_other_people_in_question_and_choices() -> None:
    other = perturbed(chosen(), "names")
    assert other is not None
    tom = re.findall(r"did (\w+) meet|B\) (\w+)", other.question)
    assert tom[0][0] == tom[1][1] != "Tom"
    assert other.gold == "A"


@pytest.mark.parametrize("way", ["numbers", "order"])
def test_a_written_question_without_choices_has_no_such_version(way: Change) -> None:
    assert perturbed(Task("mine/1", "mine", 0, "Tom has 5 pens. How many?", "5", ()), way) is None


def test_tests_that_call_a_program_by_its_names_stay_as_they_are() -> None:
    task = Task("mine/1", "mine", 0, "Write Tom().", "", (), metadata={"tests": ("Tom()",)})
    assert perturbed(task, "names") is None


def test_only_questions_that_have_all_versions_are_asked_and_all_in_the_same_order() -> None:
    tasks = [generate("arithmetic", 4, "held_out", 7, index) for index in range(60)]
    found = versions("arithmetic/4", tasks, ["numbers", "order"], 3)
    assert list(found) == [ORIGINAL, "numbers", "order"]
    ids = [task.task_id for task in found[ORIGINAL]]
    assert len(ids) == 3
    assert [task.task_id for task in found["order"]] == [f"{task_id}~order" for task_id in ids]


@pytest.mark.parametrize(
    ("ways", "says"),
    [
        (["names"], r"No question of mine/0 has a version with other names; take"),
        (["order", "names"], "in another order"),
    ],
)
def test_a_suite_that_has_no_such_version_says_so(ways: list[Change], says: str) -> None:
    task = replace(chosen("Why?"), question="Why?", metadata={})
    with pytest.raises(CannotPerturb, match=says):
        versions("mine/0", [task], ways, 5)
