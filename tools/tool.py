"""What a tool is, how one is made from a typed function, and what a call of it leaves behind.

Not how calls are dispatched and bounded: that is ``toolbox``. Every tool's file imports this one.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import re
import threading
import warnings
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, overload

import pydantic_core
from pydantic import BaseModel, ConfigDict, PydanticUserError, create_model

from retrieval.passage import Passage

T = TypeVar("T")
Call = Callable[[Any], Awaitable["str | ToolOutput"]]


class ToolError(Exception):
    """A failure that the model should read and react to; its message is shown to the model as it is."""

    def __init__(self, message: str, sandbox_tier: str | None = None) -> None:
        super().__init__(message)
        self.sandbox_tier = sandbox_tier  # which sandbox ran it, where one did


class ToolSetupError(Exception):
    """A tool that cannot be offered; the message is one sentence that says what to change."""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool's function gives back when it has more to say than a string."""

    text: str  # what the model reads
    passages: tuple[Passage, ...] = ()  # what a search found, in the order in which it is numbered [1], [2], ...
    sandbox_tier: str | None = None  # which sandbox ran it: "bubblewrap", "landlock", "monty"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One call of one tool, finished. Exactly one of ``output`` and ``error`` is not None."""

    name: str  # the tool's name as the model wrote it
    arguments: Mapping[str, Any] | str  # parsed arguments, or the raw text where they did not parse
    output: str | None = None  # what the model reads, bounded; says where it was cut
    error: str | None = None  # what went wrong, in a sentence that the model reads
    seconds: float = 0.0  # wall time of the call
    sandbox_tier: str | None = None  # which sandbox ran it, where one did
    passages: tuple[Passage, ...] = ()  # what a search found, [1] first
    truncated: bool = False  # whether the output was cut to its bound
    origin: str = ""  # the MCP server whose words these are

    @property
    def text(self) -> str:
        """What the model reads: the output, or the error after ``Error: ``."""
        return self.output if self.output is not None else f"Error: {self.error}"


@dataclass(frozen=True, slots=True)
class Tool:
    """A named function with typed arguments that the model can call."""

    name: str  # [a-zA-Z0-9_-]{1,64}
    description: str  # one or two sentences for the model
    arguments: type[BaseModel]  # validates what the model wrote; its JSON schema is what the model is shown
    call: Call  # receives a validated instance of `arguments`
    timeout_seconds: float = 30.0  # a call that takes longer is cancelled and becomes an error result
    idempotent: bool = True  # whether a call that may have half happened can simply be made again
    asks: bool = False  # whether a person is asked before each call
    why_asks: str = ""  # what the person is told of that; "": that calls of this tool are asked about
    trusted: bool = False  # whether a person said that its calls are always made
    origin: str = ""  # the MCP server whose it is; what it says is not to lead to calls of others
    schema: Mapping[str, Any] | None = None  # parameters' JSON schema where it is not `arguments`'s own (MCP)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", self.name):
            raise ToolSetupError(f"{self.name!r} cannot name a tool; use 1 to 64 letters, digits, _ or -.")

    def function_schema(self) -> dict[str, Any]:
        """The OpenAI function schema that the model is shown; its order and wording are part of the prompt's bytes."""
        parameters = dict(self.schema) if self.schema is not None else copy.deepcopy(_parameters(self.arguments))
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": parameters},
        }


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_seconds: float = 30.0,
    idempotent: bool = True,
    asks: bool = False,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None, /, **settings: Any) -> Tool | Callable[..., Tool]:
    """Make a ``Tool`` from a typed function, as ``@tool`` or ``@tool(timeout_seconds=5)``.

    The arguments and their JSON schema come from the signature, the description from the docstring's first paragraph.
    A plain function runs in a thread, which a timeout leaves running: give long work its own deadline. What is neither
    a string nor a ``ToolOutput`` reaches the model as JSON. Raise ``ToolError`` for what the model should read.

    Raises ToolSetupError: a parameter without a type, ``*args``, ``**kwargs``, or no docstring.
    """
    return _make(function, **settings) if function is not None else lambda function: _make(function, **settings)


def _make(
    function: Callable[..., Any], name: str | None = None, description: str | None = None, **settings: Any
) -> Tool:
    name = name or str(getattr(function, "__name__", ""))
    description = description or " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    if not description:
        raise ToolSetupError(f"The tool {name} has no description; give its function a docstring.")
    return Tool(name, description, _arguments(function, name), _caller(function), **settings)


def _arguments(function: Callable[..., Any], name: str) -> type[BaseModel]:
    try:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
    except (NameError, ValueError, TypeError) as error:
        raise ToolSetupError(f"The signature of the tool {name} cannot be read: {error}.") from error
    for parameter in parameters:
        if parameter.annotation is parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
            parameter.POSITIONAL_ONLY,
        ):
            raise ToolSetupError(f"The tool {name} needs a type and a plain name for its parameter {parameter}.")
    fields: dict[str, Any] = {
        parameter.name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters
    }
    with warnings.catch_warnings():  # a parameter may well be called `json` or `copy`, as BaseModel's methods are
        warnings.simplefilter("ignore", UserWarning)
        try:
            return create_model(name, __config__=ConfigDict(extra="forbid", protected_namespaces=()), **fields)
        except (NameError, TypeError, PydanticUserError) as error:
            reason = str(error).split("\n")[0].rstrip(".")
            raise ToolSetupError(f"The parameters of the tool {name} cannot be described: {reason}.") from error


def _caller(function: Callable[..., Any]) -> Call:
    async def call(arguments: BaseModel) -> str | ToolOutput:
        values = dict(arguments.__dict__)
        if inspect.iscoroutinefunction(function):
            value = await function(**values)
        else:
            value = await in_thread(function, **values)
        return value if isinstance(value, str | ToolOutput) else pydantic_core.to_json(value).decode()

    return call


async def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """As ``asyncio.to_thread``, but in a daemon thread: a call that never ends does not keep the process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_value: Callable[[Any], None], value: object) -> None:
        if not future.done():
            set_value(value)

    def work() -> None:
        try:
            outcome = (future.set_result, function(*args, **kwargs))
        except BaseException as error:
            outcome = (future.set_exception, error)
        with suppress(RuntimeError):  # the loop has been closed since: nobody waits
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    return await future


@lru_cache(maxsize=256)
def _parameters(arguments: type[BaseModel]) -> dict[str, Any]:
    """Pydantic's schema in the usual order, without its titles and without what ``extra="forbid"`` adds."""
    schema = _untitled(arguments.model_json_schema())
    for key in ("type", "additionalProperties", "description"):  # the description is the function's own already
        schema.pop(key, None)
    return {"type": "object", "properties": schema.pop("properties", {}), **schema}


def _untitled(schema: Any) -> Any:
    """``schema`` without the titles that pydantic derives from names; a property called "title" stays."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    for key, value in kept.items():
        if key in ("properties", "$defs"):
            kept[key] = {name: _untitled(item) for name, item in value.items()}
        elif key not in ("default", "examples", "const", "enum"):
            kept[key] = _untitled(value)
    return kept
