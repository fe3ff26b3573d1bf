"""What the commands share: their common flags, the settings in force, and JSON on standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from agent.effort import Effort
    from agent.settings import Settings

EffortName = Annotated[str | None, typer.Option("--effort", "-e", help="low, medium (the default), high, max or auto.")]
MostTokens = Annotated[int | None, typer.Option("--most-tokens", help="That the answer may take, everything counted.")]
MostSeconds = Annotated[float | None, typer.Option("--most-seconds", help="That the answer may take.")]
MostCost = Annotated[float | None, typer.Option("--most-cost", help="In money, at the settings' prices.")]
ModelName = Annotated[
    str | None, typer.Option("--model", "-m", help="A folder of weights, or the model's name at --base-url.")
]
PromptName = Annotated[str | None, typer.Option("--prompt", help="The system prompt: its name, or a text file.")]
BaseUrl = Annotated[str | None, typer.Option("--base-url", help="An OpenAI-compatible server, http://host:port/v1.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and nothing else there.")]


def settings_for(**flags: Any) -> Settings:
    """The settings in force, saying on standard error where a ponder.toml was ignored."""
    from agent.settings import read_settings

    settings, notice = read_settings(flags=flags)
    if notice:
        from tui.printer import printable

        print(printable(notice), file=sys.stderr)
    return settings


def print_json(value: Any) -> None:
    """In ASCII: what a model or a document wrote can neither move the cursor nor fail to be encoded."""
    import json

    print(json.dumps(value))


def effort_named(name: str) -> Effort:
    from agent.effort import EFFORTS
    from agent.errors import SettingsError

    if name not in EFFORTS:
        raise SettingsError(f"There is no effort {name!r}; take one of {', '.join(EFFORTS)}.")
    return EFFORTS[name]


def effort_within(settings: Settings) -> Effort:
    """The effort of the settings, within what they allow a run to spend. Raises ``SettingsError``."""
    from agent.run import within

    return within(settings, effort_named(settings.effort))
