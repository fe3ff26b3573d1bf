"""Files are read row by row, and what cannot be read is named."""

import csv
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from rl.suites.files import SuiteError, rows
from rl.suites.formats import task_of
from rl.suites.row import RowError
from tests.rl.suites.rows import GPQA, MMLU, OWN


def quiet(total: int, done: int) -> None:
    pass


def test_lines_are_numbered_as_an_editor_does_and_empty_ones_are_none(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": \n\xff\n{"a": "\xc3\xbc"}')
    found = dict(rows(file, quiet))
    assert list(found) == [1, 4, 5, 6]
    assert (found[1], found[6]) == ({"a": 1}, {"a": "ü"})
    assert all(isinstance(found[line], RowError) and str(found[line]) == "is no JSON in UTF-8" for line in (4, 5))


def test_nesting_without_end_is_no_json_that_is_read(tmp_path: Path) -> None:
    file = tmp_path / "deep.jsonl"
    file.write_text("[" * 200_000 + "\n")
    [(_, found)] = rows(file, quiet)
    assert isinstance(found, RowError)


def test_parquet_and_csv_hold_the_same_tasks_as_json(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist([MMLU, MMLU | {"subject": None}]), tmp_path / "a.parquet")
    found = [task_of(row) for _, row in rows(tmp_path / "a.parquet", quiet)]
    assert found == [task_of(MMLU), task_of({key: MMLU[key] for key in ("question", "choices", "answer")})]
    with (tmp_path / "b.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(GPQA))
        writer.writeheader()
        writer.writerow(GPQA)
    assert [task_of(row) for _, row in rows(tmp_path / "b.csv", quiet)] == [task_of(GPQA)]


def test_how_far_it_is_counts_bytes_up_to_all(tmp_path: Path) -> None:
    file, told = tmp_path / "own.jsonl", list[tuple[int, int]]()
    file.write_text((json.dumps(OWN) + "\n") * 2500)
    assert len(list(rows(file, lambda total, done: told.append((total, done))))) == 2500
    size = file.stat().st_size
    assert told == [(size, size * 1000 // 2500), (size, size * 2000 // 2500), (size, size)]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nosuch.jsonl", "nosuch.jsonl cannot be read"),
        ("notes.txt", r"is no .jsonl, .csv or .parquet file"),
        ("broken.parquet", "no Parquet file that can be read"),
    ],
)
def test_what_is_no_file_of_rows_is_named_in_a_sentence(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SuiteError, match=says):
        list(rows(tmp_path / name, quiet))


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("question,answer\nCombien coûte le café ?,5\n".encode("latin-1"), r"a.csv is not in UTF-8; save it again"),
        (
            b'question,answer\n"What is 1+1?,2\nWhat is 2+2?,4\n',
            r"a.csv is no CSV after line 1 \(.*\); look for a quote",
        ),
        (b'question,answer\n"What is 1+1?,2\nWhat is 2+2?,4\n"Who?",6\n', "is no CSV after line 1"),
    ],
)
def test_a_csv_that_would_be_read_wrongly_is_not_read(written: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(written)
    with pytest.raises(SuiteError, match=says):
        list(rows(tmp_path / "a.csv", quiet))
