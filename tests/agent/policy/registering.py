"""What the processes do that ``test_registry`` kills: add one folder after the other, promote, go back."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from agent.policy import registry
from agent.policy.registry import Origin, VersionError


def complete(folder: Path, weights: bytes) -> Path:
    """A folder with all that the registry asks of a model, and nothing that could be loaded."""
    folder.mkdir(parents=True, exist_ok=True)  # where the last one was killed at this
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "checkpoint.pt").write_bytes(b"of the training")
    return folder


def go_on(home: Path, made: Path, first: int) -> None:
    """Until killed. Prints a line once it is about to begin."""
    for turn in itertools.count(first):
        folder = complete(made / str(turn), turn.to_bytes(4, "big") * 200_000)
        print(turn, flush=True)
        version = registry.add(home, folder, Origin(base="a/base"))
        registry.promote(home, version.id)
        if turn % 3 == 2:
            registry.rollback(home)
        if turn % 5 == 4:
            registry.prune(home)


if __name__ == "__main__":
    try:
        go_on(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    except VersionError as error:
        sys.exit(str(error))
