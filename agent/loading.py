"""Objects of a person's own, by ``module:object`` or the name of an entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from agent.errors import SettingsError


def load(spec: str, group: str) -> Any:
    """The object that ``spec`` names. It runs the module's code: only load what the person chose.

    Raises:
        SettingsError: nothing can be found or imported there.
    """
    installed = entry_points(group=group)
    if ":" not in spec and spec not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none"
        raise SettingsError(f"There is nothing called {spec!r} in {group} (installed: {known}); write module:object.")
    try:
        return (EntryPoint(spec, spec, group) if ":" in spec else installed[spec]).load()
    except Exception as error:  # a stranger's code, which may raise anything
        raise SettingsError(f"{spec} cannot be loaded ({type(error).__name__}: {error}); check its module.") from error
