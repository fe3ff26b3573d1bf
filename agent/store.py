"""The log: every run, every sampled token, every tool call and verdict, in one SQLite file.

The truth about what was sampled. It is not the agent's working state (a graph's checkpoint names nodes that are already
here) and it decides nothing. ``run`` and the graph's nodes write it as they go; commands, doors and the trainer read
it. Calls are plain functions: logging a step of 600 tokens takes 0.7 ms after a prompt of 4,000 tokens, 2.5 ms after
20,000. One ``Store`` serves all threads of a process; several processes may write one file, each waiting for the
other's step.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Any

from agent import errors
from agent.claim import claimed, claimed_at
from agent.database import Database
from agent.memories import Memories
from agent.packing import pack_ids, shared_length
from agent.prefixes import base_of, chain, sequence, with_tokens
from agent.records import Feedback, Node, Path, Run, Sample
from agent.requests import Requests
from agent.rows import (
    feedback_from,
    feedback_row,
    json_text,
    node_from,
    node_row,
    path_from,
    path_text,
    result_bytes,
    result_from,
    run_from,
    run_row,
)
from agent.spending import Spending, keep_spent
from agent.threads import Threads
from tools.tool import ToolResult
from verifiers.verdict import Verdict


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs: those that every given field admits."""

    run_id: str | None = None
    thread_id: str | None = None
    status: str | None = None  # running | finished | failed | cancelled
    version: str | None = None  # of the policy that answered
    tasks: bool | None = None  # True: only runs of an evaluation's tasks; False: only the others
    reference: bool | None = None  # True: only runs drawn with fixed N and nothing cancelled; False: only the others
    since: str | None = None  # started then or later; ISO 8601 in UTC, a day or a time
    before: str | None = None  # started earlier than that
    key: str | None = None  # of whose door's key
    summaries: bool | None = None  # True: only runs that sum up a thread's beginning; False: only the others

    def where(self) -> tuple[str, list[Any]]:
        """The SQL condition and its values."""
        conditions = {
            "run_id = ?": self.run_id,
            "thread_id = ?": self.thread_id,
            "status = ?": self.status,
            "json_extract(policy, '$.version') = ?": self.version,
            "(json_extract(metadata, '$.task_id') IS NOT NULL) = ?": self.tasks,
            "reference = ?": self.reference,
            "started_at >= ?": self.since,
            "started_at < ?": self.before,
            "json_extract(metadata, '$.key') = ?": self.key,
            "(json_extract(metadata, '$.summary_of') IS NOT NULL) = ?": self.summaries,
        }
        given = {condition: value for condition, value in conditions.items() if value is not None}
        return " AND ".join(given) or "TRUE", list(given.values())


@dataclass(frozen=True, slots=True)
class StartedTool:
    """A tool call that was begun and of which no result is logged."""

    path: Path  # the node that called it
    index: int  # its place among the node's calls
    name: str
    arguments: Any
    started_at: str  # ISO 8601, UTC


COVERS = "EXISTS (SELECT 1 FROM json_each(metadata, '$.summary_of') WHERE value"
RECENT = 64  # nodes whose tokens are kept in memory, for the prompts that build on them


class Store:
    """An open log. Made by ``Store.open``; close it, or use it in a ``with``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recent: dict[tuple[str, int], tuple[int, ...]] = {}  # (run, node's key) -> its prompt and sample
        self._recent_lock = threading.Lock()
        self.address = ""  # where other processes may ask this one about the runs that it drives

    @classmethod
    def open(cls, path: FilePath) -> Store:
        """Open the log at ``path``, which is created where there is none. Raises as ``Database.open`` does."""
        return cls(Database.open(path))

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def claim(self, run_id: str) -> AbstractContextManager[None]:
        """Drive a run alone while the context is open. Raises ``RunUnderWay``."""
        return claimed(self._claims, run_id, self.address)

    def under_way(self) -> list[Run]:
        """The runs that some process drives at this moment, without their nodes."""
        return [run for run in self.runs(RunFilter(status="running")) if self.is_claimed(run.run_id)]

    def is_claimed(self, run_id: str) -> bool:
        """Whether some process drives that run at this moment."""
        return self.claimed_at(run_id) is not None

    def claimed_at(self, run_id: str) -> str | None:
        """The address of the process that drives that run at this moment, "" where it has none; None: nobody does."""
        return claimed_at(self._claims, run_id)

    @property
    def _claims(self) -> FilePath:
        return self._database.path.parent / "running"

    @property
    def threads(self) -> Threads:
        """The log's threads."""
        return Threads(self._database)

    @property
    def memories(self) -> Memories:
        """What is known of people from earlier conversations."""
        return Memories(self._database)

    @property
    def spending(self) -> Spending:
        """What runs have used."""
        return Spending(self._database)

    @property
    def requests(self) -> Requests:
        """Requests of doors that name themselves."""
        return Requests(self._database)

    # --- writing ------------------------------------------------------------------------------------------------------

    def begin(self, run: Run) -> None:
        """Log that a run starts. Beginning the same run again, as a resume does, changes nothing."""
        row = run_row(run)
        with self._database.transaction() as db:
            known = db.execute("SELECT question, root_seed FROM runs WHERE run_id = ?", [run.run_id]).fetchone()
            if known is None:
                _insert(db, "runs", row)
            elif tuple(known) != (_storable(run.question), row["root_seed"]):
                raise errors.NodeConflict(
                    f"Run {run.run_id} is in the log with another question; begin under a new id."
                )

    def finish(self, run: Run) -> None:
        """Log what became of a run: everything but its nodes, which are here already."""
        with self._database.transaction() as db:
            _update(db, "runs", _run_key(db, run.run_id), run_row(run))

    def add_node(self, run_id: str, node: Node) -> Node:
        """Log a node when it has been sampled; returns the node that stands in the log at its path.

        Where the same draw (prompt, tokens, policy, parameters) is there already, that one stays and is returned, so
        growing twice is growing once. Raises ``NodeConflict`` where another draw is there.
        """
        with self._database.transaction() as db:
            run = _run_key(db, run_id)
            logged = _node_at(db, run, node.path)
            if logged is not None:
                return _same_draw(run_id, logged, node)
            prompt = node.sample.prompt_token_ids
            base = base_of(db, run, node.parent)
            known = () if base is None else self._recent.get((run_id, base)) or sequence(db, base)
            shared = shared_length(prompt, known)
            row = {"base": base if shared else None, "shared": shared, "suffix": pack_ids(prompt[shared:])}
            key = _insert(db, "nodes", {"run": run, **row, **node_row(node)})
            _save_results(db, key, node.tool_results)
        self._remember((run_id, key), prompt + node.sample.token_ids)
        return node

    def _remember(self, key: tuple[str, int], sequence: tuple[int, ...]) -> None:
        """What is in the log never changes."""
        with self._recent_lock:
            self._recent[key] = sequence
            while len(self._recent) > RECENT:
                del self._recent[next(iter(self._recent))]

    def update_node(
        self,
        run_id: str,
        path: Path,
        *,
        tool_results: Sequence[ToolResult] = (),
        verdicts: Sequence[Verdict] | None = None,
        note: str | None = None,
    ) -> None:
        """Log what followed a node; what is not given stays. ``tool_results`` are in the order of its calls."""
        changes = {"verdicts": None if verdicts is None else json_text(verdicts), "note": note}
        with self._database.transaction() as db:
            key = _node_key(db, run_id, path)
            _update(db, "nodes", key, {column: value for column, value in changes.items() if value is not None})
            _save_results(db, key, tool_results)

    def started_tool(self, run_id: str, path: Path, index: int, name: str, arguments: Any) -> None:
        """Log that the ``index``-th call of a node is about to be made: before it, so that no crash can hide it."""
        with self._database.transaction() as db:
            db.execute(
                "INSERT INTO tool_calls VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING",
                [_node_key(db, run_id, path), index, _storable(name), json_text(arguments), _now()],
            )

    def add_feedback(self, feedback: Feedback) -> None:
        """Log what a person said of a run, beside what was said before."""
        with self._database.transaction() as db:
            row = {"run": _run_key(db, feedback.run_id), **feedback_row(feedback)}
            _insert(db, "feedback", row | {"created_at": feedback.created_at or _now()})

    def describe(self, which: RunFilter, metadata: Mapping[str, Any]) -> int:
        """Set keys of runs' metadata, None to take one away; returns how many runs that were."""
        condition, values = which.where()
        with self._database.transaction() as db:
            change = f"UPDATE runs SET metadata = json_patch(metadata, ?) WHERE {condition}"
            return db.execute(change, [json_text(metadata), *values]).rowcount

    def delete(self, which: RunFilter) -> int:
        """Delete runs (an empty filter: every run) and all that hangs on them, summaries of them too; returns how many.

        Their bytes in the file are overwritten; ``compact`` gives the room back.
        Raises ``StoreBusy`` where a reader keeps old pages alive: the runs are gone for everybody who looks from then
        on, and whoever writes next after that reader erases the bytes too.
        """
        condition, values = which.where()
        with self._database.transaction() as db:
            covering = f"{COVERS} IN (SELECT run_id FROM runs WHERE {condition}))"
            keep_spent(db, f"({condition}) OR {covering}", [*values, *values])
            db.execute(f"DELETE FROM runs WHERE {covering}", values)
            deleted = db.execute(f"DELETE FROM runs WHERE {condition}", values).rowcount
        self._database.empty_write_ahead_log()
        return deleted

    def compact(self) -> None:
        """Give the room of deleted runs back to the file system. Rewrites the whole file; writers wait."""
        self._database.vacuum()
        self._database.empty_write_ahead_log()

    # --- reading ------------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        """One run with its whole tree, nodes in the order of their paths. Raises ``NotInLog``."""
        with self._database.snapshot() as db:
            row = db.execute("SELECT * FROM runs WHERE id = ?", [_run_key(db, run_id)]).fetchone()
            nodes = _nodes(db, db.execute("SELECT * FROM nodes WHERE run = ? ORDER BY id", [row["id"]]))
            return run_from(row, tuple(sorted(nodes, key=lambda node: node.path)))

    def whole_id(self, beginning: str) -> str:
        """The id of the one run that begins like this; what is given, where none or several do."""
        with self._database.snapshot() as db:
            rows = db.execute("SELECT run_id FROM runs WHERE substr(run_id, 1, ?) = ?", [len(beginning), beginning])
            found = [run_id for (run_id,) in rows.fetchmany(2)]
        return found[0] if beginning and len(found) == 1 else beginning

    def runs(self, which: RunFilter | None = None, limit: int | None = None) -> list[Run]:
        """Runs without their nodes, newest first."""
        condition, values = (which or RunFilter()).where()
        query = f"SELECT * FROM runs WHERE {condition} ORDER BY started_at DESC, id DESC LIMIT ?"
        with self._database.snapshot() as db:
            return [run_from(row, ()) for row in db.execute(query, [*values, -1 if limit is None else limit])]

    def before(self, run: Run) -> list[Run]:
        """What its thread said before a run, newest first: runs that finished, also those that it was forked with."""
        lineage = self.threads.lineage(run.thread_id, run.started_at)
        which = (
            RunFilter(thread_id=thread, status="finished", before=before, summaries=False) for thread, before in lineage
        )
        return [earlier for each in which for earlier in self.runs(each)]

    def summaries(self, run: Run, status: str = "finished") -> list[Run]:
        """What sums up the beginning of its thread, or of those that it was forked from."""
        threads = [thread for thread, _ in self.threads.lineage(run.thread_id, run.started_at)]
        which = (RunFilter(thread_id=thread, status=status, summaries=True) for thread in threads)
        return [summary for each in which for summary in self.runs(each)]

    def node(self, run_id: str, path: Path) -> Node | None:
        """The node at ``path``, where it has been sampled."""
        with self._database.snapshot() as db:
            return _node_at(db, _run_key(db, run_id), path)

    def unfinished_tools(self, run_id: str) -> list[StartedTool]:
        """Calls that were started and have no result: for a resume to make again, or to ask about where that harms."""
        query = """
            SELECT nodes.path, position, name, arguments, started_at FROM tool_calls JOIN nodes ON nodes.id = node
            WHERE run = ? AND result IS NULL ORDER BY nodes.id, position"""
        with self._database.snapshot() as db:
            rows = db.execute(query, [_run_key(db, run_id)]).fetchall()
        return [
            StartedTool(path_from(path), index, name, json.loads(given), at) for path, index, name, given, at in rows
        ]

    def feedback(self, run_id: str) -> list[Feedback]:
        """What was said of a run, oldest first."""
        with self._database.snapshot() as db:
            rows = db.execute("SELECT * FROM feedback WHERE run = ? ORDER BY id", [_run_key(db, run_id)])
            return [feedback_from(run_id, row) for row in rows]


# --- rows -------------------------------------------------------------------------------------------------------------


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _insert(db: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    """Returns the new row's key."""
    marks = ", ".join("?" * len(row))
    cursor = db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(map(_storable, row.values())))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _update(db: sqlite3.Connection, table: str, key: int, row: Mapping[str, Any]) -> None:
    if row:
        changes = ", ".join(f"{column} = ?" for column in row)
        db.execute(f"UPDATE {table} SET {changes} WHERE id = ?", [*map(_storable, row.values()), key])


def _storable(value: Any) -> Any:
    """SQLite's texts are UTF-8: a lone surrogate, from a file name or a broken tool, becomes a question mark."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _run_key(db: sqlite3.Connection, run_id: str) -> int:
    row = db.execute("SELECT id FROM runs WHERE run_id = ?", [run_id]).fetchone()
    if row is None:
        raise errors.NotInLog(f"There is no run {run_id} in the log; `ponder log list` shows those there are.")
    return row["id"]


def _node_key(db: sqlite3.Connection, run_id: str, path: Path) -> int:
    query = "SELECT id FROM nodes WHERE run = ? AND path = ?"
    row = db.execute(query, [_run_key(db, run_id), path_text(path)]).fetchone()
    if row is None:
        raise errors.NotInLog(f"Run {run_id} has no node at {path}; add it before what follows it.")
    return row["id"]


def _node_at(db: sqlite3.Connection, run: int, path: Path) -> Node | None:
    row = db.execute("SELECT id FROM nodes WHERE run = ? AND path = ?", [run, path_text(path)]).fetchone()
    return None if row is None else list(_nodes(db, chain(db, row["id"])))[-1]


def _same_draw(run_id: str, logged: Node, node: Node) -> Node:
    if _draw(logged.sample) != _draw(node.sample):
        raise errors.NodeConflict(f"Run {run_id} has another draw at {node.path}; read it with `node` before sampling.")
    return logged


def _draw(sample: Sample) -> tuple[object, ...]:
    """What makes two samples one draw; seconds and the last digits of a log-probability do not tell them apart."""
    return sample.prompt_token_ids, sample.token_ids, sample.policy, sample.params


def _save_results(db: sqlite3.Connection, node: int, results: Sequence[ToolResult]) -> None:
    """Results of a node's calls from the first on; each finishes its started call, or stands for itself."""
    db.executemany(
        """INSERT INTO tool_calls VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT (node, position) DO UPDATE SET result = excluded.result""",
        [
            (node, position, _storable(result.name), json_text(result.arguments), _now(), result_bytes(result))
            for position, result in enumerate(results)
        ],
    )


def _nodes(db: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> Iterator[Node]:
    query = "SELECT result FROM tool_calls WHERE node = ? AND result IS NOT NULL ORDER BY position"
    for row, prompt, tokens in with_tokens(rows):
        results = tuple(result_from(packed) for (packed,) in db.execute(query, [row["id"]]))
        yield node_from(row, prompt, tokens, results)
