"""A thread as a file: Markdown to read, JSON with all that the log has."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.records import Run


def written(runs: Sequence[Run], file: Path) -> Path:
    """Where they are now. Raises ``OSError``: there is such a file already, or it cannot be written."""
    file = file.expanduser()
    with file.open("x") as opened:
        opened.write(exported(runs, file.suffix))
    return file


def exported(runs: Sequence[Run], suffix: str) -> str:
    """``suffix``: ``.json``, or anything else for Markdown."""
    if suffix == ".json":
        from agent.export import run_to_json

        return json.dumps([run_to_json(run) for run in runs], indent=1, ensure_ascii=False) + "\n"
    return (
        "\n\n".join(f"## {run.question}\n\n{run.answer or run.error or run.status}\n\n{signed(run)}" for run in runs)
        + "\n"
    )


def signed(run: Run) -> str:
    return f"*{run.policy}, effort {run.effort}, {run.usage.sampled_tokens} tokens, run {run.run_id}*"


def blocks_of_code(text: str) -> list[str]:
    """What stands between fences."""
    return re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
