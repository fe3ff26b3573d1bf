"""Where the files of a data set are; no test asks the hub itself."""

import threading
from pathlib import Path

import pytest

from rl.suites.files import SuiteError
from rl.suites.hub import DataSet, chosen, files_of, named, within

GSM8K = ["README.md", "main/test-00000-of-00001.parquet", "main/train-00000-of-00001.parquet"]
GSM8K += ["socratic/test-00000-of-00001.parquet", "socratic/train-00000-of-00001.parquet"]


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("openai/gsm8k:main:test", DataSet("openai/gsm8k", "main", "test")),
        ("openai/gsm8k:train", DataSet("openai/gsm8k", "", "train")),
        ("openai/gsm8k", DataSet("openai/gsm8k", "", "test")),
    ],
)
def test_a_data_set_is_written_with_its_configuration_and_split(written: str, means: DataSet) -> None:
    assert named(written) == means


@pytest.mark.parametrize("written", ["", ":main:test", "a/b:c:d:e"])
def test_a_name_with_too_little_or_too_much_is_refused(written: str) -> None:
    with pytest.raises(SuiteError, match="write it like hf:openai/gsm8k:main:test"):
        named(written)


@pytest.mark.parametrize(
    ("files", "config", "split", "found"),
    [
        (GSM8K, "main", "test", ["main/test-00000-of-00001.parquet"]),
        (GSM8K, "socratic", "train", ["socratic/train-00000-of-00001.parquet"]),
        (["test.jsonl", "train.jsonl"], "", "test", ["test.jsonl"]),
        (["a/test-1.csv", "a/test-0.csv", "a/testing.csv"], "", "test", ["a/test-0.csv", "a/test-1.csv"]),
        (["gpqa_main.csv", "gpqa_diamond.csv"], "", "gpqa_diamond", ["gpqa_diamond.csv"]),
        (["all/test-0.csv", "all_of_it/test-0.csv"], "all", "test", ["all/test-0.csv"]),
        (["data/questions.jsonl"], "", "data/questions.jsonl", ["data/questions.jsonl"]),
        (["algebra/test/0.jsonl", "algebra/train/0.jsonl"], "algebra", "test", ["algebra/test/0.jsonl"]),
    ],
)  # fmt: skip
def test_files_are_told_by_their_names(files: list[str], config: str, split: str, found: list[str]) -> None:
    assert chosen(files, DataSet("a/b", config, split)) == found


@pytest.mark.parametrize(
    ("config", "split", "says"),
    [
        ("main", "validation", "has no main validation split in .* files; it has main/test-00000"),
        ("", "test", "has the split test in main, socratic; name one: hf:a/b:main:test"),
    ],
)
def test_what_is_not_there_or_not_clear_is_said_with_what_is(config: str, split: str, says: str) -> None:
    with pytest.raises(SuiteError, match=says):
        chosen(GSM8K, DataSet("a/b", config, split))


def test_a_folder_of_the_same_layout_is_read_where_it_is(tmp_path: Path) -> None:
    for name in ("main/test-0.jsonl", "main/train-0.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_of(named(f"{tmp_path}:main:test")) == [tmp_path / "main/test-0.jsonl"]


def test_without_a_network_a_sentence_says_what_to_do() -> None:
    with pytest.raises(SuiteError, match=r"a/b is not on this machine .*; check its name and the network"):
        files_of(named("a/b"))  # HF_HUB_OFFLINE is set for all tests


def test_a_hub_that_never_answers_is_not_waited_for() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, never.wait)
    never.set()


def test_what_the_hub_says_is_handed_on() -> None:
    assert within(60, lambda: "files") == "files"
    with pytest.raises(KeyError):
        within(60, lambda: {}["files"])
