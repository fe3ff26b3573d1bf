"""What a person can set, read once at the edge: defaults < ponder.toml < ``PONDER_*`` < flags.

A ponder.toml can start programs (MCP servers, modules of one's own) and send questions elsewhere, so the one found in a
folder is used only after the person has trusted that folder, and again after every change of the file. Commands and
doors call ``read_settings``; nothing deeper inside reads the environment or a file of settings.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableEnvironment

from agent.effort import EffortName
from agent.errors import SettingsError
from agent.files import write_private
from agent.mcp_servers import McpServer, entries
from agent.system_prompt import DEFAULT

FILE_NAME = "ponder.toml"
Permission = Literal["always", "ask", "never"]  # whether a tool's calls are made; "never": it is not offered


def home_folder() -> Path:
    """Where the index, the log and the list of trusted folders live: ``PONDER_HOME``, else the XDG data folder."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return _absolute(Path(os.environ.get("PONDER_HOME") or f"{data}/ponder"))


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()


class Settings(BaseSettings):
    """Everything that can be set. Keys of ponder.toml are the fields' names; ``passages`` is ``PONDER_PASSAGES``."""

    model_config = SettingsConfigDict(env_prefix="PONDER_", env_ignore_empty=True, frozen=True, extra="forbid")

    home: Annotated[Path, AfterValidator(_absolute)] = Field(default_factory=home_folder)  # not in ponder.toml
    base_url: str | None = None  # an OpenAI-compatible server, "http://127.0.0.1:8000/v1"; None: the embedded model;
    # several addresses of one model, with commas between, share the load
    api_key: SecretStr | None = None  # that server's key
    model: str | None = None  # the model's name there, or a folder of weights; None: the server's only one, or the mini
    prompt: str = DEFAULT  # the system prompt: a name in agent/prompts/system, or a text file of one's own
    effort: EffortName = "medium"
    most_tokens: int | None = Field(default=None, ge=1)  # that a run may sample, whatever its effort
    most_seconds: float | None = Field(default=None, gt=0)
    most_cost: float | None = Field(default=None, gt=0)  # in money, at the next two
    prompt_price: float = Field(default=0.0, ge=0)  # of a million tokens
    sampled_price: float = Field(default=0.0, ge=0)
    sandbox: Literal["bubblewrap", "landlock", "monty"] = "monty"  # the weakest that may run a program
    encoder: str = "all-MiniLM-L6-v2"  # a name or a folder that sentence-transformers loads
    reranker: str | None = None  # a cross-encoder, where there is one
    process_reward: str | None = None  # a process reward model to judge by, where none is served
    process_reward_by: Literal["last", "min", "product", "mean"] = "min"  # how an attempt's score comes of its steps'
    outcome_reward: str | None = None  # a folder of `ponder train reward`, to judge whole attempts by
    judge: str | None = (
        None  # who the verifiers "judge" and "judge_pointwise" ask: as `model` or `base_url`; None: itself
    )
    passages: int = Field(default=3, ge=1, le=50)  # how many a search shows the model; the miniature learned with 3
    reference_share: float = Field(default=0.1, ge=0, le=1)  # of runs drawn with fixed N, the unbiased reference
    summaries: bool | None = None  # of threads that are too long; None: by a model that reads 8,192 tokens or more
    concurrent: int = Field(default=32, ge=1)  # questions under way at once behind a door
    waiting: int = Field(default=64, ge=0)  # more, that wait for their turn
    train: bool = True  # False: what is asked is logged, and never learned from
    tools: tuple[str, ...] = ()  # one's own, each "module:object"; so are the next four
    approvals: dict[str, Permission] = Field(default_factory=dict)  # by tool, or by a pattern: "files_*" = "ask"
    verifiers: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    rewards: tuple[str, ...] = ()  # or a file like verifiers/reward.toml
    # By the name that prefixes their tools; those of ``mcp.json`` in the home are there too.
    mcp_servers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")], McpServer] = Field(default_factory=dict)


def read_settings(folder: Path | None = None, flags: Mapping[str, Any] | None = None) -> tuple[Settings, str | None]:
    """The settings in force in ``folder`` (the current one by default), and a sentence where a ponder.toml was ignored.

    ``flags`` whose value is None were not given. Raises ``SettingsError`` with the place and the key.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    file = settings_file(folder or Path.cwd())
    if file is None:
        return _merge(None, {}, given), None
    content = _read(file)
    if not _is_trusted(file, content):
        notice = f"Ignored {file}: look through it, then run `ponder trust {file.parent}` to use it."
        return _merge(None, {}, given), notice
    return _merge(file, _parse(file, content), given), None


def settings_file(folder: Path) -> Path | None:
    """The nearest ponder.toml in ``folder`` or above it."""
    folder = folder.resolve()
    return next((file for here in (folder, *folder.parents) if (file := here / FILE_NAME).is_file()), None)


# --- trust ------------------------------------------------------------------------------------------------------------


def trust(folder: Path) -> Path:
    """Allow the ponder.toml in ``folder``, exactly as it stands now; returns its path. Raises ``SettingsError``."""
    file = folder.resolve() / FILE_NAME
    _merge(file, _parse(file, _read(file)), {})
    write_private(_trust_file(), json.dumps(_trusted() | {str(file): _digest(_read(file))}, indent=1))
    return file


def is_trusted(folder: Path) -> bool:
    """Whether the ponder.toml in ``folder`` is the one that was trusted, byte for byte."""
    file = folder.resolve() / FILE_NAME
    return _is_trusted(file, _read(file))


def _is_trusted(file: Path, content: bytes) -> bool:
    return _trusted().get(str(file)) == _digest(content)


def _trust_file() -> Path:
    return home_folder() / "trusted.json"


def _trusted() -> dict[str, str]:
    """Path of each trusted file -> SHA-256 of its content."""
    try:
        return dict(json.loads(_trust_file().read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        sentence = f"{_trust_file()} cannot be read ({error}); delete it and trust your folders again."
        raise SettingsError(sentence) from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from error


def _parse(file: Path, content: bytes) -> dict[str, Any]:
    try:
        values = tomllib.loads(content.decode())
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise SettingsError(f"{file} is not valid TOML: {error}.") from error
    if "home" in values:
        raise SettingsError(f"{file}: 'home' can only be set as PONDER_HOME; remove it from the file.")
    return anchored(file.parent, values)


def anchored(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Relative paths in a file mean places beside it: what was trusted there must not name other things elsewhere."""
    for key in ("model", "prompt", "encoder", "reranker", "process_reward", "outcome_reward", "judge"):
        if isinstance(value := values.get(key), str) and (folder / value).exists():
            values[key] = str(folder / value)
    if isinstance(rewards := values.get("rewards"), list):
        values["rewards"] = [str(folder / each) if str(each).endswith(".toml") else each for each in rewards]
    servers = values.get("mcp_servers")
    for server in servers.values() if isinstance(servers, dict) else ():
        if isinstance(server, dict):
            server["folder"] = str(folder / server.get("folder", ""))
    return values


def _merge(file: Path | None, values: dict[str, Any], flags: dict[str, Any]) -> Settings:
    try:
        given = values | EnvSettingsSource(Settings)() | flags
        if (known := entries(home_folder())) and isinstance(given.get("mcp_servers", {}), dict):
            given["mcp_servers"] = known | given.get("mcp_servers", {})
        return Settings(**given)
    except UnreadableEnvironment as error:
        raise SettingsError(f"A PONDER_ variable is not valid JSON: {error}.") from error
    except ValidationError as error:
        raise SettingsError(_sentence(error, file, flags)) from error


def _sentence(error: ValidationError, file: Path | None, flags: Mapping[str, Any]) -> str:
    """Where the first wrong value stands, its key, and what is wrong with it."""
    first = error.errors(include_url=False, include_input=False)[0]
    key, *inner = map(str, first["loc"])
    variable = f"PONDER_{key.upper()}"
    if key in flags:
        place = f"The flag --{key.replace('_', '-')}"
    else:
        place = f"The variable {variable}" if os.environ.get(variable) else f"{file}: '{'.'.join([key, *inner])}'"
    problem = "is not a setting" if first["type"] == "extra_forbidden" else f"is wrong: {first['msg']}"
    return f"{place} {problem}."
