"""A record as a row of the log, and back. Pure functions; no SQL: ``store`` is the only caller.

Columns have the records' names. What has parts is JSON, arrays are packed; a prompt is not here, because ``store``
writes only what it does not share with an earlier node.
"""

from __future__ import annotations

import json
from sqlite3 import Row
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from agent.packing import pack_floats, pack_ids, pack_text, unpack_floats, unpack_text
from agent.records import Ending, Feedback, Node, Path, PolicyVersion, Run, Sample, SamplingParams, Supplied, Usage
from tools.tool import ToolResult
from verifiers.verdict import Verdict

_USAGE = TypeAdapter(Usage)
_POLICY = TypeAdapter(PolicyVersion)
_PARAMS = TypeAdapter(SamplingParams)
_VERDICTS = TypeAdapter(tuple[Verdict, ...])
_SUPPLIED = TypeAdapter(Supplied)
_RESULT = TypeAdapter(ToolResult)


def path_text(path: Path) -> str:
    """(0, 2) is "0.2"; the root is the empty text."""
    return ".".join(map(str, path))


def path_from(text: str) -> Path:
    return tuple(map(int, text.split("."))) if text else ()


def json_text(value: Any) -> str:
    """JSON of plain values and records; ASCII, so that a lone surrogate survives SQLite's UTF-8."""
    return json.dumps(to_jsonable_python(value))


def run_row(run: Run) -> dict[str, Any]:
    """All of a run but its nodes."""
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "question": run.question,
        "effort": run.effort,
        "strategy": run.strategy,
        "settings": json_text(run.settings),
        "stopping_rule": run.stopping_rule,
        "root_seed": str(run.root_seed),  # may pass the 63 bits of an SQLite integer
        "policy": json_text(run.policy),
        "started_at": run.started_at,
        "status": run.status,
        "chosen": None if run.chosen is None else path_text(run.chosen),
        "answer": run.answer,
        "verdicts": json_text(run.verdicts),
        "usage": json_text(run.usage),
        "error": run.error,
        "reference": int(run.reference),
        "metadata": json_text(run.metadata),
        "supplied": json_text(run.supplied),
    }


def run_from(row: Row, nodes: tuple[Node, ...]) -> Run:
    return Run(
        run_id=row["run_id"],
        question=row["question"],
        thread_id=row["thread_id"],
        effort=row["effort"],
        strategy=row["strategy"],
        settings=json.loads(row["settings"]),
        stopping_rule=row["stopping_rule"],
        root_seed=int(row["root_seed"]),
        policy=_POLICY.validate_python(json.loads(row["policy"])),
        started_at=row["started_at"],
        status=row["status"],
        nodes=nodes,
        chosen=None if row["chosen"] is None else path_from(row["chosen"]),
        answer=row["answer"],
        verdicts=verdicts_from(row["verdicts"]),
        usage=_USAGE.validate_python(json.loads(row["usage"])),
        error=row["error"],
        reference=bool(row["reference"]),
        metadata=json.loads(row["metadata"]),
        supplied=_SUPPLIED.validate_python(json.loads(row["supplied"])),
    )


def node_row(node: Node) -> dict[str, Any]:
    """All of a node but its run, its prompt and its tools' results."""
    sample = node.sample
    return {
        "path": path_text(node.path),
        "token_ids": pack_ids(sample.token_ids),
        "logprobs": pack_floats(sample.logprobs),
        "finish_reason": sample.finish_reason,
        "policy": json_text(sample.policy),
        "params": json_text(sample.params),
        "first_token_seconds": sample.first_token_seconds,
        "total_seconds": sample.total_seconds,
        "cached_prompt_tokens": sample.cached_prompt_tokens,
        "template_hash": sample.template_hash,
        "not_trainable": sample.not_trainable,
        "ending": node.ending.value,
        "thought": node.thought,
        "text": node.text,
        "calls": json_text(node.calls),
        "verdicts": json_text(node.verdicts),
        "note": node.note,
        "bridge": node.bridge,
    }


def node_from(row: Row, prompt: tuple[int, ...], tokens: tuple[int, ...], results: tuple[ToolResult, ...]) -> Node:
    return Node(
        path=path_from(row["path"]),
        sample=Sample(
            prompt_token_ids=prompt,
            token_ids=tokens,
            logprobs=unpack_floats(row["logprobs"]),
            finish_reason=row["finish_reason"],
            policy=_POLICY.validate_python(json.loads(row["policy"])),
            params=_PARAMS.validate_python(json.loads(row["params"])),
            first_token_seconds=row["first_token_seconds"],
            total_seconds=row["total_seconds"],
            cached_prompt_tokens=row["cached_prompt_tokens"],
            template_hash=row["template_hash"],
            not_trainable=row["not_trainable"],
        ),
        ending=Ending(row["ending"]),
        thought=row["thought"],
        text=row["text"],
        calls=tuple(json.loads(row["calls"])),
        tool_results=results,
        verdicts=verdicts_from(row["verdicts"]),
        note=row["note"],
        bridge=row["bridge"],
    )


def result_bytes(result: ToolResult) -> bytes:
    """A tool's result, packed: passages and the output that quotes them compress to a quarter."""
    return pack_text(json_text(result))


def result_from(packed: bytes) -> ToolResult:
    return _RESULT.validate_python(json.loads(unpack_text(packed)))


def verdicts_from(text: str) -> tuple[Verdict, ...]:
    return _VERDICTS.validate_python(json.loads(text))


def feedback_row(feedback: Feedback) -> dict[str, Any]:
    """All of a person's word but its run."""
    return {
        "value": feedback.value,
        "comment": feedback.comment,
        "preferred": None if feedback.preferred is None else path_text(feedback.preferred),
        "created_at": feedback.created_at,
    }


def feedback_from(run_id: str, row: Row) -> Feedback:
    preferred = None if row["preferred"] is None else path_from(row["preferred"])
    return Feedback(run_id, row["value"], row["comment"], preferred, row["created_at"])
