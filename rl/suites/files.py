"""Rows of JSON lines, CSV and Parquet files, one at a time: a file may be larger than memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agent.errors import PonderError
from rl.suites.row import RowError

SUFFIXES = (".jsonl", ".csv", ".parquet")
EVERY = 1000  # rows between two looks at how far it is

Tell = Callable[[int, int], None]  # of how much, how much is done
Numbered = Iterator[tuple[int, object]]  # (line or row, from 1; what it holds, or the RowError that says why nothing)


class SuiteError(PonderError):
    """A file or data set whose questions cannot be asked."""

    exit_code = 2


def rows(path: Path, tell: Tell) -> Numbered:
    """Raises ``SuiteError``: there is no such file, or none that can be read."""
    try:
        yield from READERS[path.suffix](path, tell)
    except KeyError:
        raise SuiteError(f"{path} is no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file; write it as one.") from None
    except OSError as error:
        raise SuiteError(f"{path} cannot be read ({error.strerror or error}); check its name.") from error


def json_lines(path: Path, tell: Tell) -> Numbered:
    size, done = path.stat().st_size, 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            done += len(line)
            if number % EVERY == 0:
                tell(size, done)
            if line.strip(b" \t\r\n\xef\xbb\xbf"):
                yield number, parsed(line)
    tell(size, size)


def parsed(line: bytes) -> object:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return RowError("is no JSON in UTF-8")


def csv_rows(path: Path, tell: Tell) -> Numbered:
    csv.field_size_limit(1 << 30)
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
        try:
            for number, row in enumerate(reader, 1):
                if number % EVERY == 0:
                    tell(size, file.tell())
                yield reader.line_num, row
        except UnicodeDecodeError as error:
            raise SuiteError(f"{path} is not in UTF-8; save it again in that encoding.") from error
        except csv.Error as error:
            where = f"{path} is no CSV after line {reader.line_num}"
            raise SuiteError(f"{where} ({error}); look for a quote that is not closed there.") from error
    tell(size, size)


def parquet_rows(path: Path, tell: Tell) -> Numbered:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise SuiteError(f"{path.name} needs pyarrow: install ponder's 'train' extra, or save it as .jsonl.") from error
    try:
        number = 0
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=EVERY):
                tell(file.metadata.num_rows, number)
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
            tell(file.metadata.num_rows, number)
    except pyarrow.ArrowException as error:
        raise SuiteError(f"{path} is no Parquet file that can be read; fetch it again.") from error


READERS: dict[str, Callable[[Path, Tell], Iterator[tuple[int, Any]]]] = {
    ".jsonl": json_lines, ".csv": csv_rows, ".parquet": parquet_rows,
}  # fmt: skip
