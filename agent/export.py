"""How the log leaves: one run as JSON, and every sample as a row that other trainers read. It only reads the log.

Whole trajectories with their rewards and advantages are ``rl.export``'s, which writes with ``write_rows``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from agent.errors import ExportError
from agent.records import Node, Run, group_key
from agent.rows import json_text, path_text
from agent.store import RunFilter, Store

ROW_GROUP = 1000  # samples that are in memory at once


def run_to_json(run: Run) -> dict[str, Any]:
    """A run as plain JSON values under the records' own names, with its ``nodes``, their samples and tool results.

    A sample has its ``temperature`` beside its ids and log-probabilities too, and ``usage`` the pace of the chosen
    attempt. A number that JSON has no word for (a
    log-probability of -inf from a broken server) is null.
    """
    shown = to_jsonable_python(run, inf_nan_mode="null")
    shown["usage"] |= _pace(run)
    for node in shown["nodes"]:
        node["sample"]["temperature"] = node["sample"]["params"]["temperature"]
    return shown


def _pace(run: Run) -> dict[str, float | None]:
    """Of the chosen attempt: seconds to its first token, and tokens in a second of the model's time."""
    samples = [node.sample for node in run.nodes if _on_the_chosen_path(run, node)]
    first = samples[0].first_token_seconds if samples else None
    tokens, seconds = sum(len(sample.token_ids) for sample in samples), sum(sample.total_seconds for sample in samples)
    return {"first_token_seconds": first, "tokens_per_second": tokens / seconds if seconds else None}


def export(store: Store, path: Path, which: RunFilter | None = None) -> int:
    """Write the samples of the given runs to ``path``, as Parquet or JSON lines by its ending; returns how many.

    One row per sample, with the columns of ``COLUMNS``. Raises ``ExportError``.
    """
    return write_rows(path, {name: kind for name, (kind, _) in COLUMNS.items()}, _rows(store, which))


def write_rows(path: Path, kinds: Mapping[str, str], rows: Iterator[dict[str, Any]]) -> int:
    """Write rows of the columns ``kinds`` to ``path``, as Parquet or JSON lines by its ending; returns how many.

    A kind is "ids", "logprobs" (float32), "mask" (0 or 1) or one of Arrow's names. The file appears whole or not at
    all. Raises ``ExportError``.
    """
    write = {".parquet": _write_parquet, ".jsonl": _write_jsonl}.get(path.suffix)
    if write is None:
        raise ExportError(f"{path} ends in neither .parquet nor .jsonl; name the file after the format that you want.")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        written = write(part, kinds, rows)
        os.replace(part, path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return written


def _group(run: Run, node: Node) -> str:
    """Equal for independent draws from one distribution, in other runs too."""
    return hashlib.blake2b(json_text(group_key(node)).encode(), digest_size=8).hexdigest()


def _on_the_chosen_path(run: Run, node: Node) -> bool:
    return run.chosen is not None and run.chosen[: len(node.path)] == node.path


# Ids and log-probabilities have the names that TRL's rollouts give them. What has parts is JSON text.
COLUMNS: dict[str, tuple[str, Callable[[Run, Node], Any]]] = {
    "run_id": ("string", lambda run, node: run.run_id),
    "path": ("string", lambda run, node: path_text(node.path)),
    "thread_id": ("string", lambda run, node: run.thread_id),
    "started_at": ("string", lambda run, node: run.started_at),
    "question": ("string", lambda run, node: run.question),
    "answer": ("string", lambda run, node: run.answer),
    "status": ("string", lambda run, node: run.status),
    "effort": ("string", lambda run, node: run.effort),
    "strategy": ("string", lambda run, node: run.strategy),
    "stopping_rule": ("string", lambda run, node: run.stopping_rule),
    "reference": ("bool", lambda run, node: run.reference),
    "group": ("string", _group),
    "prompt_ids": ("ids", lambda run, node: node.sample.prompt_token_ids),
    "completion_ids": ("ids", lambda run, node: node.sample.token_ids),
    "logprobs": ("logprobs", lambda run, node: node.sample.logprobs),
    "temperature": ("double", lambda run, node: node.sample.params.temperature),
    "top_p": ("double", lambda run, node: node.sample.params.top_p),
    "top_k": ("int64", lambda run, node: node.sample.params.top_k),
    "max_tokens": ("int64", lambda run, node: node.sample.params.max_tokens),
    "seed": ("int64", lambda run, node: node.sample.params.seed),
    "finish_reason": ("string", lambda run, node: node.sample.finish_reason),
    "not_trainable": ("string", lambda run, node: node.sample.not_trainable),
    "model": ("string", lambda run, node: node.sample.policy.model),
    "adapter": ("string", lambda run, node: node.sample.policy.adapter),
    "version": ("string", lambda run, node: node.sample.policy.version),
    "template_hash": ("string", lambda run, node: node.sample.template_hash),
    "ending": ("string", lambda run, node: node.ending.value),
    "bridge": ("string", lambda run, node: node.bridge),
    "thought": ("string", lambda run, node: node.thought),
    "text": ("string", lambda run, node: node.text),
    "calls": ("string", lambda run, node: json_text(node.calls)),
    "tool_results": ("string", lambda run, node: json_text(node.tool_results)),
    "verdicts": ("string", lambda run, node: json_text(node.verdicts)),
    "chosen": ("bool", _on_the_chosen_path),
    "metadata": ("string", lambda run, node: json_text(run.metadata)),
}


def _rows(store: Store, which: RunFilter | None) -> Iterator[dict[str, Any]]:
    """Every sample; one that was drawn again under the same seed is no second draw, and is left out of its group."""
    seen: set[bytes] = set()
    for found in store.runs(which):
        run = store.run(found.run_id)
        for node in run.nodes:
            drawn = f"{_group(run, node)} {node.sample.params.seed} {node.sample.token_ids}"
            if (digest := hashlib.blake2b(drawn.encode(), digest_size=16).digest()) in seen:
                continue
            seen.add(digest)
            yield {name: value(run, node) for name, (_, value) in COLUMNS.items()}


def _write_jsonl(path: Path, _: Mapping[str, str], rows: Iterator[dict[str, Any]]) -> int:
    with path.open("w") as file:
        return sum(1 for row in rows if file.write(json.dumps(to_jsonable_python(row, inf_nan_mode="null")) + "\n"))


def _write_parquet(path: Path, kinds: Mapping[str, str], rows: Iterator[dict[str, Any]]) -> int:
    try:
        import pyarrow as arrow
        from pyarrow.parquet import ParquetWriter
    except ImportError as error:
        raise ExportError("Parquet needs pyarrow: .venv/bin/pip install -e '.[train]', or export to .jsonl.") from error
    values = {"ids": arrow.int32(), "logprobs": arrow.float32(), "mask": arrow.int8()}
    schema = arrow.schema(
        [
            (name, arrow.list_(values[kind]) if kind in values else arrow.type_for_alias(kind))
            for name, kind in kinds.items()
        ]
    )
    written = 0
    with ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := list(islice(rows, ROW_GROUP)):
            writer.write_table(arrow.Table.from_pylist(chunk, schema))
            written += len(chunk)
    return written
