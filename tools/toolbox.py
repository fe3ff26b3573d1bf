"""The door of this package: what the model may call, and one bounded, harmless result for whatever it calls.

``Toolbox.call`` never raises for anything that a model wrote or a tool did. Not where tools are made (``tool``), and
not where a call is parsed out of sampled tokens: that is the agent's renderer.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import importlib
import json
import logging
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from tools.person import MAX_ASKED, PERSON, Form
from tools.tool import Tool, ToolError, ToolOutput, ToolResult, ToolSetupError, tool

ENTRY_POINT_GROUP = "ponder.tools"
_CLEANUP_SECONDS = 5.0  # what a cancelled tool has to clean up in: killing a sandbox takes milliseconds
_log = logging.getLogger("ponder.tools")

# C0 and C1 but tab and newline, which can repaint a terminal, and surrogates, which nothing can encode.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NEWLINES = re.compile("\r\n?|\u2028|\u2029")


class Toolbox:
    """The tools of one agent. It holds no state of a call, so calls may run at the same time."""

    def __init__(self, tools: Iterable[Tool], max_characters: int = 8_000) -> None:
        """``max_characters`` bounds every output and error that the model reads.

        Raises ToolSetupError: two tools with one name.
        """
        self._tools: dict[str, Tool] = {}
        self._max_characters = max_characters
        self._callers: dict[str, Mapping[str, Any]] = {}
        for each in tools:
            if each.name in self._tools:
                raise ToolSetupError(f"Two tools are called {each.name!r}; rename or remove one of them.")
            self._tools[each.name] = each

    def with_own(self, tools: Iterable[Tool]) -> Toolbox:
        """The same with these in the place of those that are called so, and new ones last."""
        now = {tool.name: tool for tool in tools}
        return Toolbox((self._tools | now).values(), self._max_characters)

    def with_callers(self, schemas: Iterable[Mapping[str, Any]]) -> Toolbox:
        """The same with tools that the caller has, and of which it makes the calls: the model is shown these last.

        One that is called as one here takes its place. ``schemas`` are OpenAI's, of functions.
        """
        callers = {str(schema["function"]["name"]): schema for schema in schemas}
        both = Toolbox([each for each in self._tools.values() if each.name not in callers], self._max_characters)
        both._callers = callers
        return both

    def is_callers(self, name: str) -> bool:
        """Whether the caller makes the calls of that tool."""
        return name in self._callers

    @staticmethod
    def load(spec: str) -> Tool:
        """A user's own tool: ``module:object``, or the name of an entry point in the group ``ponder.tools``.

        The object is a ``Tool`` or a typed function. Loading runs the module's code: only load what the person chose.
        Raises ToolSetupError: it cannot be found, imported or used.
        """
        loaded = _import(spec) if ":" in spec else _entry_point(spec)
        if isinstance(loaded, Tool):
            return loaded
        if callable(loaded):
            return tool(loaded)
        raise ToolSetupError(f"{spec} is a {type(loaded).__name__}; point it at a Tool or a typed function.")

    def schemas(self) -> list[dict[str, Any]]:
        """The OpenAI function schemas, in the order in which the model is shown them."""
        return [*(each.function_schema() for each in self._tools.values()), *map(dict, self._callers.values())]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the schemas as one compact JSON line in their own order, because order is part of the prompt."""
        text = json.dumps(self.schemas(), separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def has_effects(self) -> bool:
        """Whether a call of one may change something outside the agent."""
        return any(not tool.idempotent for tool in self._tools.values())

    def find(self, name: str) -> Tool | None:
        """The tool of that name, for who must know before a call whether it is idempotent."""
        return self._tools.get(name)

    async def call(
        self, name: str, arguments: Mapping[str, Any] | str, deadline_seconds: float, person: Form | None = None
    ) -> ToolResult:
        """Call a tool within its own timeout and ``deadline_seconds`` from now, whichever is shorter; the time of a
        ``person`` whom the tool asks something is not counted.

        Whatever goes wrong is a result with an error that the model can act on; only cancelling this call raises
        (asyncio.CancelledError), after the tool has been stopped. ``arguments`` is a JSON object or its text.
        """
        started = time.perf_counter()
        parsed: Mapping[str, Any] | str = clean(arguments) if isinstance(arguments, str) else arguments
        origin = self._tools[name].origin if name in self._tools else ""
        try:
            found = self._known(name)
            parsed = _parse(found, arguments)
            seconds = min(found.timeout_seconds, deadline_seconds)
            output = await _run(found, _validate(found, parsed), seconds, person)
        except ToolError as error:
            text, _ = self._bounded(str(error))
            outcome: dict[str, Any] = {"error": text, "sandbox_tier": error.sandbox_tier}
        else:
            text, truncated = self._bounded(output.text)
            outcome = {
                "output": text,
                "truncated": truncated,
                "passages": output.passages,
                "sandbox_tier": output.sandbox_tier,
            }
        return ToolResult(clean(name), parsed, seconds=time.perf_counter() - started, origin=origin, **outcome)

    def _known(self, name: str) -> Tool:
        if name in self._tools:
            return self._tools[name]
        available = ", ".join(self._tools) or "none"
        raise ToolError(f"There is no tool called {name[:64]!r}. Available tools: {available}.")

    def _bounded(self, text: str) -> tuple[str, bool]:
        text = clean(text)
        excess = len(text) - self._max_characters
        return (text, False) if excess <= 0 else (f"{text[:-excess]}\n[cut: {excess} more characters]", True)


def clean(text: str) -> str:
    """``text`` with newlines as ``\\n`` and every other control character and lone surrogate as U+FFFD."""
    return _HARMFUL.sub("\ufffd", _NEWLINES.sub("\n", text))


def _parse(found: Tool, arguments: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """The arguments as an object of plain JSON values, so that what is logged can be written and read again."""
    try:
        text = arguments if isinstance(arguments, str) else json.dumps(dict(arguments))
        # A raw newline or tab inside a string is how small models write code: read it as what it plainly means.
        parsed = without_surrogates(json.loads(text.strip() or "{}", strict=False, parse_constant=_not_json))
    except (ValueError, TypeError, RecursionError) as error:
        reason = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else "not JSON"
        raise ToolError(f"The arguments are not valid JSON ({reason}). {_usage(found)}") from error
    if not isinstance(parsed, dict):
        raise ToolError(f"The arguments must be a JSON object. {_usage(found)}")
    return parsed


def _not_json(constant: str) -> None:
    raise ValueError(constant)


def without_surrogates(value: Any) -> Any:
    """JSON with U+FFFD in the place of lone surrogates, which nothing can encode."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


def _validate(found: Tool, arguments: Mapping[str, Any]) -> Any:
    try:
        return found.arguments.model_validate(arguments)
    except ValidationError as error:
        details = "; ".join(_complaint(detail) for detail in error.errors(include_url=False, include_input=False)[:5])
        raise ToolError(f"The arguments do not fit: {details}. {_usage(found)}") from None
    except Exception as error:  # a validator of the tool's own
        _log.info("a validator of the tool %s failed", found.name, exc_info=True)
        raise ToolError(f"The arguments do not fit ({type(error).__name__}). {_usage(found)}") from error


def _complaint(detail: Any) -> str:
    place = ".".join(map(str, detail["loc"]))[:100] or "the object"
    known = {"missing": "is missing", "extra_forbidden": "is not an argument"}
    return f'"{place}" {known.get(detail["type"], detail["msg"][:1].lower() + detail["msg"][1:])}'


def _usage(found: Tool) -> str:
    """What the tool takes, in a sentence. The schema may be a server's, so nothing in it is taken for granted."""
    parameters = found.function_schema()["function"]["parameters"]
    properties, required = parameters.get("properties"), parameters.get("required")
    takes = []
    for name, schema in (properties if isinstance(properties, dict) else {}).items():
        kind = schema.get("type", "value") if isinstance(schema, dict) else "value"
        optional = "" if isinstance(required, list) and name in required else ", optional"
        takes.append(f'"{name}" ({kind}{optional})')
    return f"{found.name} takes {', '.join(takes) or 'no arguments'}."


async def _run(found: Tool, arguments: Any, seconds: float, person: Form | None) -> ToolOutput:
    """One call in its own task, so that a tool which ignores its cancellation cannot hold the agent."""
    if seconds <= 0:
        raise ToolError(f"No time was left to run {found.name}.")
    limit = asyncio.timeout(seconds)
    unhurried = _Unhurried(person, limit) if person else None
    context = contextvars.copy_context()
    context.run(PERSON.set, unhurried)
    task = asyncio.create_task(_guarded(found, arguments), context=context)
    try:
        with suppress(TimeoutError):
            async with limit:
                await asyncio.wait({task})
        if not task.done():
            raise ToolError(f"{found.name} took longer than {seconds:.3g} seconds and was stopped; ask for less.")
        return task.result()
    except asyncio.CancelledError:
        if task.done() and task.cancelled() and not _is_cancelled():  # the tool cancelled itself
            raise ToolError(f"{found.name} was interrupted; try again or use another tool.") from None
        raise
    finally:
        if unhurried:
            unhurried.end()
        if not task.done():
            task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else will look
            await asyncio.wait({task}, timeout=_CLEANUP_SECONDS)


class _Unhurried:
    """A person, asked one thing at a time while the call's limit stands still; nothing more once they declined, or the
    call has ended: then what they are being asked is taken back.
    """

    def __init__(self, person: Form, limit: asyncio.Timeout) -> None:
        self._person, self._limit = person, limit
        self._turn, self._left = asyncio.Lock(), MAX_ASKED
        self._question: asyncio.Future[Mapping[str, Any] | None] | None = None

    async def __call__(self, message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        async with self._turn:
            if not self._left:
                return None
            self._left -= 1
            now = asyncio.get_running_loop().time
            seconds = (self._limit.when() or 0) - now()
            self._limit.reschedule(None)
            self._question = asyncio.ensure_future(self._person(message, schema))
            try:
                await asyncio.wait({self._question})
                given = None if self._question.cancelled() else self._question.result()
            finally:
                self._question.cancel()
                with suppress(RuntimeError):  # the call has ended
                    self._limit.reschedule(now() + seconds)
            if given is None:
                self._left = 0
            return given

    def end(self) -> None:
        self._left = 0
        if self._question:
            self._question.cancel()


def _is_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


async def _guarded(found: Tool, arguments: Any) -> ToolOutput:
    """The tool's own code: everything it can raise but a cancellation becomes a ToolError without its message."""
    try:
        value = await found.call(arguments)
    except (ToolError, asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: a tool must not end the agent
        _log.info("the tool %s failed", found.name, exc_info=True)
        kind = type(error).__name__
        raise ToolError(f"{found.name} failed unexpectedly ({kind}); try other arguments or another tool.") from error
    if isinstance(value, ToolOutput):
        return value
    if isinstance(value, str):
        return ToolOutput(value)
    raise ToolError(f"{found.name} gave a {type(value).__name__} where text was due; use another tool.")


def _import(spec: str) -> Any:
    module_name, _, attribute = spec.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            value = getattr(value, part)
    except Exception as error:  # importing runs a stranger's code, which may raise anything
        raise ToolSetupError(f"The tool {spec} cannot be imported: {type(error).__name__}: {error}.") from error
    return value


def _entry_point(name: str) -> Any:
    found = entry_points(group=ENTRY_POINT_GROUP)
    if name not in found.names:
        known = ", ".join(sorted(found.names)) or "none is installed"
        raise ToolSetupError(f"No package offers a tool called {name!r} ({known}); write module:object instead.")
    try:
        return found[name].load()
    except Exception as error:
        raise ToolSetupError(f"The tool {name} cannot be imported: {type(error).__name__}: {error}.") from error
