"""Which weights a folder holds. Beside ``model``, because this needs neither torch nor the time to import it."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from agent.records import PolicyVersion

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # of a LoRA adapter, as peft saves one
RECORD = "version.json"  # beside the folder "weights" of a version in the registry


def version_in(folder: Path) -> PolicyVersion:
    """The folder's name, and 12 hex digits of the SHA-256 of its files of weights; a version's own where it is one."""
    place = folder.resolve()
    name = place.parent.name if place.name == "weights" and (place.parent / RECORD).is_file() else place.name
    digests = [_digest(file, file.stat().st_size, file.stat().st_mtime_ns) for file in weight_files(folder)]
    return PolicyVersion(name, version=hashlib.sha256("".join(digests).encode()).hexdigest()[:12])


def weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def adapter_digest(files: dict[str, bytes]) -> str:
    """12 hex digits of the SHA-256 of an adapter's ``CONFIG`` and ``WEIGHTS``: both change what is computed."""
    digests = b"".join(hashlib.sha256(files[part]).digest() for part in (CONFIG, WEIGHTS))
    return hashlib.sha256(digests).hexdigest()[:12]


def adapted(base: PolicyVersion, adapter: Path) -> PolicyVersion:
    """The version of a model with an adapter on it, which is called as where it is served: by its digest."""
    digest = adapter_digest({part: (adapter / part).read_bytes() for part in (CONFIG, WEIGHTS)})
    return PolicyVersion(base.model, f"ponder-{digest}", digest)


@lru_cache(maxsize=64)
def _digest(file: Path, size: int, modified_ns: int) -> str:
    """Of a file that is taken to be the same as long as its size and its time are."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
