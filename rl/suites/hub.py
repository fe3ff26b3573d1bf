"""The files of a data set on the Hugging Face hub, or in a folder that is laid out like one.

``OWNER/NAME[:CONFIG][:SPLIT]``; the split is ``test`` where none is named. A configuration is a folder or the beginning
of a file's name, a split a folder or the name before the number of its part: ``main/test-00000-of-00001.parquet``. The
last part may be a file's path, for a data set of another layout. Nothing but these files is downloaded, once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from rl.suites.files import SUFFIXES, SuiteError

HUB = "hf:"  # what the name of such a suite begins with
PATIENCE = 30.0  # seconds for the list of a data set's files
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataSet:
    repository: str  # or a folder
    config: str
    split: str  # or the path of a file

    @property
    def name(self) -> str:
        """``gsm8k:main``."""
        return ":".join(filter(None, (Path(self.repository).name, self.config)))


def named(written: str) -> DataSet:
    """Raises ``SuiteError`` where the name has too many parts, or none."""
    repository, *parts = written.split(":")
    if not repository or len(parts) > 2:
        raise SuiteError(f"{written!r} names no data set; write it like hf:openai/gsm8k:main:test.")
    config, split = parts if len(parts) == 2 else ("", *parts) if parts else ("", "test")
    return DataSet(repository, config, split or "test")


def files_of(wanted: DataSet, patience: float = PATIENCE) -> list[Path]:
    """On this machine. Raises ``SuiteError``: the data set cannot be reached, or has no such configuration or split."""
    folder = Path(wanted.repository).expanduser()
    if folder.is_dir():
        found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        return [folder / each for each in chosen(found, wanted)]
    return fetched(wanted, patience)


def chosen(files: Sequence[str], wanted: DataSet) -> list[str]:
    """Those of the configuration and split, in order. Raises ``SuiteError``."""
    if wanted.split in files:
        return [wanted.split]
    readable = sorted(each for each in files if PurePosixPath(each).suffix in SUFFIXES)
    found = [each for each in readable if is_split(each, wanted.split) and is_config(each, wanted.config)]
    found = [each for each in found if wanted.config in PurePosixPath(each).parts[:-1]] or found
    if not found:
        raise SuiteError(
            f"{wanted.repository} has no {wanted.config + ' ' if wanted.config else ''}{wanted.split} split in "
            f"{', '.join(SUFFIXES)} files; it has {', '.join(readable[:8]) or 'none'}."
        )
    folders = sorted({str(PurePosixPath(each).parent) for each in found})
    if len(folders) > 1:
        raise SuiteError(
            f"{wanted.repository} has the split {wanted.split} in {', '.join(folders[:8])}; "
            f"name one: hf:{wanted.repository}:{folders[0]}:{wanted.split}."
        )
    return found


def is_split(file: str, split: str) -> bool:
    path = PurePosixPath(file)
    return split in path.parts[:-1] or path.stem == split or path.name.startswith((f"{split}-", f"{split}."))


def is_config(file: str, config: str) -> bool:
    path = PurePosixPath(file)
    return not config or str(path.parent).startswith(config) or path.name.startswith(config)


def fetched(wanted: DataSet, patience: float) -> list[Path]:
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError
    from huggingface_hub.utils import logging

    name = wanted.repository
    logging.set_verbosity_error()  # what it tells of its retries would stand beside our sentence
    try:
        listed = within(patience, lambda: HfApi().dataset_info(name, timeout=patience)).siblings or []
        picked = chosen([each.rfilename for each in listed], wanted)
        return [Path(hf_hub_download(name, each, repo_type="dataset")) for each in picked]
    except SuiteError:
        raise
    except Exception as error:  # the hub's, the network's and the disk's failures share no base class
        try:
            folder = snapshot_download(name, repo_type="dataset", local_files_only=True)
        except (LocalEntryNotFoundError, ValueError):
            raise SuiteError(unreachable(name, error)) from error
        return files_of(DataSet(folder, wanted.config, wanted.split))


def unreachable(name: str, error: Exception) -> str:
    return (
        f"The data set {name} is not on this machine and the hub did not give it ({type(error).__name__}); check its "
        "name and the network (a gated one wants HF_TOKEN), or download it elsewhere and write hf:FOLDER."
    )


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What ``ask`` gives, in a thread that nobody waits for any longer. Raises ``TimeoutError``, and what it raises."""
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True, name="hub").start()
    return answer.result(timeout=seconds)
