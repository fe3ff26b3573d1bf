"""@FILE in a question: the file's text goes with it."""

from __future__ import annotations

import re
from pathlib import Path

from agent.errors import SettingsError

LARGEST = 100_000  # bytes of a file
NAMED = re.compile(r"(?<!\S)@(\S+)")


def with_files(question: str, folder: Path) -> str:
    """The question, and behind it the text of each file that it names so; what is no file stays as it is.

    Raises ``SettingsError``: one is too large, or no text.
    """
    parts = [question]
    for name in dict.fromkeys(NAMED.findall(question)):
        names = name, name.rstrip(",.;:!?)")  # what ends the sentence is no part of it
        file, name = next(
            ((found, each) for each in names if (found := folder / Path(each).expanduser()).is_file()), (None, "")
        )
        if file is None:
            continue
        if file.stat().st_size > LARGEST:
            raise SettingsError(f"{name} has more than {LARGEST:,} bytes; `ponder index {name}` makes it searchable.")
        try:
            text = file.read_text()
        except UnicodeDecodeError as error:
            raise SettingsError(f"{name} is no text; `ponder index {name}` can read PDF and office files.") from error
        parts.append(f"{name}:\n```\n{text.rstrip()}\n```")
    return "\n\n".join(parts)
