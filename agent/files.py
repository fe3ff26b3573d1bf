"""Files in PONDER_HOME: written whole or not at all, for their owner only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from agent.errors import SettingsError


def write_private(file: Path, text: str) -> None:
    """Replace ``file`` at once or not at all, readable by its owner only. Raises ``SettingsError``."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as temporary:  # created with mode 0600
            temporary.write(text)
        os.replace(temporary.name, file)
    except OSError as error:
        sentence = f"{file} cannot be written ({error.strerror}); set PONDER_HOME to a folder of yours."
        raise SettingsError(sentence) from error
