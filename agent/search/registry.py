"""Strategies by the names that the log uses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent.errors import SettingsError
from agent.search.attempts import AdaptiveBestOfN, BestOfN, MajorityVote, Single, WeightedVote
from agent.search.auto import Auto
from agent.search.revise import BudgetForcing, SelfRefine
from agent.search.steps import Beam, Rollouts, TreeSearch
from agent.search.strategy import Strategy

STRATEGIES: dict[str, Any] = {
    "single": Single,
    "majority": MajorityVote,
    "weighted": WeightedVote,
    "best_of_n": BestOfN,
    "adaptive_best_of_n": AdaptiveBestOfN,
    "auto": Auto,
    "beam": Beam,
    "tree_search": TreeSearch,
    "rollouts": Rollouts,
    "self_refine": SelfRefine,
    "budget_forcing": BudgetForcing,
}
"""``add_strategy`` adds one's own."""


def add_strategy(kind: Callable[..., Strategy]) -> None:
    """Make a dataclass known by the default of its field ``name``, so that its runs can be resumed.

    Raises:
        SettingsError: it is not one, or has no such field.
    """
    STRATEGIES[default_name(kind)] = kind


def default_name(kind: Any) -> str:
    names = [each.default for each in fields(kind) if each.name == "name"] if is_dataclass(kind) else []
    if not names or not isinstance(names[0], str):
        raise SettingsError(f"{kind!r} is no strategy: make it a dataclass whose field `name` has a default.")
    return names[0]


def strategy_from(settings: Mapping[str, Any]) -> Strategy:
    """The strategy that ``dataclasses.asdict`` gave these settings for.

    Raises:
        SettingsError: there is no strategy of that name, or not with these parameters.
    """
    name = settings["name"]
    if name not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise SettingsError(f"There is no strategy {name!r} ({known}); name its module:object in `strategies`.")
    kind = STRATEGIES[name]
    known = [each.name for each in fields(kind)]
    if unknown := settings.keys() - set(known):
        raise SettingsError(f"{name} has no parameter {min(unknown)}; {parameters_of(name, known)}.")
    try:
        return checker(kind).validate_python(dict(settings))
    except ValidationError as error:
        wrong = error.errors()[0]
        said = wrong["msg"][0].lower() + wrong["msg"][1:]
        raise SettingsError(f"{name}, {wrong['loc'][0]}: {said}; {parameters_of(name, known)}.") from error


def parameters_of(name: str, known: Sequence[str]) -> str:
    """In words, for whoever mistook one."""
    given = ", ".join(each for each in known if each not in ("name", "stopping_rule"))
    return f"write it like {name}:PARAMETER=VALUE,... with {given}"


@cache
def checker(kind: Any) -> TypeAdapter[Strategy]:
    """Makes one of checked parameters."""
    return TypeAdapter(kind)


def strategy_named(spec: str) -> Strategy:
    """A strategy as a person writes it: ``beam:beams=4,expand=4``, values as in JSON or plain words.

    Raises:
        SettingsError: there is no such strategy, or it has no such parameter.
    """
    name, _, parameters = spec.partition(":")
    given = [part.partition("=") for part in parameters.split(",") if part]
    settings = {key.strip(): plain_value(value) for key, _, value in given}
    return strategy_from({**settings, "name": name})


def plain_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
