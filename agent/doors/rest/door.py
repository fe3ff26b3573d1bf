"""What every request is handed: the agent that answers, and how."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.effort import EFFORTS
from agent.run import asked_by, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

    from agent.context import Agent
    from agent.effort import Effort
    from agent.run import Ask
    from agent.settings import Settings


@dataclass(frozen=True, slots=True)
class Door:
    """One agent, open to requests."""

    agent: Agent
    settings: Settings
    how: Ask  # a question is answered where its request says nothing of that
    efforts: Mapping[str, Effort]  # by name, within the limits of the settings
    since: int = field(default_factory=lambda: int(time.time()))  # Unix time


def opened(agent: Agent, settings: Settings) -> Door:
    """The agent's door, under the limits of the settings. Raises ``SettingsError``."""
    efforts = {name: within(settings, effort) for name, effort in EFFORTS.items()}
    return Door(agent, settings, asked_by(settings, efforts[settings.effort]), efforts)


def door_of(request: Request) -> Door:
    return request.app.state.door
