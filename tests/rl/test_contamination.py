"""Which questions stand in training text: a copy always, other text never."""

import json
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.contamination import LONG, SHORT, Finder, Overlap, ngrams, parted, read_training, words_of
from rl.results import Outcome, Result
from rl.sft import FIRST_INDEX
from rl.suites.files import SuiteError
from rl.suites.formats import task_of
from rl.tasks.suite import mixture
from rl.tasks.task import Task
from tests.rl.suites.rows import GPQA, GSM8K, HUMANEVAL, MMLU

TEXT = st.text(min_size=1, max_size=400).filter(words_of)
LETTERS = st.text(alphabet="abcdefghij \n.,", min_size=1, max_size=300)
OTHERS = st.text(alphabet="klmnopqrst \n.,", max_size=1000)
APART = st.sampled_from([" ", "\n", ". ", "\n\n", ' "'])


def asking(text: str, task_id: str = "t") -> Task:
    return Task(task_id, "own", 0, text, "", ())


def overlap(text: str, *training: str) -> Overlap:
    finder = Finder([asking(text)])
    for number, each in enumerate(training, 1):
        finder.read(each, f"train:{number}")
    [found] = finder.overlaps()
    return found


def words(count: int, stem: str = "w") -> str:
    return " ".join(f"{stem}{i}" for i in range(count))


# --- properties -------------------------------------------------------------------------------------------------------


@given(TEXT, st.text(max_size=200), st.text(max_size=200), APART)
def test_a_verbatim_copy_is_always_found_whatever_is_around_it(text: str, before: str, after: str, gap: str) -> None:
    assert overlap(text, f"{before}{gap}{text}{gap}{after}").share == 1.0


@given(TEXT)
def test_neither_case_nor_punctuation_hides_a_copy(text: str) -> None:
    assert overlap(text, " -- ".join(words_of(text.upper()))).share == overlap(text, text.upper()).share
    assert overlap(text, ", ".join(words_of(text))).share == 1.0


@pytest.mark.parametrize(
    "way",
    [
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: text.replace("fa", "fa\u00ad"),  # a soft hyphen
        lambda text: text.replace(" ", "\u00a0"),
        lambda text: text.replace("five", "\ufb01ve"),  # a ligature
    ],
)
def test_another_way_of_writing_the_same_characters_hides_no_copy(way: Callable[[str], str]) -> None:
    question = "José and Zoë went to the café near the señor's façade and bought five éclairs for the fête"
    assert way(question) != question
    assert overlap(question, way(question)).share == overlap(way(question), question).share == 1.0


@given(LETTERS, st.lists(OTHERS, max_size=4))
def test_text_with_other_words_is_never_an_overlap(text: str, training: list[str]) -> None:
    assert overlap(text, *training).share == 0.0


@given(TEXT, st.lists(st.text(max_size=300), max_size=4))
def test_a_share_is_between_nothing_and_all(text: str, training: list[str]) -> None:
    found = overlap(text, *training)
    assert 0.0 <= found.share <= 1.0
    assert bool(found.where) == bool(found.share)


# --- the measure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "length"), [(1, 1), (7, 7), (8, SHORT), (12, SHORT), (13, LONG), (40, LONG)])
def test_n_is_thirteen_words_and_eight_of_a_short_question(count: int, length: int) -> None:
    assert {len(gram.split()) for gram in ngrams(words(count))} == {length}


def test_twelve_words_in_a_row_are_no_overlap_and_thirteen_are() -> None:
    question = words(20)
    assert overlap(question, words(12), f"{words(12)} and {question[len(words(12)) :]}").share == 0.0
    assert overlap(question, "no", words(13)) == Overlap("t", question, 1 / 8, "train:2")


def test_a_question_without_words_overlaps_with_nothing() -> None:
    assert overlap("?!", "?!").share == 0.0


def test_the_worst_come_first() -> None:
    finder = Finder([asking(words(20), "some"), asking(words(14), "all"), asking("nothing of it", "none")])
    finder.read(words(14), "train:1")
    assert [(each.task_id, each.share) for each in finder.overlaps()] == [("all", 1.0), ("some", 0.25), ("none", 0.0)]


@pytest.mark.parametrize("row", [GSM8K, MMLU, GPQA, HUMANEVAL])
def test_what_a_format_adds_to_ask_a_question_hides_no_copy_of_it(row: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"conversation": [{"content": row}]}))
    finder = Finder([task_of(row)])
    read_training(str(tmp_path), finder, quiet)
    assert [(each.share, each.where) for each in finder.overlaps()] == [(1.0, "train.jsonl:1")]


# --- training text ----------------------------------------------------------------------------------------------------


def quiet(total: int, done: int) -> None:
    pass


def test_a_copy_in_plain_text_may_go_over_the_ends_of_lines(tmp_path: Path) -> None:
    question = words(30)
    (tmp_path / "book.txt").write_text("Once.\n" + question.replace(" ", "\n") + "\nThe end.\n")
    finder = Finder([asking(question)])
    read_training(str(tmp_path / "book.txt"), finder, quiet)
    [found] = finder.overlaps()
    assert (found.share, found.where) == (1.0, "book.txt:14")


def test_a_folder_is_read_to_its_last_file(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    (tmp_path / "deep").mkdir()
    for name in ("a.jsonl", "deep/b.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": words(13, name[0])}) + "\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    finder = Finder([asking(words(13, "a"), "a"), asking(words(13, "d"), "d")])
    read_training(str(tmp_path), finder, lambda total, done: told.append((total, done)))
    assert [each.share for each in finder.overlaps()] == [1.0, 1.0]
    assert told[-1][0] == told[-1][1] == sum(path.stat().st_size for path in tmp_path.rglob("*.jsonl"))


def test_the_training_mixture_holds_its_own_questions() -> None:
    trained, other = mixture(0, FIRST_INDEX + 3), asking(words(20))
    finder = Finder([trained, other])
    read_training("mixture:5", finder, quiet)
    assert [each.share for each in finder.overlaps()] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: "mixture:many", "no count of demonstrations"),
        (lambda folder: str(folder), "holds no training text"),
        (lambda folder: str(folder / "nosuch.jsonl"), "nosuch.jsonl holds no training text"),
        (lambda folder: str(folder / "broken.jsonl"), "broken.jsonl:2 is no JSON in UTF-8; mend it or leave it out"),
    ],
)
def test_training_text_that_cannot_be_read_is_a_sentence(
    make: Callable[[Path], str], says: str, tmp_path: Path
) -> None:
    data = make(tmp_path)
    if "broken" in data:
        (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(SuiteError, match=says):
        read_training(data, Finder([asking("a")]), quiet)


def test_memory_does_not_grow_with_the_training_text(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    with file.open("w") as lines:
        lines.writelines(json.dumps({"text": words(200, f"x{i}")}) + "\n" for i in range(2000))
    finder = Finder([asking(words(200))])
    tracemalloc.start()
    try:
        read_training(str(file), finder, quiet)
        assert tracemalloc.get_traced_memory()[1] < file.stat().st_size / 4
    finally:
        tracemalloc.stop()


# --- what it means ----------------------------------------------------------------------------------------------------


def test_a_result_falls_into_the_questions_with_and_without_an_overlap() -> None:
    outcomes = tuple(Outcome(name, right, 10.0, 1.0) for name, right in (("a", 1.0), ("b", 0.0), ("c", 1.0)))
    result = Result("own", 0, "low", "single", outcomes)
    found = [Overlap("a", "", 0.5, "x:1"), Overlap("b", "", 0.0, ""), Overlap("c", "", 0.0, "")]
    dirty, clean = parted(result, found)
    assert (dirty.questions, dirty.accuracy, clean.questions, clean.accuracy) == (1, 1.0, 2, 0.5)
