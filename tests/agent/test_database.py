"""The log's file: who may read it, what is refused, what each failure is called."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent import errors
from agent.migrations import MIGRATIONS
from agent.store import Store
from tests.agent.logs import RUN, node


def test_the_log_is_readable_by_its_owner_only(log_path: Path, store: Store) -> None:
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in log_path.parent.iterdir()}
    assert set(modes) == {"log.sqlite3", "log.sqlite3-wal", "log.sqlite3-shm"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(log_path.parent.stat().st_mode) == 0o700


def test_a_log_from_a_newer_ponder_is_named_and_not_touched(log_path: Path) -> None:
    Store.open(log_path).close()
    with closing(sqlite3.connect(log_path)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = log_path.read_bytes()
    with pytest.raises(errors.StoreTooNew, match=rf"log version {len(MIGRATIONS) + 1}, .* upgrade Ponder"):
        Store.open(log_path)
    assert log_path.read_bytes() == before


def test_another_programs_database_is_refused(log_path: Path) -> None:
    log_path.parent.mkdir()
    with closing(sqlite3.connect(log_path)) as db:
        db.execute("CREATE TABLE notes (text)")
    before = log_path.read_bytes()
    with pytest.raises(errors.StoreDamaged, match="belongs to another program"):
        Store.open(log_path)
    assert log_path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(log_path: Path) -> None:
    log_path.parent.mkdir()
    log_path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(errors.StoreDamaged, match="is not a log or is damaged"):
        Store.open(log_path)


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StoreReadOnly, match=r"cannot be made: .*; set PONDER_HOME"):
        Store.open(tmp_path / "file/log.sqlite3")


def test_a_log_that_cannot_be_written_is_named(store: Store) -> None:
    store._database._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(errors.StoreReadOnly, match="cannot be written"):
        store.add_node(RUN.run_id, node())
    assert store.run(RUN.run_id) == RUN


def test_a_full_disk_is_named_and_loses_only_the_step_in_flight(store: Store) -> None:
    store.add_node(RUN.run_id, node())
    store._database._connection.execute("PRAGMA max_page_count = 1")  # SQLite's own way to say that there is no room
    with pytest.raises(errors.StoreFull, match="full; free some space"):
        store.add_node(RUN.run_id, replace(node((1,)), text="long " * 10_000))
    assert store.run(RUN.run_id).nodes == (node(),)
    store._database._connection.execute("PRAGMA max_page_count = 1000000")
    store.add_node(RUN.run_id, node((1,)))
    assert len(store.run(RUN.run_id).nodes) == 2


def test_processes_that_open_a_new_log_together_all_can(tmp_path: Path) -> None:
    program = "import sys\nfrom pathlib import Path\nfrom agent.database import Database\nsys.stdin.read()\n"
    program += "for i in range(20):\n    Database.open(Path(sys.argv[1]) / str(i) / 'log.sqlite').close()"
    command = [sys.executable, "-c", program, str(tmp_path)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
    said = [process.stderr.read().decode() for process in started if process.stderr]
    assert said == [""] * 3
    assert [process.wait(60) for process in started] == [0, 0, 0]


def test_a_log_that_another_process_holds_is_named(log_path: Path, store: Store) -> None:
    store._database._connection.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(log_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.StoreBusy, match="Another process has held"):
            store.add_node(RUN.run_id, node())


def test_a_damaged_array_is_named(log_path: Path, store: Store) -> None:
    store.add_node(RUN.run_id, node())
    with closing(sqlite3.connect(log_path)) as db, db:
        db.execute("UPDATE nodes SET token_ids = x'00'")
    with pytest.raises(errors.StoreDamaged, match="damaged array"):
        store.run(RUN.run_id)
