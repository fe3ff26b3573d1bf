"""Which system prompt an agent answers under: one of those in ``prompts/system`` by name, or a person's own file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SettingsError

FOLDER = Path(__file__).parent / "prompts" / "system"
DEFAULT = "plain"  # what the miniature was trained with, word for word


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    name: str
    text: str

    def __str__(self) -> str:
        """Name and digest, as the log has it: a text that has changed is another prompt."""
        return f"{self.name}@{hashlib.sha256(self.text.encode()).hexdigest()[:8]}"


def names() -> list[str]:
    """The default one first."""
    return sorted((file.stem for file in FOLDER.glob("*.txt")), key=lambda name: (name != DEFAULT, name))


def open_prompt(name: str = DEFAULT) -> SystemPrompt:
    """The prompt of that name, or in the text file at that path. Raises ``SettingsError``."""
    file = FOLDER / f"{name}.txt" if name in names() else Path(name).expanduser()
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        known = ", ".join(names())
        raise SettingsError(f"There is no prompt {name!r}; take one of {known}, or a text file of yours.") from error
    except ValueError as error:  # UnicodeDecodeError; a path with a null byte
        raise SettingsError(f"The prompt {name!r} is no UTF-8 text; write it as one.") from error
    if not text:
        raise SettingsError(f"The prompt {name!r} is empty; write what the model should be told.")
    return SystemPrompt(file.stem, text)
