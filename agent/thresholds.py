"""What ``ponder calibrate`` found out about a model: when auto effort stops. Kept by the model's version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from agent.effort import Effort
from agent.errors import SettingsError
from agent.files import write_private
from agent.policy.weights import version_in
from agent.search.auto import Auto

if TYPE_CHECKING:
    from agent.records import PolicyVersion

FILE_NAME = "thresholds.json"
SHIPPED = Path(__file__).parent / "policy" / FILE_NAME  # of the miniature


@dataclass(frozen=True, slots=True)
class Thresholds:
    """For one version of a model, judged by one set of verifiers."""

    weights: tuple[float, ...]  # of ``search.auto.signs``
    enough: float  # the probability of being right at which auto stops
    verifiers: Mapping[str, float]  # whose scores were looked at, and their weights
    quick_weights: tuple[float, ...]  # the same for an attempt that does not think; () where that does not pay
    found: Mapping[str, Any]  # on which questions, and what auto and high then gave


ByVersion = Mapping[str, Thresholds]
_FILE = TypeAdapter(dict[str, Thresholds])


def read(home: Path) -> ByVersion:
    """What ships, and over it this person's own, by version. Raises ``SettingsError`` for a file that is damaged."""
    return _read(SHIPPED) | _read(home / FILE_NAME)


def _read(file: Path) -> dict[str, Thresholds]:
    try:
        return _FILE.validate_json(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise SettingsError(f"{file} cannot be read; delete it, and run `ponder calibrate` again.") from error


def write(home: Path, version: PolicyVersion, thresholds: Thresholds) -> Path:
    """Keep them for this version; returns the file."""
    file = home / FILE_NAME
    kept = _read(file) | {known_as(version): thresholds}
    write_private(file, json.dumps(_FILE.dump_python(kept, mode="json"), indent=1) + "\n")
    return file


def fitted(effort: Effort, version: PolicyVersion, known: ByVersion, weights: Mapping[str, float]) -> Effort:
    """With auto's thresholds for this version; as it is where there are none for it and these verifiers."""
    if not isinstance(effort.strategy, Auto) or effort.strategy.weights:
        return effort
    found = known.get(known_as(version))
    if found is None or dict(found.verifiers) != dict(weights):
        return effort
    numbers = {"weights": found.weights, "quick_weights": found.quick_weights, "enough": found.enough}
    return replace(effort, strategy=replace(effort.strategy, **numbers))


def known_as(version: PolicyVersion) -> str:
    """The same for a folder of weights that is served as for one that is loaded here."""
    folder = Path(version.model)
    served = version.adapter is None and version.version == "base" and folder.is_dir()
    return str(version_in(folder) if served else version)
